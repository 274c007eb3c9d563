"""Build the container images without changing what their bases hold."""
