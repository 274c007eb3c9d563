"""nbclient as its documentation shows it: execute, then write."""

from __future__ import annotations

import sys

import nbformat
from nbclient import NotebookClient


def main(source: str, target: str) -> None:
    """Execute the notebook ``source`` and write it to ``target``."""
    notebook = nbformat.read(source, as_version=4)
    NotebookClient(notebook, kernel_name="python3").execute()
    nbformat.write(notebook, target)


if __name__ == "__main__":
    main(*sys.argv[1:])
