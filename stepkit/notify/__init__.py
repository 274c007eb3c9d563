"""Tell people and GitHub how a run ended."""
