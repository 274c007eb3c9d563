"""What runs inside the notebook's kernel process: it imports nothing of stepkit."""
