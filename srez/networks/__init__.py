"""Generator and critic, layer by layer."""
