"""Quality of single pictures, distances between sets of pictures."""
