"""From files on disk to one commit on the Hub: planned, shown, sent, read back, undone."""
