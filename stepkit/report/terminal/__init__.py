"""A run on a terminal: what report.html shows, as lines of text."""
