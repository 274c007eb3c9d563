"""Prove the GPU side of stepkit on one NVIDIA GPU, one check at a time, before a deadline."""
