"""Our checks for `rapids doctor`, which finds them by the entry points `rapids_doctor_check`.

It calls a check with ``verbose`` and perhaps more, shows the first line of its docstring, its
warnings and, with ``--verbose``, the text that it returns. A check that raises has failed.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Final

from stepkit.errors import ConfigurationError
from stepkit.gpu.health import preflight

if TYPE_CHECKING:
    from collections.abc import Iterable

    from stepkit.gpu.health.findings import Finding

_ABOUT_GPU: Final = frozenset({"gpu", "cuda", "nvml", "libraries"})  # findings of the GPU's check


def check_gpu(verbose: bool = False, **_: object) -> str:  # noqa: ARG001, FBT001, FBT002 - as it calls
    """Check that a notebook can use the GPU through driver, CuPy and RMM.

    Raises a :class:`~stepkit.errors.StepError` with cause and remedy when it cannot.
    """
    found = preflight.diagnose(need="required", tries=1)
    _warn(finding for finding in found.findings if finding.check in _ABOUT_GPU)
    if found.trouble:
        raise found.error()
    return found.message


def check_environment(verbose: bool = False, **_: object) -> str:  # noqa: ARG001, FBT001, FBT002
    """Check memory, disk, caches and packages of a notebook's environment.

    Raises :class:`ConfigurationError` with the remedy for what keeps a notebook from running.
    """
    found = preflight.diagnose(need="none", tries=1)
    _warn(found.findings)
    errors = [finding for finding in found.findings if finding.level == "error"]
    if errors:
        raise ConfigurationError("; ".join(f"{e.check}: {e.text}: {e.remedy}" for e in errors))
    return "; ".join(f"{f.check}: {f.text}" for f in found.findings if f.level == "ok")


def _warn(findings: Iterable[Finding]) -> None:
    for finding in findings:
        if finding.level == "warning":
            text = f"{finding.check}: {finding.text}: {finding.remedy}"
            warnings.warn(text, UserWarning, stacklevel=3)
