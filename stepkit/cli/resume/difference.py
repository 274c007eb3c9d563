"""What differs between the inputs of a step in two runs, in one sentence."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from stepkit.cli.resume.proof import RUN
from stepkit.formats.shorten import shorten

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_MOST_SHOWN: Final = 60  # characters of a value
_SHOWN_COMMIT: Final = 12  # characters


def between(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """Return the first difference that explains the most, "" if there is none."""
    return next(_differences(old, new), "")


def _differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    if old.get("stepkit") != new["stepkit"]:
        yield f"stepkit was {_shown(old.get('stepkit'))}, and is {new['stepkit']}"
    for name, was, now in _changed(old, new, "directories"):
        yield _of_directory(name.removeprefix(f"{RUN}/"), was, now)
    for name, was, now in _changed(old, new, "options"):
        yield f"--{name} was {_shown(was)}, and is {_shown(now)}"
    for name, _, _ in _changed(old, new, "files"):
        yield f"the file {name.replace(f'{RUN}/', '')} changed"
    for name, _, _ in _changed(old, new, "environments"):
        yield f"the packages in {name.removeprefix(f'{RUN}/')} changed"
    if old.get("packages") != new["packages"]:
        yield "the image, its Python, its packages or its kernels changed"
    if old != new:
        yield "its inputs are not those that this version compares"


def _changed(
    old: Mapping[str, Any], new: Mapping[str, Any], part: str
) -> Iterator[tuple[str, Any, Any]]:
    """Yield each entry of a part that is not as it was, with what it was and is."""
    was = old.get(part)
    was = was if isinstance(was, dict) else {}
    for name, now in new[part].items():
        if name not in was or was[name] != now:
            yield name, was.get(name), now


def _of_directory(name: str, old: Any, new: Mapping[str, Any]) -> str:
    was = old.get("commit") if isinstance(old, dict) else None
    if was != new["commit"]:
        before = str(was)[:_SHOWN_COMMIT] if was else "unknown"
        return f"{name} is at commit {new['commit'][:_SHOWN_COMMIT]}, and was at {before}"
    return f"the files in {name} changed"


def _shown(value: Any) -> str:
    return shorten(json.dumps(value, ensure_ascii=False), _MOST_SHOWN)
