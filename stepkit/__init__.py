"""Run GPU notebooks unattended: one command per pipeline step."""

__version__ = "0.1.0"
