"""What stepkit says on a system that is not Linux."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

_NAMES: Final = {"darwin": "macOS", "win32": "Windows"}


def refuse(words: Sequence[str]) -> int:
    """Print the command line that does the same in a container; return the exit code."""
    from stepkit.tekton import image_names

    name = _NAMES.get(sys.platform, sys.platform)
    # With braces, for PowerShell takes $PWD: for a name.
    command = ["docker run --rm --init -v", '"${PWD}:/workspace"', image_names.image("cpu")]
    print(  # noqa: T201
        f"stepkit: error: it needs Linux, and this is {name}: run it in a container, "
        f"{' '.join(command)} {shlex.join(words) or '--help'}",
        file=sys.stderr,
    )
    return 2
