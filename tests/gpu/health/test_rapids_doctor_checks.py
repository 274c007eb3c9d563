"""Our checks in `rapids doctor`: it finds them, and they say what check-environment says."""

from __future__ import annotations

import os
import sys
import tomllib
from importlib.metadata import entry_points
from pathlib import Path

import commands
import locked_wheels
import pytest
from cuda_driver import fake_cuda
from whole_gpu import whole_gpu

from stepkit.errors import ConfigurationError, Reason
from stepkit.gpu.health import rapids_doctor_checks, run_probe

ROOT = Path(__file__).parents[3]
GROUP = "rapids_doctor_check"
LOCK = Path(__file__).with_name("wheels") / "rapids-cli.txt"
NAMES = ["stepkit-environment", "stepkit-gpu"]


def test_the_checks_are_registered_under_their_names() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    assert sorted(declared[GROUP]) == NAMES

    registered = [point for point in entry_points(group=GROUP) if point.name.startswith("stepkit")]
    assert sorted(point.name for point in registered) == NAMES
    for point in registered:
        assert (point.load().__doc__ or "").startswith("Check ")


def test_a_gpu_that_is_missing_fails_the_check_with_its_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in fake_cuda(tmp_path).items():
        monkeypatch.setenv(name, value)

    with (
        pytest.warns(UserWarning, match="nvml: the driver's management library"),
        pytest.raises(ConfigurationError, match=r"shows this container no GPU.*: a pod") as caught,
    ):
        rapids_doctor_checks.check_gpu(verbose=True, gpu_info=None)
    assert caught.value.reason == Reason.GPU_MISSING


def test_what_may_go_wrong_in_the_environment_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("CUPY_CACHE_DIR", f"{tmp_path}/file/cache")
    monkeypatch.chdir(tmp_path)

    with pytest.warns(UserWarning, match="caches: cannot write to CUPY_CACHE_DIR .*/file/cache"):
        text = rapids_doctor_checks.check_environment()

    assert f"free in {tmp_path}" in text


def test_our_own_checks_are_not_run_by_check_environment_again(tmp_path: Path) -> None:
    metadata = tmp_path / "other-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: other\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[{GROUP}]\nother = os:getcwd\n")
    env = {**os.environ, "PYTHONPATH": str(tmp_path)}

    listed, ran = (
        run_probe.ask(
            [sys.executable, str(script), "none"], env=env, directory=None, timeout=30, stop=None
        )
        for script in (run_probe.PROBE, run_probe.RAPIDS_DOCTOR)
    )

    assert listed.of("python")["checks"] == ["other"]
    assert list(ran.stages) == ["other"]


def rapids_doctor(env: dict[str, str]) -> tuple[int, str]:
    """Run the real `rapids doctor` with our checks alone; return its exit code and its text."""
    (packages,) = locked_wheels.environment(LOCK).glob("lib/python*/site-packages")
    path = f"{packages}:{env.get('PYTHONPATH', '')}".rstrip(":")
    code = "from rapids_cli.cli import rapids; rapids()"
    arguments = ("-c", code, "doctor", "--verbose", "stepkit")
    done = commands.python(*arguments, env={**env, "PYTHONPATH": path, "COLUMNS": "400"})
    return done.returncode, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.usefixtures("rmm_here")
def test_the_real_rapids_doctor_shows_a_gpu_that_our_checks_find(tmp_path: Path) -> None:
    code, text = rapids_doctor(whole_gpu(tmp_path))

    assert code == 0, text
    assert "Discovered 2 checks" in text
    assert "check_gpu: 1 GPU: Fake A100" in text
    assert "All checks passed!" in text


@pytest.mark.slow
def test_the_real_rapids_doctor_fails_with_our_cause_and_remedy(tmp_path: Path) -> None:
    code, text = rapids_doctor(fake_cuda(tmp_path))

    assert code == 1, text
    assert "check_gpu failed" in text
    assert "the NVIDIA driver is there, but shows this container no GPU" in text
