"""A run and a trained network on disk."""
