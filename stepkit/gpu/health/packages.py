"""Whether the packages of the kernel's environment fit each other, by what RAPIDS' own require."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from stepkit.gpu.health.findings import Finding

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from packaging.requirements import Requirement

_CUDA_SUFFIX: Final = re.compile(r"-cu(?:da)?(\d+)x?\Z")  # rmm-cu12, cupy-cuda12x
_CUPY: Final = re.compile(r"cupy(?:-cuda\d+x?|-rocm.*)?\Z")


def findings(
    versions: Mapping[str, str], requirements: Mapping[str, Iterable[str]], python: str
) -> Iterator[Finding]:
    """Judge the installed ``versions`` by name; ``requirements`` as Requires-Dist spells them.

    ``python`` is the version of the kernel's own. Nothing here is an error: whether the libraries
    can use the GPU is for the probe to say.
    """
    broken = [
        text
        for name in sorted(requirements)
        for text in _unmet(name, versions, requirements[name], python)
    ]
    for text in broken:
        yield Finding(
            check="packages",
            level="warning",
            text=text,
            remedy="install the two in one go, so that the installer chooses versions that fit",
        )
    several = [*_several_cupys(versions), *_several_cudas(versions)]
    yield from several
    if not broken and not several:
        rapids = sorted(name for name in requirements if not name.startswith("lib"))
        shown = ", ".join(f"{name} {versions[name]}" for name in rapids)
        yield Finding(check="packages", text=shown or "no package of RAPIDS is installed")


def cuda_major(name: str) -> str:
    """Return the CUDA that a distribution is for, by its name: ``12`` for rmm-cu12."""
    found = _CUDA_SUFFIX.search(name)
    return found[1] if found else ""


def _unmet(
    name: str, versions: Mapping[str, str], required: Iterable[str], python: str
) -> Iterator[str]:
    from packaging.requirements import InvalidRequirement, Requirement

    for text in required:
        try:
            requirement = Requirement(text)
        except InvalidRequirement:  # an old or foreign spelling: pip will have read it somehow
            continue
        if not _applies(requirement, python):
            continue
        needs = f"{name} {versions[name]} needs {requirement.name}{requirement.specifier}"
        found = _installed(requirement.name, versions)
        if found is None:
            yield f"{needs}, which is not installed"
        elif not requirement.specifier.contains(found, prereleases=True):
            yield f"{needs}, and {found} is installed"


def _applies(requirement: Requirement, python: str) -> bool:
    if requirement.marker is None:
        return True
    minor = ".".join(python.split(".")[:2])
    here = {"python_version": minor, "python_full_version": python, "extra": ""}
    return requirement.marker.evaluate(here)


def _installed(name: str, versions: Mapping[str, str]) -> str | None:
    """Return the version of a distribution; conda's have no CUDA in their names."""
    plain = re.sub(r"[-_.]+", "-", name).lower()
    return versions.get(plain) or versions.get(_CUDA_SUFFIX.sub("", plain))


def _several_cupys(versions: Mapping[str, str]) -> Iterator[Finding]:
    found = sorted(name for name in versions if _CUPY.fullmatch(name))
    if len(found) > 1:
        yield Finding(
            check="packages",
            level="warning",
            text=f"{' and '.join(found)} are installed, and share their files",
            remedy=f"uninstall them all, then install one: pip uninstall {' '.join(found)}",
        )


def _several_cudas(versions: Mapping[str, str]) -> Iterator[Finding]:
    majors: dict[str, list[str]] = {}
    for name in sorted(versions):
        if (major := cuda_major(name)) and not name.startswith("nvidia-"):
            majors.setdefault(major, []).append(name)
    if len(majors) > 1:
        shown = "; ".join(f"CUDA {major}: {', '.join(majors[major])}" for major in sorted(majors))
        yield Finding(
            check="packages",
            level="warning",
            text=f"packages for more than one CUDA are installed ({shown})",
            remedy="keep those of one CUDA version",
        )
