"""Let every user read what only the group of the base image can read.

    python -P open_prefix.py --limit 64

In RAPIDS' image, /opt/conda is readable for root and the group `conda` only: an arbitrary user id,
as OpenShift assigns, cannot start Python. A directory's mode changes at no cost; a file is copied
into the new layer when its mode changes. If these files are larger than the limit together, nothing
is changed and the exit code is 1. Only permissions to read and execute are added.
"""

from __future__ import annotations

import argparse
import os
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Open this Python's prefix and return 0, or 1 where that would copy too much."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--prefix", type=Path, default=Path(sys.prefix), help="what to open")
    parser.add_argument("--limit", type=float, required=True, metavar="MB", help="0 for: do not")
    arguments = parser.parse_args(argv)
    if not arguments.limit:
        print(f"{arguments.prefix} is left to its group")
        return 0
    found = closed(arguments.prefix)
    size = sum(path.stat().st_size for path in found if path.is_file()) / 1e6
    if size > arguments.limit:
        print(
            f"open_prefix: {len(found)} entries of {arguments.prefix} are closed to others; opening"
            f" them copies {size:.0f} MB, more than {arguments.limit:.0f}: allow it with"
            " OPEN_LIMIT, or set OPEN_LIMIT=0 and run with the base's group (--group-add,"
            " supplementalGroups)",
            file=sys.stderr,
        )
        return 1
    for path, mode in found.items():
        path.chmod(mode)
    print(f"opened {len(found)} entries of {arguments.prefix} to all users ({size:.1f} MB copied)")
    return 0


def closed(prefix: Path) -> dict[Path, int]:
    """Return the files and directories that others cannot read, with the modes that they need."""
    found = {}
    for directory, _, names in os.walk(prefix):
        for path in [Path(directory), *(Path(directory, name) for name in names)]:
            mode = path.lstat().st_mode
            if stat.S_ISLNK(mode):
                continue
            wanted = mode | stat.S_IROTH | (stat.S_IXOTH if mode & stat.S_IXUSR else 0)
            if wanted != mode:
                found[path] = stat.S_IMODE(wanted)
    return found


if __name__ == "__main__":
    sys.exit(main())
