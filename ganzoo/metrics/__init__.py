"""Metrics in three pure steps: uint8 images -> features (one pass serves all) -> statistics (float64) -> number."""
