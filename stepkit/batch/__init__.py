"""Run several notebooks in order, each in its own process."""
