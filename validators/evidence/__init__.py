"""The activations that SAEs are judged on, and where they come from."""
