"""The test repository: its environment, its pytest run, and the totals of its results."""
