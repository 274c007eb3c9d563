"""Find symbolic links that lead out of a checkout, which another step would follow."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from stepkit.errors import Reason, UserCodeError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

logger = logging.getLogger(__name__)

_SHOWN: Final = 5


def check(checkout: Path, *, refuse: bool, ignore: Collection[str] = ()) -> None:
    """Warn of links that lead out of ``checkout``, or refuse them; not of entries in ``ignore``.

    Raises :class:`UserCodeError`, because the repository itself has the defect.
    """
    found = sorted(outside(checkout, ignore))
    if not found:
        return
    shown = ", ".join(f"{name} -> {target}" for name, target in found[:_SHOWN])
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    message = f"symbolic links lead out of the checkout: {shown}{more}"
    if refuse:
        message += ": remove them, or allow them with --outside-links warn"
        raise UserCodeError(message, reason=Reason.ARTIFACT_INVALID)
    logger.warning("%s", message)


def outside(checkout: Path, ignore: Collection[str] = ()) -> Iterator[tuple[str, str]]:
    """Yield the name and target of each link that leads out, directly or by other links."""
    root = Path(os.path.realpath(checkout))
    for folder, folders, names in os.walk(root):
        if Path(folder) == root:
            folders[:] = [name for name in folders if name not in {".git", *ignore}]
        for name in [*folders, *names]:
            path = Path(folder, name)
            if path.is_symlink() and not Path(os.path.realpath(path)).is_relative_to(root):
                yield str(path.relative_to(root)), str(path.readlink())
