"""The parts of a training: losses, optimizers, replicas, checkpoints, limits, what it writes and tells."""
