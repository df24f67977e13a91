"""Where in a transformers model an SAE reads: both notations, and what is near."""
