"""GPU-hours, idle share and energy of a run, from those of its notebooks."""

from typing import Any

import pytest
import run_records
from run_records import device, gpu

from stepkit.report import gpu_use

HOUR = 3_600_000


def held(start_ms: int | None, hours: float, uuid: str = "GPU-0", **values: Any) -> Any:
    usual = {
        "start_ms": start_ms, "duration_ms": int(hours * HOUR), "gpu_hours": hours, "energy": 100.0,
        "gpu_idle": 0.5, "gpu": gpu(devices=[device(uuid=uuid)]),
    }  # fmt: skip
    return run_records.notebook(**{**usual, **values})


def test_notebooks_one_after_the_other_add_up() -> None:
    found = gpu_use.of_run([held(0, 1, gpu_idle=0.0), held(HOUR, 3, gpu_idle=1.0)])

    assert found == {"energy": 200.0, "gpu_hours": 4, "gpu_idle": 0.75}


def test_a_gpu_that_two_notebooks_hold_at_the_same_time_counts_once() -> None:
    found = gpu_use.of_run([held(0, 2), held(HOUR, 2), held(9 * HOUR, 1)])

    assert found == {"energy": None, "gpu_hours": 4, "gpu_idle": 0.5}


def test_the_energy_of_a_notebook_that_ran_again_is_not_that_of_the_run() -> None:
    tries = [{"number": 1}, {"number": 2}]
    found = gpu_use.of_run([held(0, 1), held(HOUR, 1, attempts=tries)])

    assert found == {"energy": None, "gpu_hours": 2, "gpu_idle": 0.5}
    assert gpu_use.of_run([held(0, 1, attempts=tries[:1])])["energy"] == 100


def test_two_gpus_at_the_same_time_count_both() -> None:
    found = gpu_use.of_run([held(0, 2), held(0, 2, uuid="GPU-1")])

    assert (found["gpu_hours"], found["energy"]) == (4, 200.0)


@pytest.mark.parametrize("unknown", ["energy", "gpu_idle"])
def test_what_is_unknown_of_one_notebook_is_unknown_of_the_run(unknown: str) -> None:
    values: dict[str, Any] = {unknown: None}
    found: Any = gpu_use.of_run([held(0, 1), held(HOUR, 1, **values)])

    assert found[unknown] is None
    assert found["gpu_hours"] == 2


def test_notebooks_that_ran_elsewhere_or_without_a_gpu_do_not_count() -> None:
    without = held(HOUR, 1, gpu_hours=None, gpu=gpu(0))
    nothing = {"energy": None, "gpu_hours": None, "gpu_idle": None}

    assert gpu_use.of_run([held(0, 1, reused_from="run-1"), without]) == nothing
    assert gpu_use.of_run([held(0, 1), without])["gpu_hours"] == 1


def test_a_notebook_that_began_at_an_unknown_time_shares_nothing() -> None:
    found = gpu_use.of_run([held(None, 1), held(0, 1)])

    assert (found["gpu_hours"], found["energy"]) == (2, 200.0)


def test_what_is_known_is_spelled() -> None:
    notebook = held(0, 0.5, energy=21_433.0, gpu_idle=0.384)
    nothing = held(0, 0.5, energy=None, gpu_idle=None, gpu_hours=None)

    assert gpu_use.spelled(notebook) == ["0.5 GPU-hours", "GPU idle 38 %", "21.4 kJ"]
    assert gpu_use.spelled(nothing) == []
    assert [*map(gpu_use.spell_energy, (0, 812.4, 999_960, 3.1e6, None))] == [
        "0 J", "812 J", "1000.0 kJ", "3.1 MJ", "",
    ]  # fmt: skip
    assert [*map(gpu_use.spell_hours, (0, 0.0004, 0.02912, 12.345, 1234.5, None))] == [
        "0", "below 0.001", "0.0291", "12.3", "1234", "",
    ]  # fmt: skip


def test_numbers_that_are_none_are_unknown() -> None:
    assert gpu_use.devices([]) == gpu_use.devices({"devices": "none"}) == []
    assert gpu_use.total(["much", 1.0]) is None
    assert gpu_use.total([]) is None
    assert gpu_use.hours(0, 1000) is None
    assert gpu_use.hours(2, None) is None
