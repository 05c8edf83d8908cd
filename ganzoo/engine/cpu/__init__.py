"""What makes a processor fast."""
