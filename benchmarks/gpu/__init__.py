"""Measure the GPU side of stepkit: allocators, falling back, faults, monitoring."""
