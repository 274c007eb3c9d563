"""Read ``stepkit.yaml``, the file in which a repository keeps its notebooks and defaults."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from stepkit.errors import ConfigurationError
from stepkit.formats import durations, json_schema, yaml_files
from stepkit.formats.yaml_files import Document
from stepkit.system import atomic_files

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepkit.formats.json_schema import Keys

Given = TypeVar("Given")
NAME: Final = "stepkit.yaml"
VERSION: Final = "stepkit.config/1"
SCHEMA: Final = Path(__file__).with_name("config.schema.json")

_SECRET: Final = re.compile(
    r"(?i)(?:password|passwd|passphrase|secret|(?:api|access|private)_?key"
    r"|(?:access|api|auth|bearer|git|github|gitlab|hf)_?token)$"
)
_URL_WITH_PASSWORD: Final = re.compile(r"://[^/\s:@]*:[^/\s@]+@")


@dataclass(frozen=True, kw_only=True)
class ConfigFile:
    """What a ``stepkit.yaml`` says.

    ``path`` is the file, and ``directory``, where it is, what its paths are relative to. Paths in
    the fields are joined with it already. ``notebooks`` are paths or patterns. Timeouts are
    seconds. ``defaults`` are values of flags, by command and flag, as the file has them.
    """

    path: Path
    document: Document
    notebooks: tuple[str, ...] = ()
    parameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    markers: Mapping[str, list[str]] = field(default_factory=dict)
    rules: Path | None = None
    execution_timeout: float | None = None
    run_timeout: float | None = None
    tests: Path | None = None
    defaults: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def directory(self) -> Path:
        """The directory of the file."""
        return self.path.parent

    def parameters_of(self, notebook: Path) -> dict[str, Any]:
        """Return the parameters of ``notebook``; of several patterns, the later one wins."""
        found = self._of(notebook, self.parameters)
        return {key: value for given in found for key, value in given.items()}

    def markers_of(self, notebook: Path) -> list[str]:
        """Return pytest's markers of ``notebook``."""
        return [marker for given in self._of(notebook, self.markers) for marker in given]

    def _of(self, notebook: Path, by_pattern: Mapping[str, Given]) -> Iterator[Given]:
        name = Path(os.path.relpath(notebook, self.directory)).as_posix()
        return (given for like, given in by_pattern.items() if fnmatchcase(name, like))

    def refusal(self, keys: Keys, why: str) -> ConfigurationError:
        """Return the error for the value under ``keys``, with file and line."""
        return ConfigurationError(f"{self.document.place(keys)}: {_shown(keys)}{why}")


def find(start: Path) -> Path | None:
    """Return the file for work in the directory ``start``, or None.

    It is looked for in ``start`` and above, up to the root of the git repository that ``start`` is
    in; outside of a repository in ``start`` alone. The path is relative to ``start``.
    """
    try:
        absolute = start.absolute()
    except OSError:  # the working directory was removed
        return None
    above = [absolute, *absolute.parents]
    # os.path says no where a directory may not be entered; Path raises.
    root = next((n for n, each in enumerate(above) if os.path.exists(each / ".git")), 0)  # noqa: PTH110
    for each in above[: root + 1]:
        if os.path.lexists(each / NAME):
            return start / os.path.relpath(each / NAME, absolute)
    return None


def read(path: Path) -> ConfigFile:
    """Read the file and check all of it, but for the names and values of flags in ``defaults``.

    Raises :class:`ConfigurationError` that names the file and the line.
    """
    if path.is_symlink() and not _lies_in(path.parent, path):
        raise ConfigurationError(f"{path} is a link out of its directory: make it a file")
    document = yaml_files.read(path)
    value = {} if document.value is None else document.value
    _check(document, value)
    found = ConfigFile(
        path=path,
        document=document,
        parameters=value.get("parameters", {}),
        markers=value.get("markers", {}),
        defaults=value.get("defaults", {}),
    )
    return replace(
        found,
        notebooks=tuple(
            str(inside(found, ("notebooks", n), text))
            for n, text in enumerate(value.get("notebooks", ()))
        ),
        rules=inside(found, ("rules",), value["rules"]) if "rules" in value else None,
        tests=inside(found, ("tests",), value["tests"]) if "tests" in value else None,
        execution_timeout=_limit(found, "execution-timeout"),
        run_timeout=_limit(found, "run-timeout"),
    )


def inside(config: ConfigFile, keys: Keys, text: str) -> Path:
    """Return the path ``text`` that stands under ``keys``, joined with the file's directory.

    Raises :class:`ConfigurationError` for a path that is not in that directory.
    """
    path = config.directory / text
    if Path(text).is_absolute() or not _lies_in(config.directory, path):
        raise config.refusal(
            keys,
            f"{text} is not in the directory of {NAME}: write this path on the command line, or "
            "in a variable STEPKIT_OPT_<FLAG>",
        )
    return path


def may_be_secret(name: str, value: Any) -> bool:
    """Return whether a parameter looks like a password, a key or a token, by its name or value."""
    if not isinstance(value, str) or not value:
        return False
    return bool(_SECRET.search(name) or _URL_WITH_PASSWORD.search(value))


def _check(document: Document, value: Any) -> None:
    """Refuse what the schema does not allow, and what may be a secret."""
    version = value.get("schema") if isinstance(value, dict) else None
    if (
        isinstance(version, str)
        and re.fullmatch(r"stepkit\.config/\d+", version)
        and (version != VERSION)
    ):
        raise ConfigurationError(
            f"{document.place(['schema'])}: {version} is newer than this stepkit reads, {VERSION}: "
            "install a newer stepkit"
        )
    found = json_schema.find_problems(value, SCHEMA)
    problems = [f"{document.place(keys)}: {_shown(keys)}{what}" for keys, what in found]
    for keys, text in _texts(value):
        where = f"{document.place(keys)}: {_shown(keys)}"
        if _URL_WITH_PASSWORD.search(text):
            problems.append(f"{where}a URL with a password has no place in this file")
        elif keys[0] == "parameters" and may_be_secret(str(keys[-1]), text):
            problems.append(
                f"{where}a secret has no place in this file: let the notebook read it from a "
                "variable of the environment"
            )
    if problems:
        raise json_schema.refusal(problems)


def _texts(value: Any, keys: Keys = ()) -> Iterator[tuple[Keys, str]]:
    if isinstance(value, str) and keys:
        yield keys, value
    parts: Any = ()
    if isinstance(value, dict):
        parts = value.items()
    elif isinstance(value, list):
        parts = enumerate(value)
    for key, part in parts:
        yield from _texts(part, (*keys, key))


def _lies_in(directory: Path, path: Path) -> bool:
    with atomic_files.explaining(f"cannot read {path}"):
        return path.resolve().is_relative_to(directory.resolve())


def _limit(config: ConfigFile, name: str) -> float | None:
    limits = (config.document.value or {}).get("limits", {})
    try:
        return durations.parse(str(limits[name])) if name in limits else None
    except ValueError as error:
        raise config.refusal(("limits", name), str(error)) from None


def _shown(keys: Keys) -> str:
    return "".join(f"{key}: " if isinstance(key, str) else f"item {key + 1}: " for key in keys)
