"""What the GPU did while a notebook ran: samples, timeline, metrics."""
