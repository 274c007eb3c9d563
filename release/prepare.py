"""Give the tree a version: `python -m release.prepare 0.3.0`.

Writes it into stepkit/__init__.py, moves what CHANGELOG.md has as unreleased into its section, and
writes anew what is generated: images and version in tasks/, images/ and the documentation.
What is new joins the names of release/interface.txt, which later versions keep.
Until the version has its tag, the same command takes what was added since into the section.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import stepkit
from release import agreement, changelog, interface

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT: Final = Path(__file__).parents[1]


def main(argv: Sequence[str] | None = None) -> int:
    """Write all files, or say why not (exit code 2)."""
    parser = argparse.ArgumentParser(
        prog="python -m release.prepare",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("version", help="MAJOR.MINOR.PATCH: docs/api-stability.md says which")
    version = parser.parse_args(argv).version
    if refused := _refused(version):
        print(f"release.prepare: {refused}", file=sys.stderr)
        return 2
    _replace("stepkit/__init__.py", r'^__version__ = ".*"$', f'__version__ = "{version}"')
    if version != stepkit.__version__:  # the digests are those of the older images
        _replace("stepkit/tekton/images.toml", r'"sha256:[0-9a-f]+"', '""')
    changes = ROOT / "CHANGELOG.md"
    text = changes.read_text(encoding="utf-8")
    text = changelog.with_release(text, version, f"{datetime.now(UTC):%F}")
    changes.write_text(text, encoding="utf-8")
    interface.record(ROOT)
    return subprocess.run(
        [sys.executable, "-m", "tasks.generated"], cwd=ROOT, check=False
    ).returncode


def _replace(name: str, pattern: str, by: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    (ROOT / name).write_text(re.sub(pattern, by, text, flags=re.MULTILINE), encoding="utf-8")


def _refused(version: str) -> str:
    if not changelog.VERSION.fullmatch(version):
        return f"{version!r} is not a version, such as 0.3.0"
    if changelog.number(version) < changelog.number(stepkit.__version__):
        return f"{version} is older than stepkit {stepkit.__version__}"
    if agreement.git(ROOT, "tag", "--list", f"v{version}"):
        return f"v{version} is a tag already: name the next version"
    return ""


if __name__ == "__main__":
    sys.exit(main())
