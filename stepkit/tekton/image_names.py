"""The names of the container images of this version, from ``images.toml``.

Imports nothing but the standard library: the images are built without stepkit's dependencies.
"""

from __future__ import annotations

import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Any, Final

import stepkit

SUFFIXES: Final = {"gpu": "", "cpu": "-cpu", "notebook": "-notebook"}  # of the tag, by kind

_FILE: Final = Path(__file__).with_name("images.toml")
_NAMED: Final = re.compile(
    r"(?:[\w.-]+(?::\d+)?/)*\bstepkit:\d[\w.]*(?P<suffix>-cpu|-notebook|)(?:@sha256:[0-9a-f]{64})?"
)


@cache
def _published() -> dict[str, Any]:
    return tomllib.loads(_FILE.read_text(encoding="utf-8"))


def image(kind: str, name: str = "") -> str:
    """Return the whole name of an image: that of the published one, or with another ``name``.

    ``name`` has a registry and no tag; a digest belongs to published images alone.
    """
    published = _published()
    digest = "" if name else published["digests"][kind]
    tagged = f"{name or published['name']}:{stepkit.__version__}{SUFFIXES[kind]}"
    return f"{tagged}@{digest}" if digest else tagged


def fill(text: str, name: str = "") -> str:
    """Return ``text``, YAML of a Task or Pipeline, with all images of stepkit as :func:`image`."""
    kinds = {suffix: kind for kind, suffix in SUFFIXES.items()}
    return _NAMED.sub(lambda found: image(kinds[found["suffix"]], name), text)
