"""Is the repository what the manifest says? Reads, measures, decides, reports.

Never imports `retrain`: a checker that shares code with the maker shares its bugs.
"""
