r"""Check GPU, driver, memory, disk and packages before a notebook needs them.

CUDA's errors come late and mislead: half an hour into a notebook, "driver version is
insufficient" may mean that the pod has no GPU at all. This step asks the driver, CuPy and RMM, in
separate processes and with the kernel's Python (--python), and names the true cause and its
remedy. It ends with 2 where trying again cannot help: no GPU (gpu-missing), or one that does not
fit driver, image or packages (gpu-unfit). It ends with 4 where the GPU is busy or not ready yet
(gpu-busy), after some tries in new processes.

--rmm-test SIZE also does what the first cell of many RAPIDS notebooks does, in a new process: it
sets RMM up, makes a pool of that size, takes an array of that size through CuPy's allocator, and
gives it back. Each step is a finding.

With --gpu optional, a missing GPU is a warning; with none, the GPU is left alone and the rest is
checked. All findings go to the log, to the report, and as JSON to --facts.

For example:

    stepkit check-environment --gpu required --min-gpu-memory 10GiB --facts out/environment.json
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal

from stepkit.errors import ConfigurationError, Reason, StepError, ToolError
from stepkit.gpu.health import preflight, rmm_test, run_rapids_doctor
from stepkit.gpu.health.findings import Device, Finding, warning
from stepkit.gpu.memory import memory_size
from stepkit.options import DETAIL, DURATION, WRITES, AtLeast, Metavar
from stepkit.step import InReport
from stepkit.system import atomic_files

logger = logging.getLogger(__name__)

_LOG_LEVELS: Final = {"ok": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


@dataclass(frozen=True, kw_only=True)
class Options:
    """What must be there, and how long the check may take."""

    gpu: Annotated[
        Literal["required", "optional", "none"],
        "required: fail without a GPU that can be used; optional: warn; none: check the rest only",
    ] = "required"
    python: Annotated[
        str | None, "Python of the notebook's kernel; by default the one that runs this"
    ] = None
    directory: Annotated[
        Path | None, "where the notebook will work; by default the current directory"
    ] = None
    min_gpu_memory: Annotated[str | None, "what must be free on the first GPU, such as 10GiB"] = (
        None
    )
    rmm_test: Annotated[
        str | None,
        "take this much of the GPU's memory through RMM and CuPy, such as 1GiB",
        Metavar("SIZE"),
    ] = None
    min_disk: Annotated[
        str | None,
        "what must be free in --directory and for temporary files, such as 20GiB",
        Metavar("SIZE"),
    ] = None
    min_shm: Annotated[str | None, "least size of /dev/shm, such as 8GiB", Metavar("SIZE")] = None
    timeout: Annotated[float, "limit for all tries together", DURATION] = preflight.TIMEOUT_SECONDS
    attempts: Annotated[int, "how often to try when the GPU is busy or not ready", AtLeast(1)] = (
        preflight.TRIES
    )
    facts: Annotated[Path | None, "JSON file for everything that was found", WRITES] = None


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """The GPU that a notebook gets, and everything that was checked."""

    in_report: ClassVar[InReport] = InReport(section="environment")

    gpu_count: Annotated[int | None, "how many GPUs a notebook sees, empty if not checked"] = None
    gpu_name: Annotated[str, "name of the first GPU, empty without one"] = ""
    gpu_memory: Annotated[
        int | None, "memory of the first GPU in bytes, 0 without one, empty if not checked"
    ] = None
    driver: Annotated[str, "version of NVIDIA's driver, empty if unknown"] = ""
    cuda: Annotated[str, "newest CUDA that the driver supports"] = ""
    facts: Annotated[Path | None, "absolute path of the JSON file, if one was asked for"] = None
    devices: Annotated[tuple[Device, ...], "each GPU", DETAIL] = ()
    findings: Annotated[tuple[Finding, ...], "what was checked, and remedies", DETAIL] = ()
    packages: Annotated[Mapping[str, str], "versions that matter", DETAIL] = field(
        default_factory=dict
    )
    message: Annotated[str, "what was found, in one sentence"] = ""


def run(options: Options) -> Outputs:
    """Check everything, log all findings, and then fail if something that is needed is missing."""
    for flag, asked in (
        ("--min-gpu-memory", options.min_gpu_memory),
        ("--rmm-test", options.rmm_test),
    ):
        if options.gpu == "none" and asked is not None:
            raise ConfigurationError(
                f"{flag} {asked} needs a look at the GPU, and --gpu none leaves it alone: leave "
                "one of them out"
            )
    size = _bytes(options.rmm_test, "--rmm-test")
    directory = options.directory
    # Path.is_dir raises for what this user may not look into.
    if directory and not os.path.isdir(directory):  # noqa: PTH112
        raise ConfigurationError(f"there is no directory {directory}")
    python = options.python or sys.executable
    if "/" in python:
        python = str(Path(python).absolute())  # a link of an environment's stays one
    diagnosis = preflight.diagnose(
        python,
        need=options.gpu,
        min_memory=_bytes(options.min_gpu_memory, "--min-gpu-memory"),
        min_disk=_bytes(options.min_disk, "--min-disk"),
        min_shm=_bytes(options.min_shm, "--min-shm"),
        timeout=options.timeout,
        tries=options.attempts,
        directory=directory,
    )
    findings = diagnosis.findings
    if diagnosis.usable:
        checks = diagnosis.facts["doctor"]
        findings += tuple(run_rapids_doctor.findings(python, checks, timeout=options.timeout))
    tested = _test_rmm(options, python, size, diagnosis) if size is not None else None
    if tested:
        findings += tested.findings
    for finding in findings:
        remedy = f": {finding.remedy}" if finding.remedy else ""
        level = _LOG_LEVELS[finding.level]
        logger.log(level, "%-9s  %s%s", finding.check, finding.text, remedy)
    outputs = _outputs(options, diagnosis, findings, tested.text if tested else "")
    worst = next((finding for finding in findings if finding.level == "error"), None)
    if not worst:
        return outputs
    raise _error(worst, diagnosis, tested).leaving(outputs)


def _error(
    worst: Finding, diagnosis: preflight.Diagnosis, tested: rmm_test.RmmTest | None
) -> StepError:
    if diagnosis.trouble and diagnosis.need == "required":
        return diagnosis.error()
    text = f"{worst.check}: {worst.text}: {worst.remedy}"
    if worst.check == rmm_test.CHECK and tested and tested.trouble:
        return tested.trouble.cause.error(text, reason=tested.trouble.cause.reason)
    full = worst.check == "disk"
    return ToolError(text, reason=Reason.DISK_FULL) if full else ConfigurationError(text)


def _test_rmm(
    options: Options, python: str, size: int, diagnosis: preflight.Diagnosis
) -> rmm_test.RmmTest:
    """Test RMM where there is a GPU; what fails is an error only where a GPU is required."""
    if not diagnosis.usable:
        missing = warning(rmm_test.CHECK, "not run: there is no GPU to test RMM on", "see above")
        return rmm_test.RmmTest(findings=(missing,))
    return rmm_test.run(
        python,
        size,
        device=diagnosis.devices[0],
        level="error" if options.gpu == "required" else "warning",
        timeout=options.timeout,
        directory=options.directory,
    )


def _outputs(
    options: Options, diagnosis: preflight.Diagnosis, findings: tuple[Finding, ...], tested: str
) -> Outputs:
    """Return the outputs, and write the file of facts if one was asked for.

    ``tested`` is what a test of RMM has shown.
    """
    path = options.facts.absolute() if options.facts else None
    if path:
        everything = {"findings": [vars(finding) for finding in findings], **diagnosis.facts}
        atomic_files.write_atomically(path, json.dumps(everything, indent=2) + "\n")
    message = diagnosis.message
    if diagnosis.found:  # if the GPU is required, the error's own message is shown
        message = f"no GPU that can be used, and none is required: {diagnosis.found.text}"
    if tested:
        message = f"{message}; {tested}"
    if count := sum(finding.level == "warning" for finding in findings):
        message = f"{message}; {count} warning{'s' if count > 1 else ''}"
    first = diagnosis.devices[0] if diagnosis.devices else None
    facts: Mapping[str, Any] = diagnosis.facts
    checked = diagnosis.need != "none"
    return Outputs(
        gpu_count=len(diagnosis.devices) if checked else None,
        gpu_name=first.name if first else "",
        gpu_memory=(first.memory_total if first else 0) if checked else None,
        driver=facts["driver"]["version"] or "",
        cuda=facts["cuda"]["driver"],
        facts=path,
        devices=diagnosis.devices,
        findings=findings,
        packages=facts["packages"],
        message=message,
    )


def _bytes(text: str | None, flag: str) -> int | None:
    return None if text is None else memory_size.parse(text, name=flag, shares=False)
