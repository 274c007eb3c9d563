from __future__ import annotations

import os
from typing import TYPE_CHECKING

from stepkit.system import gpu_devices

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_a_process_that_opens_a_device_of_the_driver_holds_a_gpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu_devices, "_DEVICES", (f"{tmp_path}/nvidia",))  # there may be no GPU
    pids = [os.getpid(), 2**30]  # the second one has ended

    assert not gpu_devices.are_open_in(pids)
    with (tmp_path / "nvidia0").open("w"):
        assert gpu_devices.are_open_in(pids)
    with (tmp_path / "other").open("w"):
        assert not gpu_devices.are_open_in(pids)
