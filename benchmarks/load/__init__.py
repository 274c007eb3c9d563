"""What stepkit bears: many runs, notebooks and files at once, large data, long notebooks."""
