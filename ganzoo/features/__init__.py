"""Frozen networks in whose feature space metrics compare images."""
