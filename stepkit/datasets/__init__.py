"""Datasets: downloaded, resumed, verified, cached for all runs, and unpacked."""
