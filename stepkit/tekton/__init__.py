"""Tekton: what the YAML of a Task or Pipeline says and what is wrong in it; runs in a cluster."""
