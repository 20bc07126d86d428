"""Datasets: numbered pictures, which square of each is used, labels and features."""
