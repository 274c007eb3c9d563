"""Whether a notebook can use the GPU, and if not, the cause and its remedy."""
