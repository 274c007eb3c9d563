"""Encode a notebook cell by cell, byte for byte as nbformat writes it.

At each save nbformat copies the notebook, splits its texts into lines and encodes all of it with
Python's slow indenting encoder. Here a cell is encoded once, and its texts by the fast encoder.
"""

from __future__ import annotations

import json
from json.encoder import encode_basestring
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

# MIME types of text that nbformat splits into lines although their names do not begin with text/.
_SPLIT = {"application/javascript", "image/svg+xml"}

HEAD = b'{\n "cells": ['  # before the first cell
FIRST = b"\n  "
BETWEEN = b",\n  "


def cell(node: Mapping[str, Any]) -> bytes:
    """Encode one cell as an item of the list of cells in a file."""
    parts: list[str] = []
    _write({name: _stored(name, node, value) for name, value in node.items()}, "  ", parts)
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


def _stored(name: str, node: Mapping[str, Any], value: Any) -> Any:
    """Return a field of a cell as nbformat stores it: texts as lines, nothing transient."""
    if name == "source" and isinstance(value, str):
        return value.splitlines(keepends=True)
    if name == "metadata":
        return {key: item for key, item in value.items() if key != "trusted"}
    if name == "attachments":
        return {key: _in_lines(item) for key, item in value.items()}
    if name == "outputs" and node.get("cell_type") == "code":
        return [_stored_output(output) for output in value]
    return value


def _stored_output(output: Mapping[str, Any]) -> Mapping[str, Any]:
    kind = output["output_type"]
    if kind in {"execute_result", "display_data"} and "data" in output:
        return {**output, "data": _in_lines(output["data"])}
    if kind == "stream" and isinstance(output["text"], str):
        return {**output, "text": output["text"].splitlines(keepends=True)}
    return output


def _in_lines(bundle: Mapping[str, Any]) -> dict[str, Any]:
    def is_text(mime: str, value: Any) -> bool:
        return isinstance(value, str) and (mime.startswith("text/") or mime in _SPLIT)

    return {m: v.splitlines(keepends=True) if is_text(m, v) else v for m, v in bundle.items()}


def _write(value: Any, indent: str, parts: list[str]) -> None:
    """Append ``json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False)``."""
    if isinstance(value, str):
        parts.append(encode_basestring(value))
    elif isinstance(value, dict) and value:
        inner = indent + " "
        before = "{\n"
        for name in sorted(value):
            key = name if isinstance(name, str) else json.dumps(name)
            parts.append(f"{before}{inner}{encode_basestring(key)}: ")
            _write(value[name], inner, parts)
            before = ",\n"
        parts.append(f"\n{indent}}}")
    elif isinstance(value, list | tuple) and value:
        inner = indent + " "
        between = f",\n{inner}"
        before = f"[\n{inner}"
        if all(isinstance(item, str) for item in value):
            parts.append(before + between.join(map(encode_basestring, value)))
        else:
            for item in value:
                parts.append(before)
                _write(item, inner, parts)
                before = between
        parts.append(f"\n{indent}]")
    elif isinstance(value, bytes):
        parts.append(encode_basestring(value.decode("ascii")))
    else:
        parts.append(json.dumps(value))
