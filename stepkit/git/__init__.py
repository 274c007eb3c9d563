"""Git: one revision of a repository in one directory, whole or not at all."""
