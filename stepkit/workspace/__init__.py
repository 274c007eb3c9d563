"""The directories of runs on a shared volume: how long they are kept, and whose they are."""
