"""Sources of ready-made cells: they run in the notebook's kernel and do not import stepkit."""
