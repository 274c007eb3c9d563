"""Artifacts: the files that outlive a run, their manifest, and where they are published."""
