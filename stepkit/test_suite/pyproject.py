"""Read which packages a Python repository needs, without building it."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from stepkit.errors import ConfigurationError
from stepkit.formats import json_schema
from stepkit.system import atomic_files

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_SCHEMA: Final = Path(__file__).with_name("packages.schema.json")
TEST_GROUPS: Final = ("test", "tests", "testing", "dev")  # the usual names

_REQUIREMENT_FILES: Final = ("requirements.txt", "requirements-test.txt", "requirements-tests.txt",
                             "requirements-dev.txt")  # fmt: skip
_WITH_GROUPS: Final = (2, 1)  # the first lock-version that gives each package's groups


def read(checkout: Path, name: str = "pyproject.toml") -> dict[str, Any]:
    """Return a TOML file of the repository, ``{}`` if it has none.

    Raises :class:`ConfigurationError` when the file is broken.
    """
    path = checkout / name
    if not path.exists():
        return {}
    try:
        with atomic_files.explaining(f"cannot read {path}"), path.open("rb") as file:
            found = tomllib.load(file)
    except (ValueError, RecursionError) as error:  # also for bytes that are not UTF-8
        raise ConfigurationError(f"{path} is not TOML that can be read: {error}") from error
    if wrong := json_schema.find_problems(found, _SCHEMA):
        raise json_schema.refusal(
            [f"{path}: {'.'.join(map(str, keys)) or 'the file'} {what}" for keys, what in wrong]
        )
    return found


def requirement_files(checkout: Path) -> list[Path]:
    """Return the requirements files for running and testing, in order."""
    return [checkout / name for name in _REQUIREMENT_FILES if (checkout / name).is_file()]


def test_groups(project: Mapping[str, Any]) -> list[str]:
    """Name the ``[dependency-groups]`` that are for tests."""
    return [name for name in project.get("dependency-groups", {}) if name in TEST_GROUPS]


def test_extras(project: Mapping[str, Any]) -> list[str]:
    """Name the optional dependencies that are for tests."""
    extras = project.get("project", {}).get("optional-dependencies", {})
    return [name for name in extras if name in TEST_GROUPS]


def requirements(project: Mapping[str, Any]) -> list[str]:
    """Return the requirements in pyproject.toml: its dependencies and those of its tests.

    Raises :class:`ConfigurationError` for an entry that is not a requirement.
    """
    table = project.get("project", {})
    own = str(table.get("name", ""))
    found = list(table.get("dependencies", []))
    extras = table.get("optional-dependencies", {})
    for extra in test_extras(project):
        found += _of_extra(extras, extra, own, ())
    for group in test_groups(project):
        found += _of_group(project["dependency-groups"], group, ())
    for entry in found:
        if not isinstance(entry, str) or not re.match(r"[A-Za-z0-9]", entry):
            raise ConfigurationError(
                f"pyproject.toml asks for {entry!r}, which is not a requirement"
            )
    return list(dict.fromkeys(found))


def locked_by_poetry(checkout: Path) -> list[str]:
    """Return poetry.lock as lines of a requirements file with hashes.

    Raises :class:`ConfigurationError` when only poetry can install a package of the lock.
    """
    lock = read(checkout, "poetry.lock")
    version = tuple(
        int(n) for n in str(lock.get("metadata", {}).get("lock-version", "0")).split(".")
    )
    if version < _WITH_GROUPS:
        raise ConfigurationError(
            "poetry is not installed, and poetry.lock is too old to be installed without it: "
            "install poetry, or lock again with poetry 2"
        )
    groups = read(checkout).get("tool", {}).get("poetry", {}).get("group", {})
    optional = {name for name, table in groups.items() if table.get("optional")}
    return [
        line
        for package in lock.get("package", [])
        if not package.get("optional")
        for line in _requirement_lines(package, optional)
    ]


def refers_elsewhere(checkout: Path, extra_packages: Iterable[str]) -> bool:
    """Return whether the packages depend on files besides those of :func:`described_by`."""
    patterns = {
        "requirements*.txt": r"^\s*(?:-[rce]\b|--(?:requirement|constraint|editable)|[./~])|file:",
        "*.lock": r'type = "(?:directory|file)"|(?:directory|path|editable) = "(?!\.")',
        "pyproject.toml": r"\bpath *= *[\"']|@ *file:",
    }
    for glob, pattern in patterns.items():
        for path in checkout.glob(glob):
            if re.search(pattern, path.read_text(errors="replace"), re.MULTILINE):
                return True
    return any(package.startswith((".", "-")) or "/" in package for package in extra_packages)


def described_by(checkout: Path) -> list[Path]:
    """Return the files that say which packages the repository needs."""
    names = ("pyproject.toml", "poetry.lock", "poetry.toml", "uv.lock", "uv.toml")
    found = [checkout / name for name in names if (checkout / name).is_file()]
    return found + sorted(checkout.glob("requirements*.txt"))


def _of_group(groups: Mapping[str, Any], name: str, above: tuple[str, ...]) -> Iterator[Any]:
    if name in above or name not in groups:
        raise ConfigurationError(
            f"pyproject.toml includes the group {name!r} in a circle, or has none"
        )
    for entry in groups[name]:
        if isinstance(entry, dict) and "include-group" in entry:
            yield from _of_group(groups, entry["include-group"], (*above, name))
        else:
            yield entry


def _of_extra(
    extras: Mapping[str, Any], name: str, own: str, above: tuple[str, ...]
) -> Iterator[str]:
    """Yield an extra's requirements; ``own[other]`` includes those of another extra."""
    for entry in extras.get(name, []):
        other = re.fullmatch(rf"{re.escape(own)} *\[([\w, -]+)\]", entry) if own else None
        if not other:
            yield entry
            continue
        for nested in re.split(r" *, *", other[1].strip()):
            if nested not in above:
                yield from _of_extra(extras, nested, own, (*above, name))


def _requirement_lines(package: Mapping[str, Any], left_out: set[str]) -> Iterator[str]:
    groups = [group for group in package.get("groups", ["main"]) if group not in left_out]
    if not groups:
        return
    name = package["name"]
    source = package.get("source", {})
    if source and (source.get("type") != "legacy" or "url" not in source):
        raise ConfigurationError(
            f"poetry is not installed, and poetry.lock takes {name} from {source.get('type')}: "
            "install poetry"
        )
    if source:
        yield f"--extra-index-url {source['url']}"  # the hashes still decide what is installed
    markers = package.get("markers", "")
    if isinstance(markers, dict):
        each = [markers.get(group, "") for group in groups]
        markers = " or ".join(f"({marker})" for marker in each) if all(each) else ""
    hashes = " ".join(f"--hash={file['hash']}" for file in package.get("files", []))
    yield f"{name}=={package['version']}{f' ; {markers}' if markers else ''} {hashes}"
