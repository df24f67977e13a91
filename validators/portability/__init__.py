"""What the numbers of an SAE at other precisions mean for whoever wants to use it there."""
