"""Give one reader inputs that atheris chooses by the code that they reach: an optional run.

For example, from the root of the tree, a minute for the reader of rules:

    PYTHONPATH=tests uv run --with atheris python -m fuzz.run_atheris rules -max_total_time=60
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any


def main() -> None:
    """Let the reader that is named first read until the limits of libFuzzer, which follow it."""
    atheris: Any = import_module("atheris")
    with atheris.instrument_imports(include=["stepkit"]):
        tests: Any = import_module("fuzz.test_readers")
    name, *limits = sys.argv[1:]
    reader = tests.READERS[name]
    with TemporaryDirectory() as seeds:
        for number, seed in enumerate(reader.seeds):
            Path(seeds, str(number)).write_bytes(seed)
        atheris.Setup([sys.argv[0], seeds, *limits], lambda data: tests.check(name, reader, data))
        atheris.Fuzz()


if __name__ == "__main__":
    main()
