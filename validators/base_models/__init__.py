"""The frozen base model: found, loaded, run, and run with activations replaced."""
