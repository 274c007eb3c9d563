"""Parse YAML strictly: refuse ambiguous words, and small files that stand for huge values."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

_DEEPEST: Final = 64  # levels
_MOST_VALUES: Final = 100_000  # with every alias written out
_LONGEST_NUMBER: Final = 400  # digits
_TAG: Final = "tag:yaml.org,2002:"
_AMBIGUOUS: Final = "tag:stepkit,ambiguous"
_COLLECTIONS: Final = {"str", "seq", "map"}
_TRUE: Final = {"y", "yes", "on", "true"}
_KINDS: Final = {"null": "null", "bool": "true or false", "int": "a number", "float": "a number"}
_NULL: Final = r"~|null|Null|NULL|"


@dataclass(frozen=True)
class Dialect:
    """How words without quotes are read: by the first pattern that fits, as its type."""

    patterns: tuple[tuple[str, str], ...]  # type, regular expression
    largest: int | None = None  # of whole numbers

    @property
    def types(self) -> set[str]:
        """Return the types that a value can have."""
        return _COLLECTIONS | {name for name, _ in self.patterns}


# The types of YAML 1.2, as editors read it. A word that YAML 1.1 reads differently is refused.
PLAIN: Final = Dialect(
    patterns=(
        ("ambiguous", r"(?i:yes|no|on|off)|[-+]?0\d[\d_]*|[-+]?\d+(:[0-5]?\d)+(\.\d*)?"),
        ("null", _NULL),
        ("bool", r"true|True|TRUE|false|False|FALSE"),
        ("int", r"[-+]?(0|[1-9][\d_]*|0b[01]+|0o[0-7]+|0x[\da-fA-F]+)"),
        (
            "float",
            r"[-+]?(\d[\d_]*\.?\d*|\.\d+)([eE][-+]?\d+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN)",
        ),
        ("merge", r"<<"),
    )
)
# As Kubernetes clients read YAML, with the types of JSON only: ``y`` is a boolean, and a date or
# ``1:30`` is text.
KUBERNETES: Final = Dialect(
    patterns=(
        ("null", _NULL),
        ("bool", r"(?i:y|yes|on|true|n|no|off|false)"),
        ("int", r"[-+]?(0b[01_]+|0o?[0-7_]+|0x[\da-fA-F_]+|0|[1-9][\d_]*)"),
        ("float", r"[-+]?(\d[\d_]*\.?\d*|\.\d+)([eE][-+]?\d+)?"),
    ),
    largest=2**64,
)


class Refused(Exception):  # noqa: N818 - the reader of files makes a StepError of it
    """Raised for what YAML allows and stepkit does not; ``line`` counts from 1."""

    def __init__(self, node: yaml.Node, problem: str) -> None:
        super().__init__(problem)
        self.line = node.start_mark.line + 1


def parse(text: str, dialect: Dialect) -> Iterator[tuple[yaml.Node, Any]]:
    """Yield each document of ``text``, as its node and as its value.

    Raises :class:`Refused`, :class:`yaml.YAMLError` or :class:`RecursionError`.
    """
    loader = _loader(dialect)(text)
    try:
        while loader.check_node():
            node = loader.get_node()
            if _Checker(dialect).size(node) > _MOST_VALUES:
                raise Refused(node, f"with its aliases this holds more than {_MOST_VALUES} values")
            yield node, loader.construct_document(node)
    finally:
        loader.dispose()


@cache
def _loader(dialect: Dialect) -> Any:
    class Loader(yaml.SafeLoader):
        yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - PyYAML's shape

        def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:  # noqa: FBT001, FBT002 - PyYAML's signature
            try:
                value = super().construct_object(node, deep)
            except (ValueError, IndexError):  # 0b_
                raise _mistyped(node) from None
            if dialect.largest and isinstance(value, int) and abs(value) > dialect.largest:
                raise Refused(node, "this number has more than 64 bits")
            return value

    for name, pattern in dialect.patterns:
        tag = _AMBIGUOUS if name == "ambiguous" else _TAG + name
        Loader.add_implicit_resolver(tag, _compiled(pattern), None)
    Loader.add_constructor(_TAG + "bool", _construct_bool)
    return Loader


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(f"^(?:{pattern})$", re.ASCII)


def _construct_bool(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> bool:
    return str(loader.construct_scalar(node)).lower() in _TRUE


def _mistyped(node: yaml.Node) -> Refused:
    kind = _KINDS[node.tag.removeprefix(_TAG)]
    return Refused(node, f"{node.value[:40]!a} is not {kind}")


class _Checker:
    """Counts the values of a document and refuses ambiguous and broken ones."""

    def __init__(self, dialect: Dialect) -> None:
        self.types = dialect.types
        self.patterns = dict(dialect.patterns)
        self.known: dict[int, int | None] = {}

    def size(self, node: yaml.Node, depth: int = 1) -> int:
        """Count ``node`` and the values below it, each alias as the values it refers to.

        A small file of aliases to aliases can stand for billions of values: they are counted
        without being built.
        """
        key = id(node)
        if key in self.known:
            size = self.known[key]
            if size is None:
                raise Refused(node, "this refers to itself")
            return size
        if depth > _DEEPEST:
            raise Refused(node, "this is nested too deeply")
        self.known[key] = None
        self.check(node)
        children = []
        if isinstance(node, yaml.SequenceNode):
            children = node.value
        if isinstance(node, yaml.MappingNode):
            children = [child for pair in node.value for child in pair]
        size = 1 + sum(self.size(child, depth + 1) for child in children)
        self.known[key] = size
        return size

    def check(self, node: yaml.Node) -> None:
        """Refuse an ambiguous or broken value; the values below it are not checked."""
        if node.tag == _AMBIGUOUS:
            raise Refused(
                node,
                f"readers of YAML disagree on {node.value}: put it in quotes, or write true, "
                "false or a plain number",
            )
        name = node.tag.removeprefix(_TAG)
        if name not in self.types:
            raise Refused(
                node,
                f"{node.tag} is not allowed here: use text, numbers, true, false, null, lists and "
                "mappings",
            )
        if isinstance(node, yaml.ScalarNode):
            self.check_scalar(node, name)
        if isinstance(node, yaml.MappingNode):
            self.check_keys(node)

    def check_scalar(self, node: yaml.ScalarNode, name: str) -> None:
        """Refuse a number that is too long or only tagged as one, and broken text."""
        if name in _KINDS:
            if len(node.value) > _LONGEST_NUMBER:
                raise Refused(node, f"this number has more than {_LONGEST_NUMBER} digits")
            if not _compiled(self.patterns[name]).match(node.value):
                raise _mistyped(node)
        if "\0" in node.value or any("\ud800" <= mark <= "\udfff" for mark in node.value):
            raise Refused(node, "this text holds a NUL byte or half a character")

    def check_keys(self, node: yaml.MappingNode) -> None:
        """Refuse keys that are not text, and a key that is given twice."""
        seen = set()
        for key, _ in node.value:
            if key.tag == _AMBIGUOUS:
                self.check(key)
            if key.tag == _TAG + "merge" and "merge" in self.types:
                continue
            if key.tag != _TAG + "str":
                shown = f" {key.value!r}" if isinstance(key, yaml.ScalarNode) else ""
                raise Refused(key, f"the key{shown} is not text: put it in quotes")
            if key.value in seen:
                raise Refused(key, f"the key {key.value!r} is given twice")
            seen.add(key.value)
