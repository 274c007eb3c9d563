"""Files, processes, signals and limits of the machine."""
