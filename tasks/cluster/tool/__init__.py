"""Ask a cluster what stepkit needs to know of it: `make cluster-check`, `make cluster-logs`.

From the standard library and kubectl alone, and only reading.
"""
