"""The SAEs in training: one module for each architecture, with its equations and gradients."""
