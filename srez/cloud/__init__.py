"""A training on a rented machine: supervised, synchronized, warned of preemption."""
