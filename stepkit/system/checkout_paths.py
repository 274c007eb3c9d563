"""Where a file lies in the git repository whose checkout it is in."""

from __future__ import annotations

import os
from pathlib import Path


def in_repository(path: str) -> str:
    """Return ``path`` relative to the nearest directory above it that has a ``.git``.

    A path that is not a file, or is in no checkout, is returned as it is. Links are not followed.
    """
    file = Path(path)
    try:
        if not file.is_file():
            return path
        whole = Path(os.path.normpath(file.absolute()))
        checkouts = (above for above in whole.parents if (above / ".git").exists())
        nearest = next(checkouts, None)
    except (OSError, ValueError):
        return path
    return str(whole.relative_to(nearest)) if nearest else path
