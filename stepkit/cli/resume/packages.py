"""Which packages a Python has, as one digest: those of this process, of kernels, of others."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# What our images, and those who start them, say of the image.
_IMAGE: Final = ("STEPKIT_COMMIT", "STEPKIT_BASE", "STEPKIT_IMAGE")
_KERNELS: Final = "share/jupyter/kernels"
_PACKAGES: Final = ("lib/python*/site-packages/*.dist-info", "conda-meta/*.json")


def of_machine() -> str:
    """Return a digest of this Python with its packages, the image, and the kernels with theirs."""
    facts: list[object] = [sys.version, platform.machine(), [os.environ.get(n) for n in _IMAGE]]
    facts.append(sorted(_names(Path(path).glob("*.dist-info") for path in sys.path)))
    facts.append(sorted(_names([Path(sys.prefix).glob(_PACKAGES[1])])))
    facts += [[str(spec), text, installed] for spec, text, installed in sorted(_kernels())]
    return _digest(facts)


def of_environment(directory: Path) -> str:
    """Return a digest of the packages in the environment ``directory``; "" without one."""
    if not directory.is_dir():
        return ""
    return _digest(sorted(_names(directory.glob(pattern) for pattern in _PACKAGES)))


def _kernels() -> Iterator[tuple[Path, str, str]]:
    """Yield each installed kernel's file, its text, and the packages of a Python other than ours.

    Raises :class:`OSError`.
    """
    roots = [Path(sys.prefix), Path("/usr/local"), Path("/usr"), Path.home() / ".local"]
    places = [root / _KERNELS for root in roots]
    data = os.environ.get("JUPYTER_PATH", "").split(os.pathsep)
    data.append(os.environ.get("JUPYTER_DATA_DIR", ""))
    places += [Path(path, "kernels") for path in data if path]
    for place in dict.fromkeys(places):
        for spec in place.glob("*/kernel.json"):
            text = spec.read_text(errors="replace")
            yield spec, text, _of_kernel(text)


def _of_kernel(text: str) -> str:
    try:
        program = Path(json.loads(text)["argv"][0])
    except (ValueError, KeyError, IndexError, TypeError, RecursionError):
        return ""
    own = not program.is_absolute() or str(program) == sys.executable
    return "" if own else of_environment(program.parent.parent)


def _names(found: Iterable[Iterable[Path]]) -> set[str]:
    return {path.name for paths in found for path in paths}


def _digest(facts: object) -> str:
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()
