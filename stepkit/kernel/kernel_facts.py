"""Write down what the notebook's process has imported: packages, Python, CUDA.

Run by path, by the kernel's own Python (3.9 or later), which may have no stepkit: standard library
only. No package is imported for it, and CUDA is not initialised: it asks the files beside the
modules that are there, and libraries that are loaded. stepkit.engine.read_kernel_facts reads the
file outside of the kernel.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import sys
from contextlib import suppress
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_METADATA = {".dist-info": "METADATA", ".egg-info": "PKG-INFO"}  # of a distribution
_HEAD = 4096  # bytes of it: name and version are in its first lines
_FEW = 20  # files; splitting a RECORD takes as long as searching it for so many
# IPython imports these to show a traceback or a figure.
_IPYTHONS = {"asttokens", "executing", "jedi", "matplotlib_inline", "parso", "pure_eval",
             "stack_data"}  # fmt: skip
_CUDA_RUNTIMES = ("libcudart.so.13", "libcudart.so.12", "libcudart.so.11.0")


class KernelFactsWriter:
    """Writes the facts to ``path`` after each cell that may have changed them.

    A package that is imported when this object is made is the runner's, and counts only if the
    notebook has a name for it; ``namespace`` has the notebook's names.
    """

    def __init__(self, path: str, namespace: Mapping[str, Any]) -> None:
        self._path = path
        self._namespace = namespace
        self._runners = {name.partition(".")[0] for name in list(sys.modules)} | _IPYTHONS
        self._distributions: dict[str, tuple[str, str] | None] = {}  # by the name of a module
        self._runtime = ""
        self._driver = ""
        self._seen: Any = None

    def cell_ended(self, *_: Any) -> None:
        """Write the facts; an error here must not stop the notebook."""
        with suppress(Exception):
            self._driver = self._driver or _version_of("libcuda.so.1", "cuDriverGetVersion")
            self._runtime = self._runtime or _cuda_runtime()
            named = _modules_named(self._namespace)
            seen = (len(sys.modules), named, self._driver, self._runtime)
            if seen != self._seen:
                self._write(self._packages(named))
                self._seen = seen

    def _write(self, packages: Mapping[str, str]) -> None:
        facts = {
            "python": ".".join(str(part) for part in sys.version_info[:3]),
            "cuda_runtime": self._runtime,
            "cuda_driver": self._driver,
            "packages": packages,
        }
        beside = f"{self._path}.new"
        with open(beside, "w") as file:  # noqa: PTH123 - pathlib may not be there yet
            json.dump(facts, file)
        os.replace(beside, self._path)  # noqa: PTH105

    def _packages(self, named: set[str]) -> dict[str, str]:
        """Return versions by distribution: first of those for which the notebook has a name."""
        used: dict[str, str] = {}
        imported: dict[str, str] = {}
        for directory, files in _modules_by_directory().items():
            theirs = {m for m in files if any(n == m or n.startswith(f"{m}.") for n in named)}
            shown = [m for m in files if m in theirs or m.partition(".")[0] not in self._runners]
            unknown = {m: files[m] for m in shown if m not in self._distributions}
            if unknown:
                self._distributions.update(_find_distributions(directory, unknown))
            for module in shown:
                if found := self._distributions[module]:
                    (used if module in theirs else imported)[found[0]] = found[1]
        return {
            **{name: used[name] for name in sorted(used, key=str.lower)},
            **{name: imported[name] for name in sorted(imported, key=str.lower)},
        }


def _modules_named(namespace: Mapping[str, Any]) -> set[str]:
    """Return the modules that ``namespace`` has names for, or for their classes and functions."""
    names = set()
    for value in list(namespace.values()):
        kind = type(value)
        if issubclass(kind, ModuleType):
            names.add(_attributes(value).get("__name__"))
        elif kind is FunctionType:
            names.add(value.__module__)
        elif issubclass(kind, type):
            names.add(type.__getattribute__(value, "__module__"))
    return {name for name in names if type(name) is str}


def _attributes(module: Any) -> dict[str, Any]:
    """Return what a module has: one that loads itself when it is used stays unloaded."""
    found: dict[str, Any] = object.__getattribute__(module, "__dict__")
    return found


def _modules_by_directory() -> dict[str, dict[str, str]]:
    """Return the outermost imported modules by the directory that they were imported from.

    Each has its file, relative to that directory. In place of a package without a file, which
    several distributions may share, come the modules in it.
    """
    found: dict[str, dict[str, str]] = {}
    modules = {
        name: module
        for name, module in list(sys.modules.items())
        if type(name) is str and issubclass(type(module), ModuleType)
    }
    names = [name for name in modules if "." not in name]
    while names:
        shared = set()
        for name in names:
            attributes = _attributes(modules[name])
            file, is_package = attributes.get("__file__"), "__path__" in attributes
            if type(file) is str:
                parts = file.split("/")
                depth = name.count(".") + 1 + is_package
                relative = "/".join(parts[-depth:])
                if relative.startswith(name.replace(".", "/")):
                    found.setdefault("/".join(parts[:-depth]), {})[name] = relative
            elif is_package:
                shared.add(name)
        names = [name for name in modules if shared and name.rpartition(".")[0] in shared]
    return found


def _find_distributions(
    directory: str, files: Mapping[str, str]
) -> dict[str, tuple[str, str] | None]:
    """Return name and version of the distribution of each module, None without one.

    Most have the module's name. Others say in ``top_level.txt`` or in ``RECORD`` what they hold.
    """
    found: dict[str, tuple[str, str] | None] = dict.fromkeys(files)
    entries = {}
    with suppress(OSError):
        for entry in sorted(os.listdir(directory)):  # noqa: PTH208
            stem, suffix = os.path.splitext(entry)  # noqa: PTH122
            if suffix in _METADATA:
                entries[_normalised(stem.partition("-")[0])] = os.path.join(directory, entry)  # noqa: PTH118
    left = {}  # modules by their file
    for module in files:
        if named := entries.get(_normalised(module)):
            found[module] = _name_and_version(named)
        else:
            left[files[module].encode()] = module
    for entry in entries.values():
        if not left:
            break
        top_level = set(_read(entry, "top_level.txt").decode(errors="replace").split())
        held = set() if top_level else _held(_read(entry, "RECORD"), set(left))
        for file, module in list(left.items()):
            if module in top_level or file in held:
                found[module] = _name_and_version(entry)
                del left[file]
    return found


def _held(record: bytes, files: set[bytes]) -> set[bytes]:
    """Return those of ``files`` that a RECORD lists: a search for each is faster for a few."""
    if len(files) > _FEW:
        return files.intersection(line.partition(b",")[0] for line in record.split(b"\n"))
    lines = b"\n" + record
    return {file for file in files if b"\n%s," % file in lines}


def _normalised(name: str) -> str:
    """Spell the name of a distribution as pip compares it."""
    return re.sub("[-_.]+", "-", name).lower()


def _name_and_version(entry: str) -> tuple[str, str]:
    stem, suffix = os.path.splitext(os.path.basename(entry))  # noqa: PTH119, PTH122
    head = _read(entry, _METADATA[suffix], _HEAD).decode(errors="replace")
    name, _, version = stem.partition("-")
    fields = dict(re.findall(r"^(Name|Version): *(\S+)", head, re.MULTILINE))
    return fields.get("Name", name), fields.get("Version", version)


def _read(entry: str, name: str, size: int = -1) -> bytes:
    with suppress(OSError), open(os.path.join(entry, name), "rb") as file:  # noqa: PTH118, PTH123
        return file.read(size)
    return b""


def _cuda_runtime() -> str:
    """Return the version of CUDA's runtime, if one is loaded; CuPy has it inside of its modules."""
    for library in _CUDA_RUNTIMES:
        if version := _version_of(library, "cudaRuntimeGetVersion"):
            return version
    with suppress(Exception):
        return _spelled(sys.modules["cupy_backends.cuda.api.runtime"].runtimeGetVersion())
    return ""


def _version_of(library: str, function: str) -> str:
    """Return the version of CUDA that a loaded library has; ``""`` if it is not loaded."""
    number = ctypes.c_int()
    try:
        loaded = ctypes.CDLL(library, mode=os.RTLD_NOLOAD | os.RTLD_LAZY)
        failed = getattr(loaded, function)(ctypes.byref(number))
    except (OSError, AttributeError):
        return ""
    return "" if failed else _spelled(number.value)


def _spelled(version: int) -> str:
    return f"{version // 1000}.{version % 1000 // 10}"
