"""What was asked for: one complete, frozen config."""
