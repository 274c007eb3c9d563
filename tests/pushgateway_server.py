"""Prometheus' own Pushgateway and promtool, where they are installed."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest


def program(*names: str) -> str:
    """Return the first program of these names that is installed; skip the test without any."""
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        pytest.skip(f"there is no {names[0]} (of Debian's prometheus, prometheus-pushgateway)")
    return found


@contextmanager
def pushgateway(*arguments: str | Path) -> Iterator[str]:
    """Run a Pushgateway on a free port, and yield its address."""
    command = [
        program("prometheus-pushgateway", "pushgateway"),
        "--web.listen-address=127.0.0.1:0",
        "--persistence.file=",  # Debian's keeps what it gets for the next one
        *arguments,
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr
            addresses = (re.search(r"address=(127\.0\.0\.1:\d+)", line) for line in process.stderr)
            yield next(f"http://{found[1]}" for found in addresses if found)
        finally:
            process.terminate()


def groups(url: str) -> list[dict[str, Any]]:
    """Return what a Pushgateway holds: labels, and each metric by its name."""
    with urlopen(f"{url}/api/v1/metrics") as answer:
        found: list[dict[str, Any]] = json.load(answer)["data"]
    return found
