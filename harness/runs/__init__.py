"""One run, in memory and on the disk."""
