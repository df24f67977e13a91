"""The code in a repository's README: read, looked up, and run where that is asked for."""
