"""Measure stepkit beside the tools that it replaces; see README.md in this directory."""
