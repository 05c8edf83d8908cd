"""One run, on disk."""
