"""One HTTP client: requests with retries, limits, and tokens that reach one origin only."""
