"""Check that a release can be made of this commit: `make release-check`.

Version, tag, names of images and CHANGELOG.md agree. Wheel and sdist have the same bytes when they
are built again, and the wheel also from the sdist. PyPI takes their metadata and shows README.md
with all links and pictures. Both are installed in empty environments of each interpreter, the
wheel runs `stepkit demo`, and what it brings has a licence that we accept. Both stay in --out.

What a release needs before its tag is listed. On a commit with the tag, it is an error.
"""

from __future__ import annotations

import argparse
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from release import agreement, distributions

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT: Final = Path(__file__).parents[1]
PYTHONS: Final = 3  # of pyproject.toml's requires-python


def main(argv: Sequence[str] | None = None) -> int:
    """Check all; return 1 where something is wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m release.check",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", type=Path, default=ROOT / "dist/release", help="%(default)s")
    parser.add_argument("pythons", nargs="*", metavar="PYTHON", help="interpreters to install on")
    arguments = parser.parse_args(argv)
    try:
        wrong = _check(arguments.out, arguments.pythons)
    except subprocess.CalledProcessError as error:
        output = f"{error.stdout or ''}{error.stderr or ''}".rstrip()
        wrong = [f"{shlex.join(map(str, error.cmd))} failed:\n{output}"]
    for line in wrong:
        print(f"release-check: {line}", file=sys.stderr)
    return int(bool(wrong))


def _check(out: Path, pythons: Sequence[str]) -> list[str]:
    tree = agreement.read(ROOT)
    missing = agreement.missing(tree)
    if len(pythons) < PYTHONS:
        missing.append(f"a Python of each version: there are {len(pythons)} of {PYTHONS}")
    wrong = agreement.problems(tree) + (missing if tree.tags else [])
    wrong += _try_files(out, pythons)
    if not tree.tags:
        print(*("before the release:", *missing), sep="\n    ")
    if not wrong:
        print(f"release-check: stepkit {tree.version} is in {out}")
    return wrong


def _try_files(out: Path, pythons: Sequence[str]) -> list[str]:
    shutil.rmtree(out, ignore_errors=True)
    with TemporaryDirectory(prefix="stepkit-release-") as scratch:
        files, wrong = distributions.build(ROOT, out, Path(scratch))
        wrong += distributions.metadata_problems(files)
        for python in pythons:
            wrong += distributions.try_on(python, files, Path(scratch, "environment"))
    return wrong


if __name__ == "__main__":
    sys.exit(main())
