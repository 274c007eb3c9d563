"""The test of RMM: each step is named, and one that fails has the cause that CUDA's errors have."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from cuda_driver import BARE, fake_cuda
from whole_gpu import whole_gpu

from stepkit.gpu.health import remedies, rmm_test
from stepkit.gpu.health.findings import Device

if TYPE_CHECKING:
    from pathlib import Path

    from stepkit.gpu.health.rmm_test import RmmTest

GIB = 1 << 30
STEPS = [
    "import of CuPy and RMM",
    "rmm.reinitialize",
    "pool of 1.0 GiB",
    "array of 1.0 GiB, through CuPy's allocator",
    "release of array and pool",
]

# RMM and CuPy whose arrays come from somewhere else; {} runs where a pool is made.
LIBRARIES = {
    "cupy.py": """
from types import SimpleNamespace
uint8 = 1
cuda = SimpleNamespace(set_allocator=lambda _: None)
class empty:
    def __init__(self, size, dtype): self.data = self
    def memset(self, value, size): pass
    def __getitem__(self, _): return self
    def get(self): return [7]
""",
    "rmm/allocators/cupy.py": "rmm_cupy_allocator = None",
    "rmm/__init__.py": """
import os, signal, time
from types import SimpleNamespace
def reinitialize(pool_allocator=False, **_):
    if pool_allocator: {}
counts = dict(peak_bytes=0, current_bytes=0)
mr = SimpleNamespace(
    get_per_device_resource=lambda _: None,
    set_per_device_resource=lambda *_: None,
    StatisticsResourceAdaptor=lambda _: SimpleNamespace(allocation_counts=counts),
)
""",
}


def run(
    monkeypatch: pytest.MonkeyPatch,
    env: dict[str, str],
    size: int = GIB,
    python: str = "",
    **more: float,
) -> RmmTest:
    """Run the test for a GPU of 8 GiB, with ``env`` for the process that does it."""
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    device = Device(index=0, name="GPU", uuid="GPU-1", memory_total=8 * GIB)
    return rmm_test.run(
        python or sys.executable,
        size,
        device=device,
        level="error",
        directory=None,
        **{"timeout": 30.0, **more},
    )


def libraries(tmp_path: Path, in_pool: str) -> dict[str, str]:
    for name, source in LIBRARIES.items():
        path = tmp_path / "libraries" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source.replace("{}", in_pool))
    return {"PYTHONPATH": str(tmp_path / "libraries")}


@pytest.mark.usefixtures("rmm_here")
def test_a_gpu_that_works_has_a_finding_for_each_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tested = run(monkeypatch, whole_gpu(tmp_path))

    assert tested.trouble is None
    assert [finding.text.rpartition(": ")[0] for finding in tested.findings] == STEPS
    assert {(finding.check, finding.level) for finding in tested.findings} == {("rmm-test", "ok")}


@pytest.mark.usefixtures("rmm_here")
@pytest.mark.parametrize(
    ("size", "cause"),
    [
        pytest.param(9 * GIB, remedies.TOO_SMALL, marks=pytest.mark.slow),
        (4 * GIB, remedies.MEMORY_TAKEN),
    ],
)
def test_memory_that_is_not_there_is_too_small_a_gpu_or_taken_by_others(
    size: int, cause: remedies.Cause, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tested = run(monkeypatch, whole_gpu(tmp_path, size=2 * GIB), size)

    assert tested.trouble is not None
    assert tested.trouble.cause is cause
    assert [finding.level for finding in tested.findings] == ["ok", "ok", "error"]
    assert (
        f"pool of {size / GIB:.1f} GiB failed: {cause.what} (MemoryError" in tested.findings[2].text
    )
    assert tested.findings[2].remedy == cause.remedy


@pytest.mark.slow
@pytest.mark.usefixtures("rmm_here")
def test_the_error_that_rmm_hides_is_a_missing_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tested = run(monkeypatch, fake_cuda(tmp_path))

    assert tested.trouble is not None
    assert tested.trouble.cause is remedies.NO_DEVICE
    assert "rmm.reinitialize failed: " in tested.findings[1].text


def test_a_python_without_cupy_is_named_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    tested = run(monkeypatch, {}, python=BARE)

    assert tested.trouble is not None
    assert tested.trouble.cause is rmm_test.NOT_INSTALLED
    assert "No module named 'cupy'" in tested.findings[0].text


@pytest.mark.parametrize(
    ("in_pool", "cause", "where"),
    [
        ("os.kill(os.getpid(), signal.SIGSEGV)", remedies.PROBE_CRASHED, "in pool, by SIGSEGV"),
        pytest.param(
            "time.sleep(60)", remedies.PROBE_HUNG, "in pool, for ", marks=pytest.mark.slow
        ),
        ("raise OSError('odd')", remedies.PACKAGE_BROKEN, "OSError: odd"),
    ],
    ids=["crash", "hang", "error"],
)
def test_a_step_that_ends_the_process_is_named(
    in_pool: str,
    cause: remedies.Cause,
    where: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    limit = 0.5 if cause is remedies.PROBE_HUNG else 30.0

    tested = run(monkeypatch, libraries(tmp_path, in_pool), timeout=limit)

    assert tested.trouble is not None
    assert tested.trouble.cause is cause
    assert "pool of 1.0 GiB failed: " in tested.findings[-1].text
    assert where in tested.findings[-1].text


def test_an_array_that_does_not_come_from_rmm_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tested = run(monkeypatch, libraries(tmp_path, "pass"))

    assert tested.trouble is not None
    assert tested.trouble.cause is remedies.PACKAGE_BROKEN
    assert "through CuPy's allocator failed" in tested.findings[3].text
    assert "CuPy did not take the array's memory from RMM" in tested.findings[3].text
