"""Read what a kernel had: the file that stepkit.kernel.kernel_facts writes in its process."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from stepkit.system import atomic_files

if TYPE_CHECKING:
    from pathlib import Path

VARIABLE: Final = "STEPKIT_KERNEL_FACTS"  # where the kernel's launcher finds the path of the file

_MOST_BYTES: Final = 1 << 20
_MOST_TEXT: Final = 200  # characters of a name or a version


@dataclass(frozen=True, kw_only=True)
class KernelFacts:
    """What the notebook's process had imported when its last cell ended.

    ``packages`` are versions by distribution; those for which the notebook has a name come first.
    The versions of CUDA are those of the runtime that was loaded and the latest that the driver
    can serve; ``""`` where nothing of CUDA was loaded.
    """

    python: str = ""
    cuda_runtime: str = ""
    cuda_driver: str = ""
    packages: Mapping[str, str] = field(default_factory=dict)


def read(path: Path) -> KernelFacts | None:
    """Return what the file says, None if the kernel wrote none.

    The notebook's code can write there, too: what is no text of the length of a version is left
    out.
    """
    try:
        content = atomic_files.read_at_most(path, _MOST_BYTES + 1)
        data = json.loads(content) if len(content) <= _MOST_BYTES else None
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(data, dict):
        return None
    packages = data.get("packages")
    return KernelFacts(
        python=_text(data.get("python")),
        cuda_runtime=_text(data.get("cuda_runtime")),
        cuda_driver=_text(data.get("cuda_driver")),
        packages={
            name: _text(version)
            for name, version in (packages.items() if isinstance(packages, dict) else ())
            if _text(name) and _text(version)
        },
    )


def _text(value: Any) -> str:
    fits = isinstance(value, str) and value.isprintable() and len(value) <= _MOST_TEXT
    return value if fits else ""
