"""Hurt `stepkit execute-notebook` at random moments, and check what it leaves."""
