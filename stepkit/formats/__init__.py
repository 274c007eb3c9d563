"""Text formats and units: YAML, JSON Schema, sizes, durations, suggestions for a misspelt word."""
