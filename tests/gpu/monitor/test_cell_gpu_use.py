"""What the GPUs did while a cell ran, from samples of each second."""

from typing import Any

import pytest

from stepkit.gpu.monitor import cell_gpu_use
from stepkit.gpu.monitor.timeline import Timeline
from stepkit.system.nvml import Device


def sampled(**columns: list[float | None]) -> Timeline:
    named = {name.replace("_", ".", 1): column for name, column in columns.items()}
    seconds = range(len(next(iter(columns.values()), ())))
    count = len({name.partition(".")[0] for name in named})
    devices = [Device(index=index) for index in range(count)]
    return Timeline(interval=1, seconds=seconds, columns=named, devices=devices)


def test_the_idle_share_of_a_cell_is_that_of_its_own_samples() -> None:
    made = sampled(gpu0_idle=[1, 1, 0, 0, 1, 1])

    found = cell_gpu_use.idle_shares(made, [(0, 1), (1, 4), (3, 5), (4.1, 4.9), (9, 10)])

    assert found == [1, round(1 / 3, 4), 1, None, None]


def test_several_gpus_count_alike() -> None:
    made = sampled(gpu0_idle=[0, 1, 1], gpu1_idle=[0, 0, 0])

    assert cell_gpu_use.idle_shares(made, [(0, 2)]) == [0.5]


@pytest.mark.parametrize("columns", [{"gpu0_idle": [None, None]}, {"gpu0_power": [1, 2]}, {},
                                     {"gpu0_idle": [1, 1], "gpu1_idle": [None, None]}])  # fmt: skip
def test_a_gpu_that_reports_no_utilisation_has_no_idle_share(columns: Any) -> None:
    assert cell_gpu_use.idle_shares(sampled(**columns), [(0, 5)]) == [None]


def test_the_energy_of_a_cell_grows_evenly_between_two_samples() -> None:
    made = sampled(gpu0_energy=[1000, 1100, 1300, 1300])

    found = cell_gpu_use.energies(made, [(0, 1), (0.5, 2.5), (1.5, 2), (2.2, 2.4), (-9, 9)])

    assert found == [100, 250, 100, None, 300]


def test_energy_is_that_of_all_gpus() -> None:
    made = sampled(gpu0_energy=[0, 10, 30], gpu1_power_energy=[0, None, 4])

    assert cell_gpu_use.energies(made, [(0, 2), (1, 2)]) == [34, 22]


@pytest.mark.parametrize("columns", [{"gpu0_energy": [None, None]}, {"gpu0_power": [1, 2]}, {},
                                     {"gpu0_energy": [1, 2], "gpu1_power": [1, 2]}])  # fmt: skip
def test_the_energy_of_a_gpu_that_does_not_report_it_is_unknown(columns: Any) -> None:
    assert cell_gpu_use.energies(sampled(**columns), [(0, 1)]) == [None]


def test_a_cell_in_which_a_driver_ceased_to_answer_has_no_energy() -> None:
    made = sampled(gpu0_energy=[0, 10, None, 20, None, None], gpu1_energy=[0, 1, 2, 3, 4, 5])

    found = cell_gpu_use.energies(made, [(0, 1), (1, 2), (2, 3), (2, 4), (4, 5)])

    assert found == [11, 6, 6, None, None]


def test_the_energy_of_a_counter_that_was_set_back_is_unknown() -> None:
    made = sampled(gpu0_energy=[900, 3, 5], gpu1_energy=[10, 20, 30])

    assert cell_gpu_use.energies(made, [(0, 1), (1, 2)]) == [None, None]
