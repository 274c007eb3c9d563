"""What this installation is: the package, the commit it was built from, the image under it."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING, Final

from stepkit import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping

# Set in the images (images/Containerfile), nowhere else.
COMMIT: Final = "STEPKIT_COMMIT"
BASE: Final = "STEPKIT_BASE"


def facts(environment: Mapping[str, str]) -> dict[str, str | None]:
    """Return what is known; ``commit`` and ``base`` are None outside our images."""
    return {
        "stepkit": __version__,
        "commit": environment.get(COMMIT) or None,
        "base": environment.get(BASE) or None,
        "python": platform.python_version(),
    }
