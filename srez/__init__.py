"""srez: GANs that turn 16x16 faces into 64x64 ones."""
