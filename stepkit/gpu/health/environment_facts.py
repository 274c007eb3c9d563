"""What a check of the environment shows besides its verdict: versions, variables, packages."""

from __future__ import annotations

import dataclasses
import re
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final

from stepkit.gpu.health import packages, remedies, visible_devices
from stepkit.gpu.health.findings import Finding, cuda_version, warning

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from stepkit.gpu.health.diagnosis import Trouble
    from stepkit.gpu.health.findings import Device, Level, Need
    from stepkit.gpu.health.run_probe import Answers

# What a report names besides RAPIDS' own packages.
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

# Attributes of each device, as numbers of cuda.h: whether memory can be managed by pages and handed
# out by cudaMallocAsync, and whether several processes may use the device (0) or only one (3).
_ATTRIBUTES: Final = ("managed", "pools", "compute_mode")


def facts(
    answers: Answers,
    devices: Sequence[Device],
    *,
    container: Mapping[str, Any],
    probe: Mapping[str, Any],
) -> dict[str, Any]:
    """Return all facts, ready to be written as JSON; empty texts and None mean "unknown"."""
    python, driver = answers.of("python"), answers.of("driver")
    versions = python.get("packages", {})
    names = sorted({*python.get("requirements", {}), *(n for n in _SHOWN if n in versions)})
    variables = python.get("variables", {})
    return {
        "devices": [
            {**dataclasses.asdict(device), **{name: answer[name] for name in _ATTRIBUTES}}
            for device, answer in zip(devices, driver.get("devices", ()), strict=True)
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
) -> Iterator[Finding]:
    """Yield all findings, those about the ``container`` among them; ``trouble`` comes first."""
    if trouble:
        level: Level = "error" if need == "required" else "warning"
        yield Finding(check="gpu", level=level, text=trouble.text, remedy=trouble.remedy)
    for device in devices:
        mig = ", a MIG instance" if device.mig else ""
        capability = f"compute capability {device.compute_capability}{mig}"
        yield Finding(check=f"gpu {device.index}", text=f"{device.text}, {capability}")
    if answers.of("driver").get("library"):
        yield from _cuda_findings(answers)
    if devices:
        yield from _selection_findings(answers.of("python")["variables"], len(devices))
        yield from _library_findings(answers.of("cupy"), answers.of("rmm"))
    yield from container
    if python := answers.of("python"):
        conda = " (conda)" if python["conda"] else ""
        yield Finding(check="python", text=f"{python['version']} in {python['prefix']}{conda}")
        for path in python["unreadable"]:
            remedy = "remove it, and install its package anew"
            yield warning("packages", f"{path} cannot be read", remedy)
        yield from packages.findings(python["packages"], python["requirements"], python["version"])


def _cuda_findings(answers: Answers) -> Iterator[Finding]:
    driver, variables = answers.of("driver"), answers.of("python")["variables"]
    supports, nvml = cuda_version(driver["version"]), answers.of("nvml")
    toolkit = variables.get("CUDA_VERSION", "")
    parts = [f"driver {nvml['driver']}" if nvml.get("driver") else "driver"]
    parts.append(f"of CUDA {supports}")
    if runtime := cuda_version(answers.of("cupy").get("runtime")):
        parts.append(f"under CuPy's {runtime}")
    if toolkit:
        parts.append(f"and the image's {toolkit}")
    yield Finding(check="cuda", text=" ".join(parts))
    if "missing" in nvml:
        yield warning("nvml", remedies.NO_NVML.what, remedies.NO_NVML.remedy)
    elif "text" in nvml:
        what = f"the driver's management library does not answer: {nvml['text']}"
        remedy = "it must be that of the driver: memory of other processes is not known without it"
        yield warning("nvml", what, remedy)
    if "compat" in PurePath(driver["library"]).parts:
        yield Finding(check="cuda", text=f"by forward compatibility: {driver['library']}")
    wanted = max(_numbers(visible_devices.required_cuda(variables)), _numbers(toolkit)[:2])
    if wanted > _numbers(supports):
        version = ".".join(map(str, wanted))
        yield warning(
            "cuda",
            f"the image is made for CUDA {version}, the driver is of {supports}",
            "code that is compiled at run time may fail: update the node's driver",
        )
    stubs = [p for p in variables.get("LD_LIBRARY_PATH", "").split(":") if "stubs" in p.split("/")]
    if stubs:
        text = f"LD_LIBRARY_PATH holds {stubs[0]}"
        yield warning("cuda", text, remedies.STUB_LIBRARY.remedy)


def _selection_findings(variables: Mapping[str, str], count: int) -> Iterator[Finding]:
    taken, refused = visible_devices.named(variables.get("CUDA_VISIBLE_DEVICES", ""))
    if refused and taken:
        yield warning(
            "gpu",
            f"CUDA_VISIBLE_DEVICES holds {refused!r}, and CUDA forgets all from there on",
            "write indices or UUIDs with commas between, or leave the choice to the platform",
        )
    elif len(taken) > count:
        yield warning(
            "gpu",
            f"CUDA_VISIBLE_DEVICES names {len(taken)} GPUs, {count} can be used",
            "leave the choice to the platform: unset it",
        )


def _library_findings(cupy: Mapping[str, Any], rmm: Mapping[str, Any]) -> Iterator[Finding]:
    if cupy.get("missing") and rmm.get("missing"):
        yield warning(
            "libraries",
            "neither CuPy nor RMM is installed for this Python: the driver alone was asked",
            "name the kernel's Python with --python",
        )
    elif cupy.get("call") == "kernel":
        ename, evalue = cupy["error"]
        first = evalue.strip().partition("\n")[0]
        yield warning(
            "libraries",
            f"CuPy cannot compile ({ename}: {first})",
            "install NVRTC and CUDA's headers beside it: nvidia-cuda-nvrtc-cu12 and "
            "nvidia-cuda-runtime-cu12 (CuPy 13 finds them by LD_LIBRARY_PATH alone), or conda's "
            "cuda-nvrtc",
        )
    elif "kernel" in cupy:
        with_rmm = " and RMM" if "memory" in rmm else ""
        yield Finding(check="libraries", text=f"CuPy{with_rmm} can use the GPU")


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))
