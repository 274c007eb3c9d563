"""What a check of the environment shows beside its verdict: versions, variables, packages."""

from __future__ import annotations

import dataclasses
import re
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final

from stepkit.gpu.health import packages, remedies, visible_devices
from stepkit.gpu.health.findings import Finding, cuda_version

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from stepkit.gpu.health.diagnosis import Trouble
    from stepkit.gpu.health.findings import Device, Need
    from stepkit.gpu.health.probe_runner import Answers

# What a report names beside RAPIDS' own packages.
_SHOWN: Final = (
    "anndata",
    "dask",
    "ipykernel",
    "nbclient",
    "numba",
    "numpy",
    "nvidia-ml-py",
    "pandas",
    "papermill",
    "scanpy",
    "scipy",
    "stepkit",
    "torch",
)

# Of each device, as numbers of cuda.h: whether memory can be managed by pages and handed out by
# cudaMallocAsync, and whether several processes may use it (0) or one alone (3).
_ATTRIBUTES: Final = ("managed", "pools", "compute_mode")


def facts(
    answers: Answers,
    devices: Sequence[Device],
    *,
    container: Mapping[str, Any],
    probe: Mapping[str, Any],
) -> dict[str, Any]:
    """Return everything that can be written as JSON; empty texts and None are "not told"."""
    python, driver = answers.of("python"), answers.of("driver")
    versions = python.get("packages", {})
    names = sorted({*python.get("requirements", {}), *(n for n in _SHOWN if n in versions)})
    variables = python.get("variables", {})
    return {
        "devices": [
            {**dataclasses.asdict(device), **{name: told[name] for name in _ATTRIBUTES}}
            for device, told in zip(devices, driver.get("devices", ()), strict=True)
        ],
        "driver": {
            "version": answers.of("nvml").get("driver"),
            "library": driver.get("library"),
        },
        "cuda": {
            "driver": cuda_version(driver.get("version")),
            "runtime": cuda_version(answers.of("cupy").get("runtime")),
            "toolkit": variables.get("CUDA_VERSION", ""),
            "required": visible_devices.required_cuda(variables),
        },
        "python": {key: python.get(key) for key in ("version", "executable", "prefix", "conda")},
        "packages": {name: versions[name] for name in names},
        "variables": variables,
        "doctor": {"checks": python.get("checks", []), "command": python.get("rapids")},
        "container": container,
        "probe": {**probe, "cupy": answers.of("cupy"), "rmm": answers.of("rmm")},
    }


def findings(
    answers: Answers,
    devices: Sequence[Device],
    trouble: Trouble | None,
    need: Need,
    container: Iterable[Finding],
) -> tuple[Finding, ...]:
    """Return all findings, those of the ``container`` among them; trouble comes first."""
    gpu = _of_gpu(answers, devices, trouble, need)
    return (*gpu, *container, *_of_python(answers))


def _of_gpu(
    answers: Answers, devices: Sequence[Device], trouble: Trouble | None, need: Need
) -> Iterator[Finding]:
    """Yield what was found about GPUs, driver, CUDA and the libraries that use them."""
    if trouble:
        level = "error" if need == "required" else "warning"
        yield _finding("gpu", level, trouble.text, trouble.remedy)
    for device in devices:
        mig = ", a MIG instance" if device.mig else ""
        capability = f"compute capability {device.compute_capability}{mig}"
        yield Finding(check=f"gpu {device.index}", text=f"{device.text}, {capability}")
    if answers.of("driver").get("library"):
        yield from _driver(answers)
    if devices:
        yield from _selection(answers.of("python")["variables"], len(devices))
        yield from _libraries(answers)


def _of_python(answers: Answers) -> Iterator[Finding]:
    """Yield what was found about the kernel's Python and its packages."""
    python = answers.of("python")
    if python:
        conda = " (conda)" if python["conda"] else ""
        yield Finding(check="python", text=f"{python['version']} in {python['prefix']}{conda}")
        for path in python["unreadable"]:
            yield _finding(
                "packages",
                "warning",
                f"{path} cannot be read",
                "remove it, and install its package anew",
            )
        yield from packages.findings(python["packages"], python["requirements"], python["version"])


def _driver(answers: Answers) -> Iterator[Finding]:
    driver, variables = answers.of("driver"), answers.of("python")["variables"]
    speaks, nvml = cuda_version(driver["version"]), answers.of("nvml")
    toolkit = variables.get("CUDA_VERSION", "")
    parts = [f"driver {nvml['driver']}" if nvml.get("driver") else "driver"]
    parts.append(f"of CUDA {speaks}")
    if runtime := cuda_version(answers.of("cupy").get("runtime")):
        parts.append(f"under CuPy's {runtime}")
    if toolkit:
        parts.append(f"and the image's {toolkit}")
    yield Finding(check="cuda", text=" ".join(parts))
    if "missing" in nvml:
        yield _finding("nvml", "warning", remedies.NO_NVML.what, remedies.NO_NVML.remedy)
    if "compat" in PurePath(driver["library"]).parts:
        yield Finding(check="cuda", text=f"by forward compatibility: {driver['library']}")
    wanted = max(_numbers(visible_devices.required_cuda(variables)), _numbers(toolkit)[:2])
    if wanted > _numbers(speaks):
        yield _finding(
            "cuda",
            "warning",
            f"the image is made for CUDA {'.'.join(map(str, wanted))}, the driver is of {speaks}",
            "code that is compiled at run time may fail: update the node's driver",
        )
    stubs = [p for p in variables.get("LD_LIBRARY_PATH", "").split(":") if "stubs" in p.split("/")]
    if stubs:
        yield _finding(
            "cuda", "warning", f"LD_LIBRARY_PATH holds {stubs[0]}", remedies.STUB_LIBRARY.remedy
        )


def _selection(variables: Mapping[str, str], count: int) -> Iterator[Finding]:
    taken, refused = visible_devices.named(variables.get("CUDA_VISIBLE_DEVICES", ""))
    if refused and taken:
        yield _finding(
            "gpu",
            "warning",
            f"CUDA_VISIBLE_DEVICES holds {refused!r}, and CUDA forgets all from there on",
            "write indices or UUIDs with commas between, or leave the choice to the platform",
        )
    elif len(taken) > count:
        yield _finding(
            "gpu",
            "warning",
            f"CUDA_VISIBLE_DEVICES names {len(taken)} GPUs, {count} can be used",
            "leave the choice to the platform: unset it",
        )


def _libraries(answers: Answers) -> Iterator[Finding]:
    cupy, rmm = answers.of("cupy"), answers.of("rmm")
    if cupy.get("missing") and rmm.get("missing"):
        yield _finding(
            "libraries",
            "warning",
            "neither CuPy nor RMM is installed for this Python: the driver alone was asked",
            "name the kernel's Python with --python",
        )
    elif cupy.get("call") == "kernel":
        ename, evalue = cupy["error"]
        first = evalue.strip().partition("\n")[0]
        yield _finding(
            "libraries",
            "warning",
            f"CuPy cannot compile ({ename}: {first})",
            "install NVRTC and CUDA's headers beside it: cupy-cuda12x[ctk], or conda's cuda-nvrtc",
        )
    elif "kernel" in cupy:
        with_rmm = " and RMM" if "memory" in rmm else ""
        yield Finding(check="libraries", text=f"CuPy{with_rmm} can use the GPU")


def _finding(check: str, level: Any, text: str, remedy: str) -> Finding:
    return Finding(check=check, level=level, text=text, remedy=remedy)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))
