"""The files with which a repository of notebooks begins, for ``stepkit init``."""
