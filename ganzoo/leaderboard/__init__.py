"""Many results."""
