"""STEP_SUMMARY.md: how a run went, as Markdown for GitHub's job summary and for people."""
