"""The Python API: what ``import stepkit`` offers, imported when it is used."""
