"""Read YAML files strictly, and name the line of every value in messages."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from stepkit.errors import ConfigurationError, Reason
from stepkit.system import atomic_files

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from stepkit.formats.strict_yaml import Dialect

_LARGEST_FILE: Final = 2**20  # bytes


@dataclass(frozen=True)
class Document:
    """The value of a YAML document, and the lines of its parts."""

    path: Path
    value: Any
    node: Any  # PyYAML's; None in an empty file

    def place(self, keys: Sequence[str | int]) -> str:
        """Name the file and the line of the value under ``keys``, or of its closest parent."""
        node, line = self.node, 1
        for key in (None, *keys):
            node = node if key is None else _child(node, key)
            if node is None:
                break
            line = node.start_mark.line + 1
        return f"{self.path}, line {line}"


def read(path: Path) -> Document:
    """Read a YAML file of one document: mappings, lists, text, numbers, booleans and null.

    Dates stay text.

    Raises :class:`ConfigurationError` that names the file and the line.
    """
    from stepkit.formats.strict_yaml import PLAIN

    found = _documents(path, PLAIN)
    if len(found) > 1:
        line = found[1].node.start_mark.line + 1
        raise ConfigurationError(f"{path}, line {line}: a second document starts here: write one")
    return found[0] if found else Document(path, None, None)


def read_manifests(path: Path) -> list[Document]:
    """Read every document of a YAML file as a Kubernetes client does.

    Raises :class:`ConfigurationError` that names the file and the line.
    """
    from stepkit.formats.strict_yaml import KUBERNETES

    return _documents(path, KUBERNETES)


def _documents(path: Path, dialect: Dialect) -> list[Document]:
    import yaml

    from stepkit.formats.strict_yaml import Refused, parse

    text = _read_text(path)
    try:
        return [Document(path, value, node) for node, value in parse(text, dialect)]
    except Refused as error:
        raise ConfigurationError(f"{path}, line {error.line}: {error}") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f", line {mark.line + 1}" if mark else ""
        raise ConfigurationError(f"{path}{where}: not valid YAML: {error.problem}") from error
    except yaml.reader.ReaderError as error:
        raise ConfigurationError(f"{path}: not valid YAML: {error.reason}") from error
    except (ValueError, OverflowError) as error:  # \UFFFFFFFF in quotes
        raise ConfigurationError(f"{path}: not valid YAML: {error}") from error
    except RecursionError as error:
        raise ConfigurationError(f"{path}: not valid YAML: it is nested too deeply") from error


def _read_text(path: Path) -> str:
    with atomic_files.explaining(f"cannot read {path}"):
        missing = not path.exists()
    if missing:
        raise ConfigurationError(
            f"there is no file {path}{atomic_files.near_names(path)}", reason=Reason.NOT_FOUND
        )
    content = atomic_files.read(path)
    if len(content) > _LARGEST_FILE:
        raise ConfigurationError(f"{path} is larger than 1 MiB, too large to be written by hand")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path} is not UTF-8 text: {error.reason}") from error


def _child(node: Any, key: str | int) -> Any:
    """Return the node under ``key``, or None."""
    if node.id == "sequence" and isinstance(key, int):
        return node.value[key] if key < len(node.value) else None
    pairs = node.value if node.id == "mapping" else []
    return next((value for name, value in pairs if name.value == key), None)


def dump(values: Mapping[str, Any]) -> str:
    """Return one line of YAML that any reader reads as ``values``; ``""`` for an empty mapping."""
    if not values:
        return ""
    import yaml

    return yaml.safe_dump(dict(values), default_flow_style=True, width=2**31, sort_keys=False)
