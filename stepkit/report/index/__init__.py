"""The index over many runs: runs.json and index.html, from the runs' records alone."""
