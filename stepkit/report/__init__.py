"""The report of a run, made from the reports of its steps alone."""
