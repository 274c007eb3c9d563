"""Notebook JSON piece by piece, byte for byte what nbformat writes of the whole.

nbformat copies the notebook, cuts its texts into lines and encodes all of it with Python's slow
indenting encoder, at each save. Here a cell is encoded once, and its texts by the fast encoder.
"""

from __future__ import annotations

import json
from json.encoder import encode_basestring
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

# Mime types of text that nbformat cuts into lines although their names do not begin with text/.
_LINES = {"application/javascript", "image/svg+xml"}


def cell(node: Mapping[str, Any]) -> bytes:
    """Encode one cell as it stands in a file, at its place in the list of cells."""
    parts: list[str] = []
    _write({name: _shaped(name, node, value) for name, value in node.items()}, "  ", parts)
    return "".join(parts).encode("utf-8", "surrogatepass")


def tail(nb: Mapping[str, Any]) -> bytes:
    """Encode what follows the last cell, to the end of the file."""
    transient = {"orig_nbformat", "orig_nbformat_minor", "signature"}
    rest = {name: value for name, value in nb.items() if name != "cells"}
    rest["metadata"] = {n: v for n, v in nb["metadata"].items() if n not in transient}
    parts: list[str] = []
    _write(rest, "", parts)
    end = "\n ]," if nb["cells"] else "],"
    return (end + "".join(parts)[1:] + "\n").encode("utf-8", "surrogatepass")


HEAD = b'{\n "cells": ['  # what stands before the first cell, between two, and after the last
FIRST = b"\n  "
BETWEEN = b",\n  "


def _shaped(name: str, node: Mapping[str, Any], value: Any) -> Any:
    """Return a cell's part as nbformat stores it: texts in lines, nothing transient."""
    if name == "source" and isinstance(value, str):
        return value.splitlines(keepends=True)
    if name == "metadata":
        return {key: item for key, item in value.items() if key != "trusted"}
    if name == "attachments":
        return {key: _in_lines(item) for key, item in value.items()}
    if name == "outputs" and node.get("cell_type") == "code":
        return [_output(output) for output in value]
    return value


def _output(output: Mapping[str, Any]) -> Mapping[str, Any]:
    kind = output["output_type"]
    if kind in {"execute_result", "display_data"} and "data" in output:
        return {**output, "data": _in_lines(output["data"])}
    if kind == "stream" and isinstance(output["text"], str):
        return {**output, "text": output["text"].splitlines(keepends=True)}
    return output


def _in_lines(bundle: Mapping[str, Any]) -> dict[str, Any]:
    def is_text(mime: str, value: Any) -> bool:
        return isinstance(value, str) and (mime.startswith("text/") or mime in _LINES)

    return {m: v.splitlines(keepends=True) if is_text(m, v) else v for m, v in bundle.items()}


def _write(value: Any, indent: str, parts: list[str]) -> None:
    """Append ``json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False)``."""
    if isinstance(value, str):
        parts.append(encode_basestring(value))
    elif isinstance(value, dict):
        _write_items(value, indent, parts)
    elif isinstance(value, list | tuple):
        _write_list(value, indent, parts)
    elif isinstance(value, bytes):
        parts.append(encode_basestring(value.decode("ascii")))
    else:
        parts.append(json.dumps(value))


def _write_items(value: dict[Any, Any], indent: str, parts: list[str]) -> None:
    if not value:
        parts.append("{}")
        return
    inner = indent + " "
    before = "{\n"
    for name in sorted(value):
        key = name if isinstance(name, str) else json.dumps(name)
        parts.append(f"{before}{inner}{encode_basestring(key)}: ")
        _write(value[name], inner, parts)
        before = ",\n"
    parts.append(f"\n{indent}}}")


def _write_list(value: list[Any] | tuple[Any, ...], indent: str, parts: list[str]) -> None:
    if not value:
        parts.append("[]")
        return
    inner = indent + " "
    between = f",\n{inner}"
    parts.append(f"[\n{inner}")
    if all(isinstance(item, str) for item in value):
        parts.append(between.join(map(encode_basestring, value)))
    else:
        for number, item in enumerate(value):
            if number:
                parts.append(between)
            _write(item, inner, parts)
    parts.append(f"\n{indent}]")
