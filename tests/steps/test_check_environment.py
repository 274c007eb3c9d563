import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cuda_driver import BARE, fake_cuda
from whole_gpu import whole_gpu

from stepkit.errors import ConfigurationError, Reason, ToolError
from stepkit.steps import check_environment
from stepkit.steps.check_environment import Options

GIB = 1 << 30


@pytest.fixture
def gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver with one device, for the children of this process."""
    env = fake_cuda(tmp_path, FAKE_CUDA_INIT="0")
    monkeypatch.setenv("LD_LIBRARY_PATH", env["LD_LIBRARY_PATH"])
    monkeypatch.setenv("FAKE_CUDA_INIT", "0")


def command(*args: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-m", "stepkit", "check-environment", *args],
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )


def failed(options: Options) -> tuple[Exception, check_environment.Outputs]:
    with pytest.raises((ConfigurationError, ToolError)) as caught:
        check_environment.run(options)
    outputs = caught.value.outputs
    assert isinstance(outputs, check_environment.Outputs)
    return caught.value, outputs


def test_without_a_device_it_ends_with_2_and_the_remedy(tmp_path: Path) -> None:
    report, facts = tmp_path / "report.json", tmp_path / "out/facts.json"
    env = fake_cuda(tmp_path)
    done = command(f"--python={BARE}", f"--report={report}", f"--facts={facts}", env=env)

    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].endswith("[gpu-missing]")
    assert "nvidia.com/gpu: 1" in done.stderr.splitlines()[-1]
    assert "gpu-count=0\n" in done.stdout
    written = json.loads(report.read_text())
    assert written["reason"] == "gpu-missing"
    assert written["outputs"]["findings"][0]["check"] == "gpu"
    assert written["outputs"]["findings"][0]["level"] == "error"
    assert json.loads(facts.read_text())["cuda"]["driver"] == "13.0"


@pytest.mark.parametrize(("code", "reason"), [("46", "gpu-busy"), ("803", "gpu-unfit")])
def test_a_busy_gpu_ends_with_4_and_an_unfit_one_with_2(
    tmp_path: Path, code: str, reason: str
) -> None:
    env = fake_cuda(tmp_path, FAKE_CUDA_INIT=code)
    done = command(f"--python={BARE}", "--attempts=1", env=env)

    assert done.returncode == (4 if reason == "gpu-busy" else 2)
    assert done.stderr.splitlines()[-1].endswith(f"[{reason}]")


def test_an_optional_gpu_that_is_missing_is_a_warning(tmp_path: Path) -> None:
    done = command(f"--python={BARE}", "--gpu=optional", env=fake_cuda(tmp_path))

    assert done.returncode == 0
    assert "WARNING gpu        the NVIDIA driver is there, but shows" in done.stderr
    assert "no GPU that can be used, and none is required" in done.stderr.splitlines()[-1]


def test_the_table_shows_every_row_and_the_error_comes_last(tmp_path: Path) -> None:
    here = f"--directory={tmp_path}"
    env = {**fake_cuda(tmp_path), "TMPDIR": "/var"}
    done = command(f"--python={BARE}", here, "--min-disk=250TiB", env=env)

    rows, error = done.stderr.splitlines()[:-1], done.stderr.splitlines()[-1]
    assert sum("ERROR gpu        the NVIDIA driver is there, but shows" in row for row in rows) == 1
    for place in (tmp_path, "/var"):
        found = f"free in {place}, 256000.0 GiB are asked for"
        assert sum("ERROR disk " in row and found in row for row in rows) == 1
    assert error.startswith("stepkit check-environment: error: the NVIDIA driver is there, but")


@pytest.mark.usefixtures("gpu")
def test_the_gpu_is_described_in_the_results() -> None:
    outputs = check_environment.run(Options(python=BARE))

    assert outputs.gpu_count == 1
    assert outputs.gpu_name == "Fake A100"
    assert outputs.gpu_memory == 80 * GIB
    assert outputs.cuda == "13.0"
    assert outputs.driver == ""
    assert outputs.devices[0].memory_free == 79 * GIB
    assert outputs.message.startswith("1 GPU: Fake A100, 79.0 GiB of 80.0 GiB free, CUDA 13.0")


def test_the_gpu_is_left_alone_where_none_is_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    env = fake_cuda(tmp_path)
    monkeypatch.setenv("LD_LIBRARY_PATH", env["LD_LIBRARY_PATH"])
    monkeypatch.setenv("FAKE_CUDA_CRASH", "1")
    outputs = check_environment.run(Options(gpu="none", python=BARE))

    assert outputs.gpu_count is None
    assert outputs.gpu_memory is None
    assert outputs.message.startswith("no GPU was asked for")
    assert {finding.check for finding in outputs.findings} >= {"shm", "disk", "python", "packages"}


def test_results_about_a_gpu_are_empty_where_it_was_not_checked(tmp_path: Path) -> None:
    results = [f"--result={name}={tmp_path / name}" for name in ("gpu-count", "gpu-memory")]
    done = command(f"--python={BARE}", "--gpu=none", *results)

    assert done.returncode == 0
    assert "gpu-count=\ngpu-name=\ngpu-memory=\n" in done.stdout
    assert (tmp_path / "gpu-count").read_bytes() == (tmp_path / "gpu-memory").read_bytes() == b""


def test_a_gpu_that_was_not_found_counts_as_none(tmp_path: Path) -> None:
    done = command(f"--python={BARE}", "--gpu=optional", env=fake_cuda(tmp_path))

    assert "gpu-count=0\ngpu-name=\ngpu-memory=0\n" in done.stdout


@pytest.mark.usefixtures("gpu")
def test_too_little_of_anything_is_refused() -> None:
    error, outputs = failed(Options(python=BARE, min_gpu_memory="90GiB"))
    assert isinstance(error, ConfigurationError)
    assert error.reason is Reason.GPU_UNFIT
    assert "79.0 GiB of 80.0 GiB are free, 90.0 GiB are asked for" in str(error)
    assert outputs.gpu_count == 1

    error, _ = failed(Options(gpu="none", min_disk="200TiB"))
    assert isinstance(error, ToolError)
    assert error.reason is Reason.DISK_FULL
    assert "204800.0 GiB are asked for" in str(error)

    error, _ = failed(Options(gpu="none", min_shm="200TiB"))
    assert isinstance(error, ConfigurationError)
    assert "mount an emptyDir with medium: Memory" in str(error)


def test_a_missing_directory_is_not_reported_as_a_full_disk(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TMPDIR", "/nowhere")
    error, _ = failed(Options(gpu="none", min_disk="1MiB"))

    assert isinstance(error, ConfigurationError)
    assert error.reason is Reason.BAD_INPUT
    assert str(error) == "directory: there is no directory /nowhere: make it, or name another"


def test_a_current_directory_that_is_gone_is_a_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()

    with pytest.raises(ConfigurationError, match="cannot tell the current directory: No such file"):
        check_environment.run(Options(gpu="none"))


def test_the_small_default_shm_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage("/")._replace(total=64 << 20)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    outputs = check_environment.run(Options(gpu="none"))

    (shm,) = (finding for finding in outputs.findings if finding.check == "shm")
    assert shm.level == "warning"
    assert shm.text == "64.0 MiB: too small for dask and for data loaders"
    assert "--shm-size" in shm.remedy


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (Options(min_gpu_memory="lots"), "--min-gpu-memory 'lots' is not a size"),
        (Options(min_shm="eight"), "--min-shm 'eight' .*: write 4GiB, 500MB or a number of bytes$"),
        (Options(min_disk="0.5"), "--min-disk '0.5' is not a size: write 4GiB, 500MB or a number"),
        (
            Options(gpu="none", min_gpu_memory="10GiB"),
            "^--min-gpu-memory 10GiB needs a look at the GPU, and --gpu none leaves it alone: ",
        ),
        (Options(directory=Path("/nowhere")), "there is no directory /nowhere"),
        (Options(python="/nowhere/python"), "no program /nowhere/python"),
    ],
)
def test_bad_options_are_refused_in_one_line(options: Options, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as caught:
        check_environment.run(options)
    assert "\n" not in str(caught.value)


def test_a_relative_python_is_found_from_the_current_directory_not_from_the_notebooks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "environment").symlink_to(Path(sys.base_prefix))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path)
    python = f"environment/bin/{Path(BARE).name}"
    outputs = check_environment.run(Options(gpu="none", python=python, directory=Path("work")))

    assert any(finding.check == "python" for finding in outputs.findings)


def test_facts_can_be_read_by_programs(tmp_path: Path) -> None:
    facts = tmp_path / "facts.json"
    check_environment.run(Options(gpu="none", facts=facts))

    written: dict[str, Any] = json.loads(facts.read_text())
    assert written["python"]["executable"] == sys.executable
    assert written["packages"]["papermill"]
    assert written["container"]["shm"] is None or written["container"]["shm"] > 0
    assert {finding["level"] for finding in written["findings"]} <= {"ok", "warning"}


@pytest.mark.slow
@pytest.mark.usefixtures("rmm_here")
def test_rmm_is_tested_step_by_step_where_that_is_asked_for(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    done = command("--rmm-test=1GiB", f"--report={report}", env=whole_gpu(tmp_path))

    assert done.returncode == 0, done.stderr
    assert "INFO rmm-test   array of 1.0 GiB, through CuPy's allocator: " in done.stderr
    assert "; RMM handed out 1.0 GiB of it to CuPy" in done.stderr.splitlines()[-1]
    found = json.loads(report.read_text())["outputs"]["findings"]
    assert [finding["level"] for finding in found if finding["check"] == "rmm-test"] == ["ok"] * 5


@pytest.mark.slow
@pytest.mark.usefixtures("rmm_here")
@pytest.mark.parametrize(
    ("gpu", "code", "last"), [("required", 2, "[gpu-unfit]"), ("optional", 0, "1 warning")]
)
def test_a_failed_test_of_rmm_fails_only_where_a_gpu_is_required(
    gpu: str, code: int, last: str, tmp_path: Path
) -> None:
    report = tmp_path / "report.json"
    env = whole_gpu(tmp_path)
    done = command("--rmm-test=9GiB", f"--gpu={gpu}", f"--report={report}", env=env)

    assert done.returncode == code
    assert done.stderr.splitlines()[-1].endswith(last)
    level = "ERROR" if code else "WARNING"
    assert f"{level} rmm-test   pool of 9.0 GiB failed: the GPU has less memory" in done.stderr
    assert json.loads(report.read_text())["outputs"]["devices"][0]["name"] == "Fake A100"


@pytest.mark.slow
def test_without_a_gpu_rmm_is_not_tested(tmp_path: Path) -> None:
    args = (f"--python={BARE}", "--gpu=optional", "--rmm-test=1GiB")
    done = command(*args, env=fake_cuda(tmp_path))

    assert done.returncode == 0
    assert "WARNING rmm-test   not run: there is no GPU to test RMM on" in done.stderr


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"gpu": "none", "rmm_test": "1GiB"}, "--rmm-test 1GiB needs a look at the GPU"),
        ({"rmm_test": "lots"}, "--rmm-test 'lots' is not a size"),
        ({"rmm_test": "50%"}, "--rmm-test '50%' is not a size"),
    ],
)
def test_a_size_to_test_rmm_with_is_checked_before_anything_runs(
    given: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(message)):
        check_environment.run(Options(**given))
