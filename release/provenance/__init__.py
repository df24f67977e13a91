"""Where a release comes from: the statement published with it, its signature, and their check."""
