"""The preflight where the driver's management library (NVML) is there too."""

from pathlib import Path

import nvml
import pytest
from cuda_driver import check, fake_cuda

from stepkit.gpu.health import remedies


@pytest.fixture
def driver(tmp_path: Path) -> dict[str, str]:
    env = fake_cuda(tmp_path, FAKE_CUDA_INIT="0", FAKE_NVML_STATE=str(tmp_path / "state"))
    (tmp_path / "driver/libnvidia-ml.so.1").write_bytes(nvml.built())
    return env


def test_the_version_of_the_driver_is_shown(driver: dict[str, str]) -> None:
    found = check(driver)

    assert found.usable
    assert found.devices[0].driver == "570.124.06"
    assert found.devices[0].mig is False
    assert ", driver 570.124.06, CUDA 13.0" in found.message
    assert "nvml" not in {finding.check for finding in found.findings}


def test_an_instance_of_a_card_in_mig_mode_is_shown(tmp_path: Path, driver: dict[str, str]) -> None:
    (tmp_path / "state").write_text("0.mig 1\n")
    found = check(driver)

    assert found.usable
    assert found.devices[0].mig is True
    assert found.devices[0].uuid.startswith("MIG-")
    assert any("a MIG instance" in finding.text for finding in found.findings)


def test_a_management_library_that_hangs_is_killed_after_the_time_limit(
    tmp_path: Path, driver: dict[str, str]
) -> None:
    (tmp_path / "state").write_text("hang 1\n")
    found = check(driver, timeout=1.5)

    assert found.trouble is remedies.PROBE_HUNG
    assert "in nvml, for " in found.message
