"""Find the kernel of a notebook among those installed, through jupyter_client."""

from __future__ import annotations

import os
import sys
from typing import Any, Final

from stepkit.errors import ConfigurationError
from stepkit.formats import did_you_mean

# Modules that start IPython's kernel: ipykernel's, and the one with which stepkit wraps it.
_IPYTHON: Final = {"ipykernel_launcher", "stepkit.kernel"}


def choose(metadata: Any, *, kernel: str | None, language: str | None) -> tuple[str, str]:
    """Return the kernel to start and its language.

    ``kernel`` is what the user asked for; otherwise the notebook's ``metadata`` names it, or the
    one installed kernel of ``language`` (or of the notebook's language) is taken.

    Raises :class:`ConfigurationError` when that kernel is not installed, or none is named.
    """
    installed = _installed()
    spec = metadata.get("kernelspec", {})
    language = language or spec.get("language") or metadata.get("language_info", {}).get("name")
    name = kernel or spec.get("name") or _only_kernel(installed, language)
    if name not in installed:
        source = "--kernel" if kernel else "the notebook"
        near = did_you_mean.nearest(name, installed)
        hint = f"did you mean --kernel {near}?" if near else "choose one with --kernel"
        raise ConfigurationError(
            f"{source} asks for kernel {name!r}, which is not installed: {hint} "
            f"({_listed(installed)})"
        )
    return name, language or installed[name]["language"]


def python(name: str) -> str | None:
    """Return the interpreter that kernel ``name`` runs; None when it is not IPython's kernel."""
    argv = _installed()[name]["argv"]
    if not _IPYTHON & set(argv):
        return None
    own = ("python", f"python{sys.version_info.major}", "python{}.{}".format(*sys.version_info))
    return sys.executable if argv[0] in own else str(argv[0])  # as jupyter_client reads it


def environment(name: str) -> dict[str, str]:
    """Return the environment of kernel ``name``: ours with what its specification adds."""
    from string import Template

    added = _installed()[name].get("env") or {}  # filled in as jupyter_client does
    filled = {key: Template(value).safe_substitute(os.environ) for key, value in added.items()}
    return {**os.environ, **filled}


def _installed() -> dict[str, dict[str, Any]]:
    from jupyter_client.kernelspec import KernelSpecManager

    specs = KernelSpecManager().get_all_specs()
    return {name: entry["spec"] for name, entry in specs.items()}


def _only_kernel(installed: dict[str, dict[str, Any]], language: str | None) -> str:
    """Return the one installed kernel of ``language``, for a notebook that names no kernel."""
    same = [name for name, spec in installed.items() if spec["language"] == language]
    if len(same) == 1:
        return same[0]
    what = f"more than one kernel speaks {language}" if same else "no kernel is named"
    raise ConfigurationError(
        f"the notebook's metadata does not say how to run it ({what}): "
        f"choose one with --kernel ({_listed(installed)})"
    )


def _listed(installed: dict[str, dict[str, Any]]) -> str:
    return "installed: " + (", ".join(sorted(installed)) or "none; pip install ipykernel")
