"""What a number means: images by number, one scorer, the protocol."""
