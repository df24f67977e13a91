"""A manifest from a repository that exists: names, configs, headers and card, never weights."""
