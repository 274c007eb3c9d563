"""Compare the outputs of a notebook that ran with those of a golden notebook, which is kept."""
