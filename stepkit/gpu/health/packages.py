"""Whether the packages of the kernel's environment fit each other, by what RAPIDS' own require."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from stepkit.gpu.health.findings import Finding, warning

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_CUDA_SUFFIX: Final = re.compile(r"-cu(?:da)?(\d+)x?\Z")  # rmm-cu12, cupy-cuda12x
_CUPY: Final = re.compile(r"cupy(?:-cuda\d+x?|-rocm.*)?\Z")


def findings(
    versions: Mapping[str, str], requirements: Mapping[str, Iterable[str]], python: str
) -> Iterator[Finding]:
    """Judge the installed ``versions`` by name; ``requirements`` as Requires-Dist spells them.

    ``python`` is the version of the kernel's Python. Nothing here is an error: only the probe
    shows whether the libraries can use the GPU.
    """
    remedy = "install the two in one go, so that the installer chooses versions that fit"
    problems = [
        warning("packages", text, remedy)
        for name in sorted(requirements)
        for text in _unmet(name, versions, requirements[name], python)
    ]
    problems += _duplicates(versions)
    yield from problems
    if not problems:
        rapids = sorted(name for name in requirements if not name.startswith("lib"))
        shown = ", ".join(f"{name} {versions[name]}" for name in rapids)
        yield Finding(check="packages", text=shown or "no package of RAPIDS is installed")


def _unmet(
    name: str, versions: Mapping[str, str], required: Iterable[str], python: str
) -> Iterator[str]:
    """Yield which requirements of one distribution the installed versions do not meet."""
    from packaging.requirements import InvalidRequirement, Requirement

    minor = ".".join(python.split(".")[:2])
    environment = {"python_version": minor, "python_full_version": python, "extra": ""}
    for text in required:
        try:
            requirement = Requirement(text)
        except InvalidRequirement:  # an old or foreign spelling: pip will have read it somehow
            continue
        if requirement.marker and not requirement.marker.evaluate(environment):
            continue
        needs = f"{name} {versions[name]} needs {requirement.name}{requirement.specifier}"
        plain = re.sub(r"[-_.]+", "-", requirement.name).lower()
        # The names of conda's packages do not hold the CUDA version.
        found = versions.get(plain) or versions.get(_CUDA_SUFFIX.sub("", plain))
        if found is None:
            yield f"{needs}, which is not installed"
        elif not requirement.specifier.contains(found, prereleases=True):
            yield f"{needs}, and {found} is installed"


def _duplicates(versions: Mapping[str, str]) -> Iterator[Finding]:
    """Warn of several distributions of CuPy, and of packages for several versions of CUDA."""
    cupys = sorted(name for name in versions if _CUPY.fullmatch(name))
    if len(cupys) > 1:
        yield warning(
            "packages",
            f"{' and '.join(cupys)} are installed, and share their files",
            f"uninstall them all, then install one: pip uninstall {' '.join(cupys)}",
        )
    majors: dict[str, list[str]] = {}
    for name in sorted(versions):
        suffix = _CUDA_SUFFIX.search(name)
        if suffix and not name.startswith("nvidia-"):
            majors.setdefault(suffix[1], []).append(name)
    if len(majors) > 1:
        shown = "; ".join(f"CUDA {major}: {', '.join(majors[major])}" for major in sorted(majors))
        yield warning(
            "packages",
            f"packages for more than one CUDA are installed ({shown})",
            "keep those of one CUDA version",
        )
