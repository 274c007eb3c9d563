"""The preflight where the driver's management library (NVML) is there too."""

import subprocess
from pathlib import Path

import nvml
import pytest
from cuda_driver import check, fake_cuda

from stepkit.errors import ConfigurationError, Reason
from stepkit.gpu.health import container, remedies


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


def test_a_card_in_mig_mode_without_an_instance_is_not_a_lost_one(
    tmp_path: Path, driver: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(container, "nodes", lambda: ["/dev/nvidia0"])
    (tmp_path / "state").write_text("0.mig 1\n")
    found = check({**driver, "FAKE_CUDA_INIT": "100", "NVIDIA_VISIBLE_DEVICES": "void"})

    assert found.trouble is remedies.MIG_WITHOUT_INSTANCE
    error = found.error()
    assert isinstance(error, ConfigurationError)
    assert error.reason is Reason.GPU_MISSING
    assert "nvidia.com/mig-1g.10gb: 1" in str(error)
    assert found.facts["probe"]["tries"] == 1


@pytest.mark.slow
def test_a_variable_that_hides_the_instances_is_named_first(
    tmp_path: Path, driver: dict[str, str]
) -> None:
    (tmp_path / "state").write_text("0.mig 1\n")
    found = check({**driver, "FAKE_CUDA_INIT": "100", "CUDA_VISIBLE_DEVICES": ""})

    assert found.trouble is remedies.NO_DEVICE
    assert "CUDA_VISIBLE_DEVICES is empty" in found.message


def test_a_variable_of_cdi_is_not_blamed_for_a_lost_card(
    driver: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(container, "nodes", lambda: ["/dev/nvidia0"])
    found = check({**driver, "FAKE_CUDA_INIT": "100", "NVIDIA_VISIBLE_DEVICES": "void"}, tries=1)

    assert found.trouble is remedies.DEVICE_LOST
    assert "NVIDIA_VISIBLE_DEVICES" not in found.message


@pytest.mark.parametrize(
    ("lacks", "version"),
    [
        ("nvmlInit_v2", ""),
        pytest.param("nvmlDeviceGetMemoryInfo", "570.124.06", marks=pytest.mark.slow),
    ],
)
def test_a_management_library_without_a_function_does_not_end_the_check(
    tmp_path: Path, driver: dict[str, str], lacks: str, version: str
) -> None:
    other = nvml.built(f"-D{lacks}=fake_{lacks}")
    (tmp_path / "driver/libnvidia-ml.so.1").write_bytes(other)
    found = check(driver)

    assert found.usable
    assert found.devices[0].driver == version
    warnings = [finding.text for finding in found.findings if finding.check == "nvml"]
    answers = "the driver's management library does not answer: Function Not Found"
    assert warnings == ([answers] if lacks == "nvmlInit_v2" else [])


def test_a_management_library_that_cannot_spell_its_error_does_not_end_the_check(
    tmp_path: Path, driver: dict[str, str]
) -> None:
    source = tmp_path / "nvml.c"
    source.write_text("int nvmlInit_v2(void) { return 9; }")
    library = tmp_path / "driver/libnvidia-ml.so.1"
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, source], check=True)
    found = check(driver)

    assert found.usable
    (warning,) = [finding.text for finding in found.findings if finding.check == "nvml"]
    assert warning == "the driver's management library does not answer: error 9"


def test_a_management_library_that_hangs_is_killed_after_the_time_limit(
    tmp_path: Path, driver: dict[str, str]
) -> None:
    (tmp_path / "state").write_text("hang 1\n")
    found = check(driver, timeout=1.5)

    assert found.trouble is remedies.PROBE_HUNG
    assert "in nvml, for " in found.message
