"""Drawn faces: the built-in dataset."""
