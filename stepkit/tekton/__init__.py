"""Tekton's YAML: what a Task or Pipeline says, and what is wrong in it."""
