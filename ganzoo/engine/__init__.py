"""The engine: one loop that trains every variant, on CPU or one GPU."""
