"""Notifications of how a run ended: messages through apprise, and GitHub's commit status."""
