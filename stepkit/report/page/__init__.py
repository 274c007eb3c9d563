"""report.html: the page that shows a run, made of its record alone."""
