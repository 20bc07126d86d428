"""A trained generator in use: enlarge, evaluate, export."""
