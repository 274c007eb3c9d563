"""Read what an artifact must be like: ``output_analysis.html: size>=100KB, images>=3``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from stepkit.artifacts.content_types import BY_MEDIA_TYPE, TYPES
from stepkit.errors import ConfigurationError
from stepkit.formats import sizes, yaml_files
from stepkit.formats.did_you_mean import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

COUNTS: Final = ("outputs", "images", "tables")

_FORMS: Final = "size>=100KB, type=html, outputs>=1, images>=3 or tables>=1"
_NAMES: Final = "|".join(("size", "type", *COUNTS))
# A name may hold colons: conditions begin with a known word, or with a word and an operator.
_BEGIN: Final = re.compile(
    rf":(?:\s*(?=(?:{_NAMES})\s*[<>=])|\s+(?=(?:{_NAMES})\b|[a-z]+\s*[<>=]))"
)
_CONDITION: Final = re.compile(r"([a-z]+)\s*([<>=]+)\s*(\S(?:.*\S)?)")
_NUMBER: Final = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True, kw_only=True)
class Expectation:
    """What the artifact ``path`` must be like.

    ``size`` is in bytes; ``kind`` is a name of :data:`TYPES`, or ``""`` for any. ``counts`` are the
    least numbers of outputs, images and tables, by name. ``given`` is the text that said so.
    """

    path: str
    size: int
    kind: str
    counts: dict[str, int]
    given: str

    @property
    def conditions(self) -> int:
        """How many conditions there are, besides that the file is there and not empty."""
        return self.given.count(",") + 1 if self.given else 0


def read(given: Sequence[str], file: Path | None, suffix: str) -> list[Expectation]:
    """Return what ``--expect`` and the YAML ``file`` say; ``{suffix}`` in a path is ``suffix``.

    Raises :class:`ConfigurationError` for what is not a condition.
    """
    items = [(f"--expect {text!r}", *_split(text)) for text in given]
    items += _of_file(file) if file else []
    return [
        _parse(where, path.replace("{suffix}", suffix), conditions)
        for where, path, conditions in items
    ]


def _split(text: str) -> tuple[str, str]:
    begin = _BEGIN.search(text)
    return (text[: begin.start()], text[begin.end() :]) if begin else (text, "")


def _of_file(file: Path) -> Iterator[tuple[str, str, str]]:
    document = yaml_files.read(file)
    if not isinstance(document.value, dict):
        raise ConfigurationError(
            f"{file} is not a list of expected artifacts: write lines such as "
            "output_analysis.html: size>=100KB, images>=3"
        )
    for path, conditions in document.value.items():
        where = document.place([path])
        if not isinstance(path, str) or not isinstance(conditions, str | None):
            raise ConfigurationError(
                f"{where}: the conditions of {path} are not a text: write {_FORMS}, or nothing "
                "for a file that must be there"
            )
        yield where, path, conditions or ""


def _parse(where: str, path: str, conditions: str) -> Expectation:
    alone = None if conditions else _CONDITION.fullmatch(path)
    if alone and alone[1] in {"size", "type", *COUNTS}:
        raise ConfigurationError(
            f"{where}: {path} is a condition without a file: write PATH: {path}, such as "
            f"output_analysis.html: {path}"
        )
    found: dict[str, Any] = {}
    for text in map(str.strip, conditions.split(",") if conditions else ()):
        condition = _CONDITION.fullmatch(text)
        if not condition:
            raise ConfigurationError(f"{where}: {text!r} is not a condition: write {_FORMS}")
        name, operator, value = condition.groups()
        if name in found:
            raise ConfigurationError(f"{where}: {name} is given twice")
        found[name] = _value(where, name, operator, value)
    return Expectation(
        path=path,
        size=found.pop("size", 1),
        kind=found.pop("type", ""),
        counts=found,
        given=conditions,
    )


def _value(where: str, name: str, operator: str, value: str) -> int | str:
    if name not in {"size", "type", *COUNTS}:
        known = did_you_mean(name, ("size", "type", *COUNTS))
        raise ConfigurationError(f"{where}: there is no condition {name!r}{known}")
    if operator != (right := "=" if name == "type" else ">="):
        raise ConfigurationError(f"{where}: {name}{operator}{value}: write {name}{right}{value}")
    if name == "type":
        kind = BY_MEDIA_TYPE.get(value, value)
        if kind not in TYPES:
            raise ConfigurationError(
                f"{where}: there is no type {value!r}{did_you_mean(value, TYPES)}"
            )
        return kind
    if name == "size":
        return sizes.parse(value, name=f"{where}: size", least=1)
    if not _NUMBER.fullmatch(value) or not int(value):
        raise ConfigurationError(f"{where}: {name}>={value}: write a number from 1 on")
    return int(value)
