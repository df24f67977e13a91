"""What SAELens accepts on disk, and what it makes of it when it loads."""
