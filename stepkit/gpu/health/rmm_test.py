"""Test RMM as notebooks use it: set it up, take memory through CuPy's allocator, give it back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from stepkit.formats import sizes
from stepkit.gpu.health import diagnosis, remedies, run_probe
from stepkit.gpu.health.diagnosis import Trouble
from stepkit.gpu.health.findings import Finding
from stepkit.gpu.health.remedies import Cause

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from stepkit.gpu.health.findings import Device, Level
    from stepkit.gpu.health.run_probe import Answers

CHECK: Final = "rmm-test"

# The steps of stepkit.kernel.rmm_test_script, for people.
_STEPS: Final = {
    "packages": "import of CuPy and RMM",
    "reinitialize": "rmm.reinitialize",
    "pool": "pool of {size}",
    "allocation": "array of {size}, through CuPy's allocator",
    "release": "release of array and pool",
}
NOT_INSTALLED: Final = Cause(
    name="rmm-not-installed",
    what="CuPy or RMM is not installed for this Python",
    remedy="name the kernel's Python with --python, or install both for one version of CUDA",
)
_ERROR_LENGTH: Final = 200  # characters of an exception's text that a message shows


@dataclass(frozen=True, kw_only=True)
class RmmTest:
    """A finding for each step that was run, and why one of them failed.

    ``text`` says what was shown, empty where a step failed or none was run.
    """

    findings: tuple[Finding, ...]
    trouble: Trouble | None = None
    text: str = ""


def run(
    python: str, size: int, *, device: Device, level: Level, timeout: float, directory: Path | None
) -> RmmTest:
    """Run the test in a new process of the kernel's ``python``, for at most ``timeout`` seconds.

    ``device`` is the first GPU, ``level`` that of the finding of a step that fails.
    """
    answers = run_probe.ask(
        [python, str(run_probe.RMM_TEST), str(size)],
        env=None,
        directory=directory,
        timeout=timeout,
        stop=None,
    )
    trouble = _trouble(answers, size, device)
    return RmmTest(
        findings=tuple(_findings(answers, size, trouble, level)),
        trouble=trouble,
        text="" if trouble else f"RMM handed out {sizes.spell(size)} of it to CuPy",
    )


def _findings(
    answers: Answers, size: int, trouble: Trouble | None, level: Level
) -> Iterator[Finding]:
    for step, what in _STEPS.items():
        text = what.format(size=sizes.spell(size))
        answer = answers.of(step)
        if "seconds" in answer:
            yield Finding(check=CHECK, text=f"{text}: {answer['seconds']:.2f} s")
        elif trouble:
            failed = f"{text} failed: {trouble.text}"
            yield Finding(check=CHECK, level=level, text=failed, remedy=trouble.remedy)
            return


def _trouble(answers: Answers, size: int, device: Device) -> Trouble | None:
    step = next((name for name in _STEPS if "error" in answers.of(name)), None)
    if step is None:
        return diagnosis.trouble(answers)  # the process hung, crashed or was killed
    ename, evalue = answers.of(step)["error"]
    cause = remedies.find(ename, evalue)
    if ename == "ModuleNotFoundError":
        cause = NOT_INSTALLED
    elif cause is remedies.OUT_OF_MEMORY:
        too_small = size > device.memory_total
        cause = remedies.TOO_SMALL if too_small else remedies.MEMORY_TAKEN
    detail = f"{ename}: {' '.join(evalue.split())[:_ERROR_LENGTH]}"
    return Trouble(cause=cause or remedies.PACKAGE_BROKEN, detail=detail)
