"""A trained generator in use: enlarge, evaluate, export, a page in the browser."""
