"""Run stepkit as another user, as a pod does; only root can."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import commands
import pytest

ROOT = Path(__file__).parents[1]
RANDOM = 54321  # a uid without a passwd entry, as OpenShift hands out
_ENVIRONMENT = {
    "HOME": tempfile.gettempdir(),
    # Another Python than the one that runs the tests has its packages from here.
    "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]),
    "PYTHONDONTWRITEBYTECODE": "1",
}
_CODE = "import sys; from stepkit.cli.main import main; sys.exit(main())"


def stepkit_as(
    uid: int, *args: str | Path, group: int = 0, also: int | None = None
) -> subprocess.CompletedProcess[str]:
    """Run one command of stepkit as ``uid`` in ``group`` and ``also``, without privileges.

    The test needs the fixture ``volume``, which skips it where that is not possible.
    """
    process = process_as(uid, group=group, also=also)
    process["env"]["PATH"] = os.environ["PATH"]
    return commands.run(*process.pop("command"), *args, **process)


def process_as(uid: int, *, group: int = 0, also: int | None = None) -> dict[str, Any]:
    """Return command, environment and directory of a process of stepkit that runs as a user."""
    found = python()
    assert found
    command = [*_as(uid, group, also), found, "-P", "-c", _CODE]
    return {"command": command, "env": dict(_ENVIRONMENT), "cwd": "/"}


@cache
def python() -> str | None:
    """Return a Python that other users may run and that can import stepkit, or None."""
    if os.geteuid() != 0 or not shutil.which("setpriv"):
        return None
    for name in (sys.executable, "/usr/bin/python3"):
        command = [
            *_as(RANDOM, 0),
            name,
            "-P",
            "-c",
            "import git, jsonschema, tenacity, stepkit.cli.main",
        ]
        if not commands.run(*command, env=_ENVIRONMENT, cwd="/").returncode:
            return name
    return None


def _as(uid: int, gid: int, also: int | None = None) -> list[str]:
    groups = "--clear-groups" if also is None else f"--groups={also}"
    # setpriv looks for the program with root's permissions, env without.
    return ["setpriv", f"--reuid={uid}", f"--regid={gid}", groups, "env"]


@pytest.fixture
def volume() -> Iterator[Path]:
    """Yield a directory that every user can reach, with the mode that ``fsGroup`` 0 gives."""
    if python() is None:
        pytest.skip("needs root, setpriv, and a Python that other users may run")
    with tempfile.TemporaryDirectory(prefix="stepkit-volume-") as made:
        path = Path(made)
        path.chmod(0o2775)
        yield path
