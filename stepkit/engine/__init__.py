"""Run a notebook's cells, one after the other, without losing outputs.

papermill prepares the notebook and nbclient talks to the kernel. The engine decides when the file
is saved, how outputs are joined, how a run is stopped, and which processes end with it.
"""
