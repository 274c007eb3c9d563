"""Compare stepkit with papermill, nbclient, nbconvert and the bare kernel, case by case."""
