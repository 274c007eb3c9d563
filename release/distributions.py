"""Build wheel and sdist of a commit, and try them as a stranger would."""

from __future__ import annotations

import email
import filecmp
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from release.agreement import git

# What the wheel may bring: a part of the licence's name, or of its SPDX identifier.
LICENCES: Final = (
    "Apache", "BSD", "ISC", "MIT", "MPL-2.0", "Mozilla Public License 2.0", "PSF-2.0",
    "Python Software Foundation",
)  # fmt: skip


@dataclass(frozen=True)
class Distributions:
    """The two files of a release."""

    wheel: Path
    sdist: Path


def build(root: Path, out: Path, scratch: Path) -> tuple[Distributions, list[str]]:
    """Build HEAD of the repository ``root`` into ``out``; return what differs if it is built anew.

    Anew means from a clone at another place with another umask, and the wheel also from the sdist,
    which has all files of the commit.
    """
    epoch = git(root, "show", "--no-patch", "--format=%ct", "HEAD").strip()
    clones = scratch / "one", scratch / "a longer name of a directory/two"
    for clone in clones:
        git(root, "clone", "--quiet", "--no-hardlinks", str(root), str(clone))
    first = _built(clones[0], out, epoch)
    again = _built(clones[1], scratch / "again", epoch, umask=0o077)
    with tarfile.open(first.sdist) as archive:
        archive.extractall(scratch / "unpacked", filter="data")
    (unpacked,) = (scratch / "unpacked").iterdir()
    lacks = [
        name
        for name in git(clones[0], "ls-files", "-z").split("\0")[:-1]
        if not os.path.lexists(unpacked / name)
    ]
    from_sdist = _built(unpacked, scratch / "from-sdist", epoch)
    different = [f"{first.sdist.name} lacks {', '.join(lacks)}"] * bool(lacks)
    different += [
        f"{one.name} is not the same {how}"
        for one, other, how in (
            (first.wheel, again.wheel, "when the commit is built again"),
            (first.sdist, again.sdist, "when the commit is built again"),
            (first.wheel, from_sdist.wheel, "when it is built from the sdist"),
        )
        if not filecmp.cmp(one, other, shallow=False)
    ]
    return first, different


def _built(source: Path, out: Path, epoch: str, umask: int = 0o022) -> Distributions:
    command = [sys.executable, "-P", "-m", "hatchling", "build", "-d", str(out)]
    environment = {**os.environ, "SOURCE_DATE_EPOCH": epoch}
    subprocess.run(
        command, cwd=source, env=environment, umask=umask, capture_output=True, check=True
    )
    (wheel,), (sdist,) = out.glob("*.whl"), out.glob("*.tar.gz")
    return Distributions(wheel, sdist)


def metadata_problems(files: Distributions) -> list[str]:
    """Return what PyPI would refuse, and links of the page there that lead nowhere."""
    command = [sys.executable, "-m", "twine", "--no-color", "check", "--strict"]
    done = subprocess.run(
        [*command, files.wheel, files.sdist], capture_output=True, text=True, check=False
    )
    return [done.stdout + done.stderr] * bool(done.returncode) + broken_links(page(files.wheel))


def page(wheel: Path) -> str:
    """Return README.md as PyPI renders it, as HTML."""
    from readme_renderer import markdown

    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        description = email.message_from_bytes(archive.read(name)).get_payload(decode=True)
    assert isinstance(description, bytes)
    return markdown.render(description.decode()) or ""


def broken_links(html: str) -> list[str]:
    """Return links and pictures that need the repository, or a heading that is not there."""
    anchors = set(re.findall(r'\b(?:id|name)="([^"]+)"', html))
    return [
        f"README.md: {target} leads nowhere on PyPI"
        for target in re.findall(r'\b(?:href|src)="([^"]*)"', html)
        if not (target.startswith("https://") or target.removeprefix("#") in anchors)
    ]


def try_on(python: str, files: Distributions, place: Path) -> list[str]:
    """Install each file in an empty environment of an interpreter; return what went wrong.

    The wheel also runs the demo, and all that it brings has a licence of :data:`LICENCES`.
    """
    wrong = []
    for file in (files.sdist, files.wheel):
        uv = [sys.executable, "-m", "uv"]
        _run(*uv, "venv", "--quiet", "--clear", "--no-python-downloads", "--python", python, place)
        _run(*uv, "pip", "install", "--quiet", "--python", place, f"{file}[tests]")
        said = _run(place / "bin/stepkit", "--version", cwd=place)
        if said.split()[-1] not in file.name:
            wrong.append(f"{file.name}: stepkit --version says {said.strip()}")
    _run(place / "bin/stepkit", "demo", "--directory", place / "demo", cwd=place)
    allowed = ["--from=mixed", "--partial-match", f"--allow-only={';'.join(LICENCES)}"]
    _run(sys.executable, "-m", "piplicenses", "--python", place / "bin/python", *allowed)
    return wrong


def _run(*command: str | Path, cwd: Path | None = None) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout
