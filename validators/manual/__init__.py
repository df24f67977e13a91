"""Every SAE architecture as formulas in NumPy, apart from SAELens, torch and the trainer."""
