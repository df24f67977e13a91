"""Files of a repository, local or on a Hub, read within bounds and believed in nothing."""
