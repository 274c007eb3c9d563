"""Sources of ready-made cells: they run in the notebook's kernel and import nothing of stepkit."""
