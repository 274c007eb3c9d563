"""The execution engine: a notebook's cells, one after the other, with nothing lost on the way.

nbclient speaks to the kernel and papermill prepares the notebook; what is here decides when the
file is written, how outputs are joined, how a run is stopped, and what is left afterwards.
"""
