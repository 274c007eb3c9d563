"""What a step's report must look like to be shown; anything else is refused in one line.

A report may be half written, edited by hand or from another version: whoever renders it relies
on what is checked here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from stepkit.formats.shorten import shorten

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SCHEMA_FAMILY: Final = "stepkit.report/"
KNOWN_STATUSES: Final = frozenset({"succeeded", "tolerated", "failed", "cancelled"})

_MOST: Final = 10**15  # no count, size or duration of ours is larger


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) <= _MOST  # so neither infinite nor NaN; a clock may go back


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= _MOST


def _flag(value: Any) -> bool:
    return isinstance(value, bool)


def _list_of(check: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and all(map(check, value))


_texts: Final = _list_of(_text)
_wholes: Final = _list_of(_whole)
_objects: Final = _list_of(lambda value: isinstance(value, dict))


def _or_none(check: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or check(value)


_REPORT: Final = {
    "schema": _text, "step": _text, "status": _text, "reason": _text, "message": _text,
    "started": _text, "exit_code": _or_none(_whole), "seconds": _number,
}  # fmt: skip
_ARTIFACT: Final = {"path": _text, "size": _number, "sha256": _text}
_CELL: Final = {
    "number": _or_none(_whole), "seconds": _or_none(_number), "status": _text,
    "first_line": _text, "ename": _text, "evalue": _text,
}  # fmt: skip
_FAILURE: Final = {"name": _text, "message": _text, "allowed": _flag, "reason": _text}
_CHANGE: Final = {
    "rule": _text, "cell": _or_none(_whole), "id": _or_none(_text), "what": _text,
}  # fmt: skip
_NOTEBOOK: Final = {
    **dict.fromkeys(("name", "status", "message", "until"), _text), "seconds": _number,
    "cells_run": _or_none(_whole), "cells_total": _or_none(_whole), "tolerated": _whole,
    "report": _or_none(_text),
}  # fmt: skip
_ATTEMPT: Final = {
    "number": _whole, "rung": _text, "status": _text, "message": _text, "seconds": _number,
}  # fmt: skip
_GPU: Final = {"devices": _objects, "errors": _texts}
_DEVICE: Final = {
    "name": _text, "memory_total": _number, "memory_peak": _number, "utilisation_mean": _number,
    "power_max": _number, "temperature_max": _number, "ecc_uncorrected": _whole,
    "retired": _whole, "xids": _wholes, "clock_reasons": _texts,
}  # fmt: skip
_GUARD: Final = {"active": _flag, "warnings": _texts}
_OUTPUTS: Final = {
    "git-clone": {"commit": _text},
    "execute-notebook": {
        "cells-run": _whole,
        "cells-total": _whole,
        "variant": _text,
        "allocator": _text,
    },
    "execute-notebooks": dict.fromkeys(
        ("total", "passed", "tolerated", "failed", "cancelled", "skipped", "not-run"), _whole
    ),
    "run-tests": {
        **dict.fromkeys(("total", "passed", "failed", "errors", "skipped", "allowed"), _whole),
        **dict.fromkeys(("coverage", "installer", "installer-reason"), _text),
    },
}
_ITEMS: Final[Mapping[str, Mapping[str, Mapping[str, Callable[[Any], bool]]]]] = {
    "execute-notebook": {"cells": _CELL, "changes": _CHANGE, "attempts": _ATTEMPT},
    "execute-notebooks": {"notebooks": _NOTEBOOK},
    "run-tests": {"failures": _FAILURE},
}
_ADDED_LATER: Final = {
    "tolerance": _text,
    "applied": _flag,
    "gpu_peak": _or_none(_number),
}  # to items; reports of older versions lack it


def check(data: Any) -> Mapping[str, Any]:
    """Return ``data``, a report that can be shown.

    Raises :class:`ValueError` that names the part which is not as it must be.
    """
    report = _mapping(data, "the report")
    _fields(report, _REPORT, "")
    if not report["schema"].startswith(SCHEMA_FAMILY):
        raise ValueError(f"unknown schema {report['schema']!r}")
    if report["status"] not in KNOWN_STATUSES:
        raise ValueError(f"unknown status {report['status']!r}")
    for name, version in _mapping(report.get("versions", {}), "versions").items():
        _fields({name: version}, {name: _text}, "versions.")
    _items(report.get("artifacts", []), _ARTIFACT, "artifacts")
    outputs = _mapping(report.get("outputs", {}), "outputs")
    wanted: Mapping[str, Callable[[Any], bool]] = _OUTPUTS.get(report["step"], {})
    given = {name: value for name, value in outputs.items() if value is not None}
    _fields(given, {name: test for name, test in wanted.items() if name in given}, "outputs.")
    for name, shape in _ITEMS.get(report["step"], {}).items():
        _items(given.get(name, []), shape, f"outputs.{name}")
    if report["step"] == "execute-notebook":
        _gpu(given)
    return report


def _gpu(outputs: Mapping[str, Any]) -> None:
    """Check what the driver and the guard told, each part of which may be unknown."""
    gpu = _mapping(outputs.get("gpu", {}), "outputs.gpu")
    _known_fields(gpu, _GPU, "outputs.gpu.")
    _items(gpu.get("devices") or [], {"index": _whole}, "outputs.gpu.devices")
    for number, device in enumerate(gpu.get("devices") or []):
        _known_fields(device, _DEVICE, f"outputs.gpu.devices[{number}].")
    guard = _mapping(outputs.get("guard", {}), "outputs.guard")
    _known_fields(guard, _GUARD, "outputs.guard.")


def _known_fields(
    data: Mapping[str, Any], shape: Mapping[str, Callable[[Any], bool]], where: str
) -> None:
    known = {name: right for name, right in shape.items() if data.get(name) is not None}
    _fields(data, known, where)


def _mapping(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{where} is no object")  # noqa: TRY004 - the file's fault, not ours
    return value


def _items(value: Any, shape: Mapping[str, Callable[[Any], bool]], where: str) -> None:
    if not isinstance(value, list):
        raise ValueError(f"{where} is no list")  # noqa: TRY004 - the file's fault, not ours
    for number, item in enumerate(value):
        place = f"{where}[{number}]"
        _fields(_mapping(item, place), shape, f"{place}.")
        later = {name: right for name, right in _ADDED_LATER.items() if name in item}
        _fields(item, later, f"{place}.")


def _fields(
    data: Mapping[str, Any], shape: Mapping[str, Callable[[Any], bool]], where: str
) -> None:
    for name, right in shape.items():
        if name not in data:
            raise ValueError(f"{where}{name} is missing")
        if not right(data[name]):
            raise ValueError(f"{where}{name} cannot be {_shown(data[name])}")


def _shown(value: Any) -> str:
    if isinstance(value, int) and abs(value) > _MOST:
        return "so large a number"  # Python refuses to print a very long one
    return shorten(ascii(value), 40)
