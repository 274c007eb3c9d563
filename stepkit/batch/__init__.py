"""Several notebooks in one run: which, in what order, each in a process of its own."""
