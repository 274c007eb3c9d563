"""Record what the GPU did while a notebook ran: samples, timeline, metrics."""
