"""Install locked packages beside those of a base image, none of which may change.

    python -P install.py --lock requirements.txt [--wheel stepkit.whl] [--may-change nbconvert]

Packages of the base keep their versions; those that it lacks come from the lock, by their hashes.
Afterwards every file of the base is compared with what it was, and `pip check` must report nothing
new. Each difference is named, and the exit code is 1. Needs only pip and the standard library of
the base's Python.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# What pip can compare (PEP 440); conda packages may have other versions.
_VERSION: Final = re.compile(r"(\d+!)?\d+(\.\d+)*((a|b|rc)\d+)?(\.post\d+)?(\.dev\d+)?(\+[\w.]+)?")
_EXTRAS: Final = "notify,s3,tests"  # of stepkit: wheel.sh takes the same from the lock
_PIN: Final = re.compile(r"(?P<name>[A-Za-z0-9._-]+)==\S+")
_SHOWN: Final = 20  # changes that are named one by one


@dataclass(frozen=True, kw_only=True)
class State:
    """What is installed: versions by name, (size, mtime in ns) by file, output of `pip check`."""

    packages: dict[str, str]
    files: dict[Path, tuple[int, int]]
    complaints: frozenset[str]


def main(argv: Sequence[str] | None = None) -> int:
    """Install, compare, and return 0 only if nothing of the base changed."""
    arguments = _arguments(argv)
    allowed = {normalized(name) for name in arguments.may_change}
    before = installed()
    free = set().union(*(_files_of(name) for name in allowed))
    had = {**before.packages, **dict.fromkeys(map(normalized, arguments.leave_out), "")}
    wanted = missing(arguments.lock.read_text(encoding="utf-8"), had, allowed)
    if arguments.wheel:
        wanted.append(_own(arguments.wheel))
    kept = constraints(before.packages, allowed)
    if _install(wanted, kept, arguments.from_source):
        print("install: pip cannot add these packages without changing the base", file=sys.stderr)
        return 1
    after = installed()
    if wrong := changes(before, after, allowed, free):
        for line in wrong[:_SHOWN]:
            print(f"install: {line}", file=sys.stderr)
        print(f"install: the base was changed in {len(wrong)} places", file=sys.stderr)
        return 1
    added = after.files.keys() - before.files.keys()
    size = sum(after.files[path][0] for path in added) / 1e6
    count = len(after.packages.keys() - before.packages.keys())
    print(
        f"added {count} packages ({size:.1f} MB) to {len(before.packages)}; none of these changed"
    )
    return 0


def installed() -> State:
    """Return what is installed for this Python."""
    packages = {
        normalized(found.name): found.version
        for found in metadata.distributions()
        if found.name  # None for a directory that an uninstall left
    }
    prefix = Path(sys.prefix)
    files = {path: (s.st_size, s.st_mtime_ns) for path, s in _walk(prefix)}
    command = [sys.executable, "-m", "pip", "check", "--disable-pip-version-check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    complaints = frozenset(done.stdout.splitlines()) if done.returncode else frozenset()
    return State(packages=packages, files=files, complaints=complaints)


def normalized(name: str) -> str:
    """Write a package's name in the one way that the index does (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def constraints(packages: dict[str, str], allowed: set[str]) -> list[str]:
    """Return a pip constraint for each package of the base that must not change."""
    return [
        f"{name}=={version}"
        for name, version in sorted(packages.items())
        if name not in allowed and _VERSION.fullmatch(version)
    ]


def missing(lock: str, packages: dict[str, str], allowed: set[str]) -> list[str]:
    """Return the requirements of ``lock``, hashes and all, that the base does not have."""
    found = []
    for line in lock.replace("\\\n", " ").splitlines():
        pin = _PIN.match(line)
        if pin and (normalized(pin["name"]) not in packages.keys() - allowed):
            found.append(" ".join(line.split()))
    return found


def changes(before: State, after: State, allowed: set[str], free: set[Path]) -> list[str]:
    """Name what was removed or changed, except ``allowed`` packages and ``free`` files."""
    wrong = []
    for name, version in before.packages.items():
        now = after.packages.get(name)
        if now != version and name not in allowed:
            wrong.append(f"{name} {version} became {now or 'nothing'}")
    for path, stamp in before.files.items():
        if after.files.get(path) != stamp and path not in free:
            wrong.append(f"{path} was {'changed' if path in after.files else 'removed'}")
    return wrong + [f"pip: {line}" for line in sorted(after.complaints - before.complaints)]


def _own(wheel: Path) -> str:
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    name = wheel.name.partition("-")[0]
    return f"{name}[{_EXTRAS}] @ {wheel.resolve().as_uri()} --hash=sha256:{digest}"


def _install(wanted: Sequence[str], kept: Sequence[str], from_source: Sequence[str]) -> int:
    with tempfile.TemporaryDirectory() as directory:
        base, new = Path(directory, "base.txt"), Path(directory, "new.txt")
        base.write_text("\n".join(kept), encoding="utf-8")
        new.write_text("\n".join(wanted), encoding="utf-8")
        command = [sys.executable, "-m", "pip", "install", "--no-cache-dir", "--compile"]
        command += ["--progress-bar=off", "--root-user-action=ignore"]
        command += ["--disable-pip-version-check", "--require-hashes", "--only-binary=:all:"]
        command += [f"--no-binary={name}" for name in from_source]
        command += [f"--constraint={base}", f"--requirement={new}"]
        return subprocess.run(command, check=False).returncode  # noqa: S603 - no shell


def _walk(directory: Path) -> Iterator[tuple[Path, os.stat_result]]:
    for entry in os.scandir(directory):
        if entry.is_dir(follow_symlinks=False):
            if entry.name != "__pycache__":
                yield from _walk(Path(entry.path))
        else:
            yield Path(entry.path), entry.stat(follow_symlinks=False)


def _files_of(name: str) -> set[Path]:
    try:
        found = metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return set()
    return {Path(os.path.normpath(str(found.locate_file(path)))) for path in found.files or ()}


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--lock", type=Path, required=True, help="pinned requirements with hashes")
    parser.add_argument("--wheel", type=Path, help="wheel to install too, with its extras")
    parser.add_argument(
        "--may-change", nargs="*", default=[], metavar="NAME", help="packages that may be replaced"
    )
    parser.add_argument(
        "--leave-out", nargs="*", default=[], metavar="NAME", help="packages of the lock to omit"
    )
    parser.add_argument(
        "--from-source", nargs="*", default=[], metavar="NAME", help="packages without a wheel"
    )
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
