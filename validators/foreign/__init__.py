"""Folders in which other projects keep their SAEs, recognised for what they are."""
