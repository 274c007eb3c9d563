"""The command line: arguments to a step's options, its outputs to results, report and exit code."""
