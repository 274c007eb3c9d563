"""Read how a step ended from the report that its process wrote."""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import Path
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Union, get_args, get_origin, get_type_hints

from stepkit.errors import Reason
from stepkit.formats import evidence_text
from stepkit.step import StepResult

if TYPE_CHECKING:
    from collections.abc import Mapping

    from _typeshed import DataclassInstance


def read(path: Path, cls: type[DataclassInstance]) -> tuple[StepResult, DataclassInstance | None]:
    """Return what the report at ``path`` says, and its outputs as a ``cls``, if there are any.

    Raises :class:`OSError` or :class:`ValueError` where the report cannot be read.
    """
    report = json.loads(path.read_bytes())
    names = {field.name for field in fields(StepResult)}
    known: dict[str, Any] = {name: value for name, value in report.items() if name in names}
    outputs = _outputs(report, cls) if report["outputs"] else None
    own = report["outputs"] if outputs else {}
    known |= {
        "reason": Reason(report["reason"]),
        "error": evidence_text.of_json(report["error"]) if report["error"] else None,
        "place": evidence_text.place_of_json(report["place"]),
        "outputs": {name: getattr(outputs, name.replace("-", "_")) for name in own},
        "artifacts": tuple(report["artifacts"]),
    }
    return StepResult(**known), outputs


def _outputs(report: Mapping[str, Any], cls: type[DataclassInstance]) -> DataclassInstance:
    hints = get_type_hints(cls)
    given = {name.replace("-", "_"): value for name, value in report["outputs"].items()}
    for common in ("status", "message"):  # a report has them beside its outputs
        if common in hints:
            given[common] = report[common]
    return cls(**{name: of_json(hints[name], value) for name, value in given.items()})


def of_json(hint: Any, value: Any) -> Any:
    """Return the value of type ``hint`` that a report spells as ``value``."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in {Union, UnionType}:
        (kind, *rest) = [argument for argument in arguments if argument is not NoneType]
        return value if value is None or rest else of_json(kind, value)
    if origin is tuple:
        kinds = arguments[:1] * len(value) if arguments[-1] is ... else arguments
        return tuple(map(of_json, kinds, value))
    if is_dataclass(hint) and isinstance(hint, type):
        hints = get_type_hints(hint)
        return hint(**{name: of_json(hints[name], item) for name, item in value.items()})
    if isinstance(hint, type) and issubclass(hint, Path | Enum):
        return hint(value)
    return value
