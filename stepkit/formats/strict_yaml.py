"""YAML as nodes and values: strict where readers of YAML differ, and safe from small bombs."""

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
_WORDS: Final = {"null": "null", "bool": "true or false", "int": "number", "float": "number"}
_NULL: Final = r"~|null|Null|NULL|"


@dataclass(frozen=True)
class Dialect:
    """How words without quotes are read: a type and its pattern, the first that fits."""

    patterns: tuple[tuple[str, str], ...]
    largest: int | None = None  # of whole numbers

    @property
    def types(self) -> set[str]:
        """Return the types that a value can have."""
        return _COLLECTIONS | {name for name, _ in self.patterns}


# YAML 1.2's types, which an editor goes by; a word that 1.1 reads otherwise is refused.
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
# A Kubernetes client's: ``y`` is a boolean, a date or ``1:30`` is text; the types of JSON alone.
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
    """What YAML allows and we do not; ``line`` counts from 1."""

    def __init__(self, node: yaml.Node, problem: str) -> None:
        super().__init__(problem)
        self.line = node.start_mark.line + 1


def parsed(text: str, dialect: Dialect) -> Iterator[tuple[yaml.Node, Any]]:
    """Yield each document of ``text``, as its node and as its value.

    Raises :class:`Refused`, :class:`yaml.YAMLError` or :class:`RecursionError`.
    """
    loader = _loader(dialect)(text)
    try:
        while loader.check_node():
            node = loader.get_node()
            if _Check(dialect).size(node) > _MOST_VALUES:
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
                raise _no(node) from None
            if dialect.largest and isinstance(value, int) and abs(value) > dialect.largest:
                raise Refused(node, "this number has more than 64 bits")
            return value

    for name, pattern in dialect.patterns:
        tag = _AMBIGUOUS if name == "ambiguous" else _TAG + name
        Loader.add_implicit_resolver(tag, _compiled(pattern), None)
    Loader.add_constructor(_TAG + "bool", _bool)
    return Loader


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(f"^(?:{pattern})$", re.ASCII)


def _bool(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> bool:
    return str(loader.construct_scalar(node)).lower() in _TRUE


def _no(node: yaml.Node) -> Refused:
    return Refused(node, f"{node.value[:40]!a} is no {_WORDS[node.tag.removeprefix(_TAG)]}")


class _Check:
    """Counts the values of a document, and refuses those that no document should hold."""

    def __init__(self, dialect: Dialect) -> None:
        self.types = dialect.types
        self.patterns = dict(dialect.patterns)
        self.known: dict[int, int | None] = {}

    def size(self, node: yaml.Node, depth: int = 1) -> int:
        """Count the values below ``node``, each alias as what it stands for.

        A small file of aliases to aliases stands for billions: it is counted, never written out.
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
        self.node(node)
        size = 1 + sum(self.size(child, depth + 1) for child in _children(node))
        self.known[key] = size
        return size

    def node(self, node: yaml.Node) -> None:
        """Refuse a value for what it is itself."""
        if node.tag == _AMBIGUOUS:
            raise Refused(
                node,
                f"readers of YAML disagree on {node.value}: put it in quotes, or write true, "
                "false or a plain number",
            )
        name = node.tag.removeprefix(_TAG)
        if name not in self.types:
            raise Refused(
                node, f"{node.tag} has no place here: use text, numbers, true, false, null, lists "
                "and mappings"
            )  # fmt: skip
        if isinstance(node, yaml.ScalarNode):
            self.scalar(node, name)
        if isinstance(node, yaml.MappingNode):
            self.keys(node)

    def scalar(self, node: yaml.ScalarNode, name: str) -> None:
        """Refuse a number that is too long or is called one by its tag alone, and broken text."""
        if name in _WORDS:
            if len(node.value) > _LONGEST_NUMBER:
                raise Refused(node, f"this number has more than {_LONGEST_NUMBER} digits")
            if not _compiled(self.patterns[name]).match(node.value):
                raise _no(node)
        if "\0" in node.value or any("\ud800" <= mark <= "\udfff" for mark in node.value):
            raise Refused(node, "this text holds a NUL byte or half a character")

    def keys(self, node: yaml.MappingNode) -> None:
        """Refuse keys that are no text, and one that stands there twice."""
        seen = set()
        for key, _ in node.value:
            if key.tag == _AMBIGUOUS:
                self.node(key)
            if key.tag == _TAG + "merge" and "merge" in self.types:
                continue
            if key.tag != _TAG + "str":
                shown = f" {key.value!r}" if isinstance(key, yaml.ScalarNode) else ""
                raise Refused(key, f"the key{shown} is no text: put it in quotes")
            if key.value in seen:
                raise Refused(key, f"the key {key.value!r} stands here twice")
            seen.add(key.value)


def _children(node: yaml.Node) -> Iterator[yaml.Node]:
    if isinstance(node, yaml.SequenceNode):
        yield from node.value
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield key
            yield value
