"""Make the content of a kernel's message what a notebook can hold."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

_JSON: Final = re.compile(r"application/(.*\+)?json\Z")  # types whose data is JSON, in nbformat
_DEEPEST: Final = 300  # levels of JSON: nbformat recurses, in Python 3.11 twice for each


def repair(kind: str, content: Any) -> tuple[dict[str, Any], list[str]]:
    """Return the content of a message of type ``kind``, and what was wrong with it.

    What is missing or has the wrong type is replaced; an output of which nothing can be shown
    becomes a note.
    """
    faults: list[str] = []
    fields = dict(content) if isinstance(content, dict) else {}
    if kind in {"display_data", "update_display_data", "execute_result"}:
        _repair_display(fields, faults)
    elif kind == "stream":
        _replace_unless(fields, "name", str, "stderr", faults)
        _replace_unless(fields, "text", str, "", faults)
        fields["text"] = fields["text"] or _note(faults)
    elif kind == "error":
        _replace_unless(fields, "ename", str, "Error", faults)
        _replace_unless(fields, "evalue", str, "", faults)
        if not _is_text(fields.get("traceback")):
            fields["traceback"] = []
            faults.append("traceback")
    elif kind == "status":
        _replace_unless(fields, "execution_state", str, "", faults)
    elif kind.startswith("comm"):
        _repair_comm(fields, faults)
    if kind == "execute_result" or "execution_count" in fields:
        _replace_unless(fields, "execution_count", int | None, None, faults)
    return fields, faults


def _repair_display(fields: dict[str, Any], faults: list[str]) -> None:
    _replace_unless(fields, "data", dict, {}, faults)
    _replace_unless(fields, "metadata", dict, {}, faults)
    if _is_too_deep(fields["metadata"]):
        fields["metadata"] = {}
        faults.append("metadata")
    shown = fields.get("transient") or {}
    if not isinstance(shown, dict) or not isinstance(shown.get("display_id"), str | int | None):
        fields["transient"] = {}
        faults.append("transient")
    data = fields["data"]
    fields["data"] = {mime: value for mime, value in data.items() if _fits(mime, value)}
    faults += [f"data[{mime!r}]" for mime in data.keys() - fields["data"].keys()]
    if faults and not fields["data"]:
        fields["data"] = {"text/plain": _note(faults)}


def _repair_comm(fields: dict[str, Any], faults: list[str]) -> None:
    """Repair a message of a widget; other libraries may send any data in such messages."""
    _replace_unless(fields, "comm_id", str, "", faults)
    data = fields.get("data")
    if not isinstance(data, dict):
        fields["data"] = {}
    elif not isinstance(data.get("state", {}), dict):
        fields["data"] = {}
        faults.append("state")


def _fits(mime: str, value: Any) -> bool:
    """Return whether a notebook can hold ``value`` as data of type ``mime``."""
    if _JSON.match(mime):
        return not _is_too_deep(value)
    return isinstance(value, str) or _is_text(value)


def _replace_unless(
    fields: dict[str, Any], name: str, kind: Any, default: Any, faults: list[str]
) -> None:
    if name not in fields or not isinstance(fields[name], kind):
        fields[name] = default
        faults.append(name)


def _note(faults: list[str]) -> str:
    named = ", ".join(faults)
    return f"[stepkit: the kernel sent an output without a valid {named}]\n" if faults else ""


def _is_text(value: Any) -> bool:
    """Return whether ``value`` is text in lines."""
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _is_too_deep(value: Any) -> bool:
    level = [value]
    for _ in range(_DEEPEST):
        level = [item for part in level for item in _items(part) if isinstance(item, dict | list)]
        if not level:
            return False
    return True


def _items(part: Any) -> Iterable[Any]:
    return part.values() if isinstance(part, dict) else part if isinstance(part, list) else ()
