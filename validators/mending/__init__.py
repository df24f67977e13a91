"""A copy of a repository in which what can be mended without a decision is mended."""
