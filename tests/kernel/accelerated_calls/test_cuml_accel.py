"""The calls of cuml.accel are those that its profiler sees, on a stand-in of it."""

import gc
from pathlib import Path

import pytest
import stand_in_accelerators as stand_in

from stepkit.engine import read_accelerated_calls
from stepkit.kernel.accelerated_calls import AcceleratedCalls, cuml_accel
from stepkit.kernel.accelerated_calls.call_counts import CallCounts


def test_calls_are_those_that_its_profiler_sees(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cuml, counts = stand_in.cuml(), CallCounts(str(tmp_path / "calls"))
    add_calls = cuml_accel.count(cuml, counts)
    gc.collect()
    for cell in (1, 2):
        cuml.gpu("Ridge.fit", 0.25)
        cuml.cpu("Ridge.predict", 0.5)
        cuml.cpu("PCA.fit", 1.5, reason="`n_components='mle'` is\nnot supported")
        add_calls()
        counts.cell_ended(cell)
    add_calls()
    counts.cell_ended(3)

    found = read_accelerated_calls.read(tmp_path / "calls")[0]

    assert list(found) == [1, 2]
    assert found[1] == found[2]
    assert (found[1].calls, found[1].cpu_calls) == (3, 2)
    assert (found[1].seconds, found[1].cpu_seconds) == (2.25, 2.0)
    assert [(f.name, f.seconds, f.why) for f in found[1].functions] == [
        ("PCA.fit", 1.5, "`n_components='mle'` is not supported"),
        ("Ridge.predict", 0.5, ""),
    ]
    del add_calls
    gc.collect()  # as at the end of the kernel, when the profile ends
    assert capsys.readouterr().out == ""


def test_a_profile_of_the_notebook_itself_changes_nothing(tmp_path: Path) -> None:
    cuml, counts = stand_in.cuml(), CallCounts(str(tmp_path / "calls"))
    add_calls = cuml_accel.count(cuml, counts)

    with cuml.profile(quiet=True) as own:
        cuml.gpu("Ridge.fit", 0.25)
    add_calls()
    counts.cell_ended(0)

    assert own.method_calls["Ridge.fit"].gpu_calls == 1
    assert read_accelerated_calls.read(tmp_path / "calls")[0][0].calls == 1


def test_a_profiler_of_another_shape_stops_nothing(tmp_path: Path) -> None:
    cuml, path = stand_in.cuml(), tmp_path / "calls"
    cuml.ProfileResults = object
    calls = AcceleratedCalls(str(path))
    calls.begin(lambda hooks, _: hooks["cuml.accel.profilers"](cuml))
    calls.cell_ended(0)
    calls.cell_ended(1)

    assert read_accelerated_calls.read(path) == (
        {},
        ["counting: AttributeError: 'object' object has no attribute 'method_calls'"],
    )
