import os
import sys
from pathlib import Path
from typing import Any

import pytest

from stepkit.gpu.health import container, diagnosis, packages, run_rapids_doctor, visible_devices
from stepkit.gpu.health.run_probe import Answers

GIB = 1 << 30
CARD = "GPU-11111111-2222-3333-4444-555555555555"


def texts(versions: dict[str, str], requirements: dict[str, list[str]]) -> list[str]:
    return [
        finding.text
        for finding in packages.findings(versions, requirements, "3.12.3")
        if finding.level == "warning"
    ]


def test_a_version_that_rapids_does_not_take_is_named() -> None:
    versions = {"cudf-cu12": "26.10.0", "numba": "0.68.1", "numpy": "2.4.6"}
    required = ["numba<0.65.0,>=0.60.0", "numpy<3.0,>=2.0", "pytest; extra == 'test'"]

    (text,) = texts(versions, {"cudf-cu12": required})
    assert text == "cudf-cu12 26.10.0 needs numba<0.65.0,>=0.60.0, and 0.68.1 is installed"


def test_a_missing_package_that_rapids_needs_is_named() -> None:
    (text,) = texts({"rmm-cu12": "26.10.0"}, {"rmm-cu12": ["librmm-cu12==26.10.*"]})
    assert text == "rmm-cu12 26.10.0 needs librmm-cu12==26.10.*, which is not installed"


def test_requirements_hold_for_the_kernels_own_python() -> None:
    required = ["old; python_version < '3.10'", "new>=2; python_full_version >= '3.12'"]

    (text,) = texts({"rmm": "26.10.0", "new": "1"}, {"rmm": required})
    assert text == "rmm 26.10.0 needs new>=2, and 1 is installed"


def test_conda_packages_whose_names_lack_the_cuda_version_count_as_installed() -> None:
    versions = {"cudf": "26.10.0", "cupy": "14.2.0", "rmm": "26.10.00a3"}
    required = ["cupy-cuda12x>=13.6", "rmm-cu12==26.10.*", "no valid requirement =="]

    assert texts(versions, {"cudf": required}) == []


def test_two_cupys_and_two_cuda_versions_are_warnings() -> None:
    versions = {"cupy": "14.2", "cupy-cuda12x": "14.2", "rmm-cu13": "26.10", "numpy": "2"}
    found = texts(versions, {})

    assert found == [
        "cupy and cupy-cuda12x are installed, and share their files",
        "packages for more than one CUDA are installed (CUDA 12: cupy-cuda12x; CUDA 13: rmm-cu13)",
    ]


@pytest.mark.parametrize(
    ("value", "taken", "refused"),
    [
        ("0,1", ["0", "1"], ""),
        ("", [], ""),
        ("-1", [], "-1"),
        ("0, x,1", ["0"], "x"),
        (f"{CARD},MIG-1-2/3", [CARD, "MIG-1-2/3"], ""),
        ("NoDevFiles", [], "NoDevFiles"),
    ],
)
def test_visible_devices_are_read_as_cuda_does(value: str, taken: list[str], refused: str) -> None:
    assert visible_devices.named(value) == (taken, refused)


@pytest.mark.parametrize(
    ("variables", "what"),
    [
        ({}, None),
        ({"CUDA_VISIBLE_DEVICES": "0"}, None),
        ({"CUDA_VISIBLE_DEVICES": CARD[:8]}, None),
        ({"CUDA_VISIBLE_DEVICES": "3"}, "names 3, which is not here"),
        ({"CUDA_VISIBLE_DEVICES": "1" * 5000}, "CUDA_VISIBLE_DEVICES begins with '111"),
        ({"CUDA_VISIBLE_DEVICES": "GPU-9"}, "names GPU-9, which is not here"),
        ({"NVIDIA_VISIBLE_DEVICES": "all"}, None),
        ({"NVIDIA_VISIBLE_DEVICES": "none"}, "NVIDIA_VISIBLE_DEVICES is none"),
        ({"NVIDIA_VISIBLE_DEVICES": "void"}, None),  # as CDI sets it where it adds a GPU
        ({"NVIDIA_VISIBLE_DEVICES": ""}, None),
        ({"NVIDIA_DRIVER_CAPABILITIES": "graphics,utility"}, "without compute"),
        ({"NVIDIA_DRIVER_CAPABILITIES": "compute,utility"}, None),
    ],
)
def test_the_variable_that_hides_the_gpu_is_found(
    variables: dict[str, str], what: str | None
) -> None:
    hidden = visible_devices.hidden_by(variables, [CARD])

    assert (hidden is None) == (what is None)
    if hidden and what:
        assert what in hidden.what


def test_the_cuda_that_an_image_asks_for_is_read() -> None:
    env = {"NVIDIA_REQUIRE_CUDA": "cuda>=12.8 brand=unknown,driver>=470,driver<471"}

    assert visible_devices.required_cuda(env) == "12.8"
    assert not visible_devices.required_cuda({**env, "NVIDIA_DISABLE_REQUIRE": "1"})
    assert not visible_devices.required_cuda({})


def test_a_cache_directory_that_cannot_be_written_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(container, "_can_write", lambda place: "home" not in str(place))
    facts = container.facts({"HOME": "/home/none", "CUPY_CACHE_DIR": "/cache"}, tmp_path)

    assert facts["unwritable"] == ["HOME (/home/none)"]
    (found,) = (f for f in container.findings(facts) if f.check == "caches")
    assert found.level == "warning"
    assert found.text == "cannot write to HOME (/home/none)"


@pytest.mark.parametrize("home", ["/" + "x" * 300, "/proc/self/fd/999/x", "/etc/passwd/x"])
def test_a_strange_home_does_not_stop_the_check(tmp_path: Path, home: str) -> None:
    facts = container.facts({"HOME": home, "CUPY_CACHE_DIR": home}, tmp_path)

    assert set(facts["unwritable"]) <= {f"HOME ({home})", f"CUPY_CACHE_DIR ({home})"}


def test_a_cache_that_this_user_may_not_enter_cannot_be_written(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may look into everything")
    (tmp_path / "locked").mkdir(mode=0o000)
    place = tmp_path / "locked/cache"
    facts = container.facts({"CUPY_CACHE_DIR": str(place)}, tmp_path)

    assert facts["unwritable"] == [f"CUPY_CACHE_DIR ({place})"]


def mig(uuid: str) -> Answers:
    device = {"index": 0, "name": "A100", "total": 5 * GIB, "major": 8, "minor": 0, "uuid": uuid}
    card = {"uuid": CARD, "free": 30 * GIB, "mig": True}
    return Answers(
        stages={
            "driver": {"version": 13000, "devices": [device], "free": 4 * GIB},
            "nvml": {"driver": "580.95.05", "devices": [card]},
        }
    )


def test_a_device_with_a_uuid_of_no_card_is_a_mig_instance() -> None:
    (device,) = diagnosis.devices(mig("99999999-0000-0000-0000-000000000000"))

    assert device.mig is True
    assert device.uuid == "MIG-99999999-0000-0000-0000-000000000000"
    assert device.driver == "580.95.05"
    assert device.memory_free == 4 * GIB


def test_nvml_explains_an_error_that_cuda_does_not() -> None:
    answers = Answers(
        stages={
            "driver": {"version": 13000, "call": "cuInit", "code": 999},
            "nvml": {"code": 18, "text": "Driver/library version mismatch"},
        }
    )
    found = diagnosis.trouble(answers)

    assert found is not None
    assert found.cause.name == "driver-mismatch"
    assert found.detail == "error 999 of cuInit; NVML: Driver/library version mismatch"


CHECKS = """
import warnings
def passes(verbose=False, **kwargs): return True
def warns(verbose): warnings.warn("RAM is less than twice the GPU's memory")
def fails(verbose=False, gpu_info=None): raise ValueError("compute capability\\nis too low")
def exits(verbose=False): raise SystemExit("this node is not fit")
def hangs(): import time; time.sleep(60)
"""


def checks(tmp_path: Path, *names: str) -> dict[str, str]:
    """A package that registers checks for `rapids doctor`."""
    (tmp_path / "checks.py").write_text(CHECKS)
    metadata = tmp_path / "checks-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: checks\nVersion: 1.0\n")
    lines = "".join(f"{name} = checks:{name}\n" for name in names)
    (metadata / "entry_points.txt").write_text(f"[rapids_doctor_check]\n{lines}")
    return {"PYTHONPATH": str(tmp_path), "PATH": "/usr/bin:/bin"}


def test_the_checks_of_rapids_doctor_are_run_and_shown(tmp_path: Path) -> None:
    names = ["warns", "exits", "fails", "passes"]
    env = checks(tmp_path, *names)
    available = {"checks": names, "command": None}
    found = list(run_rapids_doctor.findings(sys.executable, available, timeout=30, env=env))

    assert [(finding.level, finding.text) for finding in found] == [
        ("ok", "passed: passes"),
        ("warning", "warns: RAM is less than twice the GPU's memory"),
        ("warning", "exits failed: this node is not fit"),
        ("warning", "fails failed: compute capability is too low"),
    ]


def test_a_check_of_rapids_doctor_that_hangs_is_ended(tmp_path: Path) -> None:
    env = checks(tmp_path, "hangs")
    available = {"checks": ["hangs"], "command": None}
    (found,) = run_rapids_doctor.findings(sys.executable, available, timeout=1, env=env)

    assert found.text == "hangs did not end within 1 s"


def test_rapids_doctor_is_run_as_a_command_where_no_checks_are_registered(tmp_path: Path) -> None:
    command = tmp_path / "rapids"
    command.write_text("#!/bin/sh\necho 'gpu_check failed'\necho '  No GPU'\nexit 1\n")
    command.chmod(0o755)
    available = {"checks": [], "command": str(command)}
    (found,) = run_rapids_doctor.findings(sys.executable, available, timeout=30)

    assert found.level == "warning"
    assert found.text == "rapids doctor failed: No GPU"
    nothing: dict[str, Any] = {"checks": [], "command": None}
    assert list(run_rapids_doctor.findings(sys.executable, nothing, timeout=1)) == []


def test_a_rapids_doctor_that_cannot_start_is_a_warning(tmp_path: Path) -> None:
    command = tmp_path / "rapids"
    command.write_text("#!/nowhere/python\n")  # as a conda environment that was moved
    command.chmod(0o755)
    available = {"checks": [], "command": str(command)}
    (found,) = run_rapids_doctor.findings(sys.executable, available, timeout=30)

    assert found.level == "warning"
    assert found.text == f"cannot run {command}: no program {command}"


@pytest.mark.parametrize(("limit", "warned"), [(64 << 10, True), (8 << 20, False), (None, False)])
def test_a_low_limit_for_locked_memory_is_a_warning(
    tmp_path: Path, limit: int | None, *, warned: bool
) -> None:
    facts = {**container.facts({}, tmp_path), "memlock": limit}
    found = [finding.level for finding in container.findings(facts) if finding.check == "memlock"]

    assert found == ["warning"] * warned
