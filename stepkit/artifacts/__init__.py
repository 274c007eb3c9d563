"""Artifacts: the files of a run that are kept, their manifest, and where they are published."""
