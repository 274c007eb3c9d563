"""The check of the GPU, the samples and the verdict of one run, on a fake driver."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nvml
import pytest
from nbformat import v4
from nvml import FakeDriver
from waiting import until

from stepkit.gpu import session as gpu_session
from stepkit.gpu.health import preflight
from stepkit.gpu.health.preflight import Diagnosis
from stepkit.gpu.session import GpuSession
from stepkit.gpu.step_options import GpuOptions, Need
from stepkit.notebook.verdict import CellRun, Ending, Execution

MIB = 1 << 20


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[FakeDriver]:
    with nvml.installed(tmp_path) as driver:
        driver.set(devices=1, gpu0_used=1024, gpu0_utilisation=0)
        yield driver


def sampled(session: GpuSession, used: int) -> bool:
    return [gpu["memory_used"] for gpu in session.latest()["gpus"]] == [used * MIB]


@pytest.mark.parametrize("need", ["required", pytest.param("optional", marks=pytest.mark.slow)])
def test_the_memory_of_the_check_is_not_taken_for_what_was_in_use_before(
    tmp_path: Path, fake: FakeDriver, monkeypatch: pytest.MonkeyPatch, need: Need
) -> None:
    sessions: list[GpuSession] = []

    def checks(*_: Any, **__: Any) -> Diagnosis:
        fake.set(gpu0_used=1024 + 600)  # the context of the check
        until(lambda: sessions and sampled(sessions[0], 1024 + 600))
        fake.set(gpu0_used=1024)
        return Diagnosis(need="required")

    monkeypatch.setattr(preflight, "diagnose", checks)
    with gpu_session.begin(GpuOptions(gpu=need), kernel="python3", cwd=tmp_path) as session:
        sessions.append(session)
        session.follow(os.getpid())
        session.require()
        started = time.monotonic()
        fake.set(gpu0_used=1024 + 1000, gpu0_energy=9000)
        until(lambda: sampled(session, 1024 + 1000))
        cell = CellRun(
            number=1, index=0, id="a", title="a", status="ok", began=0.0,
            seconds=time.monotonic() - started,
        )  # fmt: skip
        ended = Execution(
            cells=[cell], ending=Ending.FINISHED,
            started=started,
        )  # fmt: skip
        verdict = session.judge(ended, v4.new_notebook())
        found = session.outputs(verdict, tmp_path / "out.ipynb", Path("a.ipynb"), None, error=None)

    assert verdict.execution.cells[0].gpu_peak == 1000 * MIB
    assert verdict.execution.cells[0].gpu_change == 1000 * MIB
    assert 0 < (verdict.execution.cells[0].energy or 0) <= 9
    assert verdict.execution.cells[0].gpu_idle == 1
    assert found.gpu is not None
    assert found.gpu["devices"][0]["memory_baseline"] == 1024 * MIB
    assert found.gpu_memory_peak == (1024 + 1000) * MIB
