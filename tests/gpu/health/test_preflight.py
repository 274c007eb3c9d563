import json
import os
import sys
import threading
import time
from pathlib import Path

import pytest
from cuda_driver import check, fake_cuda

from stepkit.cli import tekton_results
from stepkit.errors import ConfigurationError, Reason, ToolError
from stepkit.gpu.health import container, preflight, remedies

GIB = 1 << 30

pytestmark = pytest.mark.usefixtures("no_waiting")


def without_driver() -> None:
    if Path("/proc/driver/nvidia").exists():
        pytest.skip("this machine has a driver")


@pytest.fixture
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "_waiting", lambda *_: lambda _: None)


def levels(diagnosis: preflight.Diagnosis, check: str) -> list[str]:
    return [finding.level for finding in diagnosis.findings if finding.check == check]


def texts(diagnosis: preflight.Diagnosis, check: str) -> str:
    return "\n".join(f"{f.text}: {f.remedy}" for f in diagnosis.findings if f.check == check)


def test_a_machine_without_a_driver_has_no_gpu() -> None:
    without_driver()
    found = preflight.diagnose(need="required")

    assert found.trouble is remedies.NO_DRIVER
    assert not found.usable
    error = found.error()
    assert isinstance(error, ConfigurationError)
    assert error.reason is Reason.GPU_MISSING
    assert "nvidia.com/gpu: 1" in str(error)
    assert "NVIDIA_DRIVER_CAPABILITIES" in str(error)
    assert str(error).endswith("; on a machine of your own, install NVIDIA's driver")
    assert len(str(error)) < tekton_results.MAX_MESSAGE_BYTES
    assert "\n" not in str(error)
    assert found.findings[0].level == "error"


def test_no_variable_is_blamed_for_hiding_a_gpu_where_there_is_no_driver() -> None:
    without_driver()
    found = check({**os.environ, "CUDA_VISIBLE_DEVICES": ""})

    assert found.trouble is remedies.NO_DRIVER
    assert "CUDA_VISIBLE_DEVICES" not in found.message
    assert found.message.endswith(remedies.NO_DRIVER.remedy)


@pytest.mark.parametrize(
    ("variable", "value", "remedy"),
    [
        ("NVIDIA_VISIBLE_DEVICES", "void", "the container was started without a GPU"),
        ("NVIDIA_DRIVER_CAPABILITIES", "utility", "set it to compute,utility where the container"),
    ],
)
def test_a_variable_that_kept_the_driver_out_of_the_container_is_named(
    variable: str, value: str, remedy: str
) -> None:
    without_driver()
    env = {**os.environ, "CUDA_VISIBLE_DEVICES": "", variable: value}
    found = check(env)

    assert found.trouble is remedies.NO_DRIVER
    assert f"{variable} is {value}" in found.message
    assert remedy in found.message


def test_a_missing_gpu_that_is_optional_is_a_warning() -> None:
    without_driver()
    found = preflight.diagnose(need="optional")

    assert found.trouble is remedies.NO_DRIVER
    assert found.findings[0].level == "warning"


def test_the_gpu_is_not_checked_where_none_is_wanted(tmp_path: Path) -> None:
    found = check(fake_cuda(tmp_path, FAKE_CUDA_CRASH="1"), need="none")

    assert found.trouble is None
    assert found.devices == ()
    assert found.message == "no GPU was asked for"
    assert found.facts["python"]["version"] == ".".join(map(str, sys.version_info[:3]))


@pytest.mark.parametrize(
    ("code", "cause", "error", "reason", "remedy"),
    [
        (3, remedies.NOT_INITIALIZED, ToolError, Reason.GPU_BUSY, "Xid"),
        (34, remedies.STUB_LIBRARY, ConfigurationError, Reason.GPU_UNFIT, "`stubs`"),
        (46, remedies.BUSY, ToolError, Reason.GPU_BUSY, "Exclusive_Process"),
        (100, remedies.NO_DEVICE, ConfigurationError, Reason.GPU_MISSING, "nvidia.com/gpu: 1"),
        (304, remedies.DEVICE_FILES, ConfigurationError, Reason.GPU_UNFIT, "/dev/nvidia-uvm"),
        (802, remedies.NOT_READY, ToolError, Reason.GPU_BUSY, "nvidia-fabricmanager"),
        (803, remedies.DRIVER_MISMATCH, ConfigurationError, Reason.GPU_UNFIT, "restart"),
        (804, remedies.COMPAT_UNSUPPORTED, ConfigurationError, Reason.GPU_UNFIT, "compat"),
        (226, remedies.HARDWARE, ToolError, Reason.GPU_FAILED, "drain this one"),
        (805, remedies.MPS, ToolError, Reason.GPU_BUSY, "nvidia-cuda-mps-control"),
        (999, remedies.UNKNOWN, ToolError, Reason.GPU_BUSY, "nvidia-uvm"),
        (2, remedies.MEMORY_TAKEN, ToolError, Reason.GPU_BUSY, "nvidia-smi"),
        (12345, remedies.UNKNOWN, ToolError, Reason.GPU_BUSY, "Xid"),
    ],
)
def test_every_cause_is_recognised_from_the_driver_alone(
    tmp_path: Path,
    code: int,
    cause: remedies.Cause,
    error: type[Exception],
    reason: Reason,
    remedy: str,
) -> None:
    found = check(fake_cuda(tmp_path, FAKE_CUDA_INIT=str(code)), tries=1)

    assert found.trouble is cause
    raised = found.error()
    assert type(raised) is error
    assert raised.reason is reason
    assert remedy in str(raised)


def test_a_gpu_that_answers_is_described(tmp_path: Path) -> None:
    found = check(fake_cuda(tmp_path, FAKE_CUDA_INIT="0", FAKE_CUDA_DEVICES="2"))

    assert found.usable
    first, second = found.devices
    assert (first.index, first.name, first.compute_capability) == (0, "Fake A100", "8.0")
    assert (first.memory_free, first.memory_total) == (79 * GIB, 80 * GIB)
    assert first.uuid == "GPU-11111111-1111-1111-1111-111111111100"
    assert second.memory_free is None  # a second context would cost memory
    assert found.message == "2 GPUs: Fake A100, 79.0 GiB of 80.0 GiB free, CUDA 13.0"
    facts = json.loads(json.dumps(found.facts))
    assert facts["cuda"]["driver"] == "13.0"
    assert facts["devices"][1]["managed"] == 0
    assert found.facts["driver"]["library"] == str(tmp_path / "driver/libcuda.so.1")


def test_a_transient_cause_is_checked_again_in_a_new_process(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    left = tmp_path / "failures"
    left.write_text("2")
    found = check(fake_cuda(tmp_path, FAKE_CUDA_INIT="46", FAKE_CUDA_FAILURES=str(left)))

    assert found.usable
    assert found.facts["probe"]["tries"] == 3
    assert left.read_text().split() == ["0"]
    assert "attempt 2 failed: the GPU is taken by another process" in caplog.text


def test_a_permanent_cause_is_not_checked_again(tmp_path: Path) -> None:
    left = tmp_path / "failures"
    left.write_text("9")
    found = check(fake_cuda(tmp_path, FAKE_CUDA_INIT="803", FAKE_CUDA_FAILURES=str(left)))

    assert found.trouble is remedies.DRIVER_MISMATCH
    assert left.read_text().split() == ["8"]


def test_the_time_limit_includes_the_waits_between_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()  # it waits
    waited: list[float] = []
    monkeypatch.setattr(time, "sleep", waited.append)
    wait = preflight._waiting(None, time.monotonic() + 5)
    wait(60)
    preflight._waiting(None, time.monotonic() - 5)(60)

    assert waited[0] <= 5
    assert waited[1] == 0


def test_the_check_ends_after_the_last_try(tmp_path: Path) -> None:
    found = check(fake_cuda(tmp_path, FAKE_CUDA_INIT="802"), tries=2)

    assert found.trouble is remedies.NOT_READY
    assert found.facts["probe"]["tries"] == 2


def test_a_driver_that_hangs_is_killed_after_the_time_limit(tmp_path: Path) -> None:
    found = check(fake_cuda(tmp_path, FAKE_CUDA_HANG="1"), timeout=1.5)

    assert found.trouble is remedies.PROBE_HUNG
    assert "in cuInit, for " in found.message
    assert isinstance(found.error(), ToolError)
    assert found.error().reason is Reason.GPU_BUSY
    assert found.facts["probe"]["tries"] == 1


def test_a_driver_that_crashes_is_a_finding(tmp_path: Path) -> None:
    found = check(fake_cuda(tmp_path, FAKE_CUDA_CRASH="1"))

    assert found.trouble is remedies.PROBE_CRASHED
    assert "in cuInit, by SIGSEGV" in found.message
    assert isinstance(found.error(), ConfigurationError)
    assert found.error().reason is Reason.GPU_UNFIT


def test_another_thread_can_stop_the_check(tmp_path: Path) -> None:
    env = fake_cuda(tmp_path, FAKE_CUDA_HANG="1")
    stop = threading.Event()
    found: list[preflight.Diagnosis] = []
    thread = threading.Thread(target=lambda: found.append(check(env, stop=stop, timeout=60)))
    thread.start()
    time.sleep(0.3)
    stop.set()
    thread.join(30)

    assert found[0].stopped
    assert found[0].trouble is None
    assert not found[0].usable
    assert found[0].message == "the check of the GPU was stopped before its end"


@pytest.mark.parametrize(
    ("free", "total", "cause"),
    [(3 * GIB, 80 * GIB, remedies.MEMORY_TAKEN), (7 * GIB, 8 * GIB, remedies.TOO_SMALL)],
)
def test_too_little_memory_is_taken_by_others_or_the_gpu_is_too_small(
    tmp_path: Path, free: int, total: int, cause: remedies.Cause
) -> None:
    memory = {"FAKE_CUDA_FREE": str(free), "FAKE_CUDA_TOTAL": str(total)}
    env = fake_cuda(tmp_path, FAKE_CUDA_INIT="0", **memory)
    found = check(env, min_memory=10 * GIB, tries=1)

    assert found.trouble is cause
    words = f"{free // GIB}.0 GiB of {total // GIB}.0 GiB are free, 10.0 GiB are asked"
    assert words in found.message


def test_a_gpu_older_than_rapids_supports_is_unfit(tmp_path: Path) -> None:
    found = check(fake_cuda(tmp_path, FAKE_CUDA_INIT="0", FAKE_CUDA_CAPABILITY="61"))

    assert found.trouble is remedies.GPU_TOO_OLD
    assert "Fake A100 has 6.1" in found.message


def test_a_context_that_finds_no_memory_means_that_other_processes_have_it(tmp_path: Path) -> None:
    found = check(fake_cuda(tmp_path, FAKE_CUDA_INIT="0", FAKE_CUDA_CONTEXT="2"), tries=1)

    assert found.trouble is remedies.MEMORY_TAKEN
    assert "error 2 of cuDevicePrimaryCtxRetain" in found.message
    assert found.devices[0].memory_free is None


@pytest.mark.parametrize(
    ("variables", "text"),
    [
        ({"CUDA_VISIBLE_DEVICES": ""}, "CUDA_VISIBLE_DEVICES is empty"),
        ({"CUDA_VISIBLE_DEVICES": "-1"}, "CUDA_VISIBLE_DEVICES begins with '-1'"),
        ({"NVIDIA_VISIBLE_DEVICES": "none"}, "NVIDIA_VISIBLE_DEVICES is none"),
    ],
)
def test_a_variable_that_hides_the_gpu_is_named_with_its_remedy(
    tmp_path: Path, variables: dict[str, str], text: str
) -> None:
    found = check({**fake_cuda(tmp_path), **variables})

    assert found.trouble is remedies.NO_DEVICE
    assert text in found.message
    remedy = ("unset it, and leave the choice to the platform", "do not set the variable")
    assert found.message.endswith(remedy)


def test_device_files_that_the_driver_cannot_use_mean_that_access_was_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev/nvidia0").touch()
    (tmp_path / "dev/nvidiactl").touch()
    monkeypatch.setattr(container, "_DEV", tmp_path / "dev")
    found = check(fake_cuda(tmp_path), tries=1)

    assert found.trouble is remedies.DEVICE_LOST
    assert f"{tmp_path}/dev/nvidia0 cannot be used" in found.message
    assert found.error().exit_code == 4


def test_a_driver_library_that_cannot_be_loaded_is_shown_with_the_linkers_error(
    tmp_path: Path,
) -> None:
    env = fake_cuda(tmp_path)
    (tmp_path / "driver/libcuda.so.1").write_text("no library")
    found = check(env)

    assert found.trouble is remedies.NO_DRIVER
    assert "file too short" in found.message


def test_a_python_that_does_not_exist_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no program /nowhere/python"):
        preflight.diagnose("/nowhere/python", need="required")
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho 'no Python at all' >&2\nexit 1\n")
    broken.chmod(0o755)
    with pytest.raises(ConfigurationError, match="cannot run the check of the GPU: no Python at"):
        preflight.diagnose(str(broken), need="required")


def test_secrets_of_the_environment_are_not_in_the_diagnosis(tmp_path: Path) -> None:
    env = {**fake_cuda(tmp_path), "NVIDIA_API_KEY": "nvapi-secret"}
    found = check(env)

    assert "nvapi-secret" not in repr(found)


def test_files_beside_the_notebook_are_not_imported_by_the_probe(tmp_path: Path) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('shadowed')")
    found = check(fake_cuda(tmp_path), directory=tmp_path, tries=1)

    assert found.trouble is remedies.NO_DEVICE
    assert str(tmp_path) in found.facts["container"]["disk"]


def test_an_older_python_can_run_the_probe(tmp_path: Path) -> None:
    built = Path(sys.base_prefix).parent.glob("3.9.*/bin/python3.9")
    candidates = [*built, Path("/usr/bin/python3.9")]
    python = next((str(path) for path in candidates if path.exists()), None)
    if python is None:
        pytest.skip("there is no Python 3.9 here")
    found = preflight.diagnose(python, need="required", env=fake_cuda(tmp_path, FAKE_CUDA_INIT="0"))

    assert found.usable


@pytest.mark.parametrize("version", ["11040", "13000"])
def test_the_real_cupy_and_rmm_are_asked_after_the_driver(tmp_path: Path, version: str) -> None:
    pytest.importorskip("rmm", reason="RMM is not installed (extra cuda12 or cuda13)")
    pytest.importorskip("cupy", reason="CuPy is not installed (extra cuda12 or cuda13)")
    env = fake_cuda(tmp_path, FAKE_CUDA_INIT="0", FAKE_CUDA_VERSION=version)
    found = preflight.diagnose(need="required", env=env, tries=1)

    old = version == "11040"
    assert found.trouble is (remedies.DRIVER_TOO_OLD if old else remedies.NOT_INITIALIZED)
    expected = "cudaErrorInsufficientDriver" if old else "cudaErrorInitializationError"
    assert f"cupy: CUDARuntimeError: {expected}" in found.message
    assert found.facts["probe"]["rmm"]["error"][0] == "RuntimeError"
    assert found.facts["cuda"]["runtime"]
    assert "cupy" in str(found.facts["packages"])


LIBRARIES = {
    "cupy": """
class _Array(list):
    nbytes = 2048
    def __add__(self, _): return self
    def sum(self):
        if "FAKE_CUPY" in __import__("os").environ:
            raise RuntimeError(__import__("os").environ["FAKE_CUPY"])
        return 1
def zeros(n): return _Array()
arange = zeros
class cuda:
    class runtime:
        runtimeGetVersion = staticmethod(lambda: 12090)
        getDeviceCount = staticmethod(lambda: 1)
""",
    "rmm": "class mr: available_device_memory = staticmethod(lambda: (79 << 30, 80 << 30))",
}


@pytest.fixture
def libraries(tmp_path: Path) -> dict[str, str]:
    """CuPy and RMM that the fake driver satisfies: the real ones need its private tables."""
    for name, source in LIBRARIES.items():
        (tmp_path / f"libraries/{name}").mkdir(parents=True)
        (tmp_path / f"libraries/{name}/__init__.py").write_text(source)
    env = fake_cuda(tmp_path, FAKE_CUDA_INIT="0")
    return {**env, "PYTHONPATH": str(tmp_path / "libraries")}


def test_libraries_that_can_use_the_gpu_are_a_finding(libraries: dict[str, str]) -> None:
    found = check(libraries)

    assert found.usable
    assert texts(found, "libraries") == "CuPy and RMM can use the GPU: "
    assert found.facts["cuda"]["runtime"] == "12.9"


def test_a_missing_compiler_is_a_warning(libraries: dict[str, str]) -> None:
    env = {**libraries, "FAKE_CUPY": "CuPy failed to load libnvrtc.so.12: OSError: no such file"}
    found = check(env)

    assert found.usable
    assert levels(found, "libraries") == ["warning"]
    assert "cannot compile (RuntimeError: CuPy failed to load libnvrtc" in texts(found, "libraries")


def test_a_compiled_kernel_that_the_gpu_refuses_is_a_cause(libraries: dict[str, str]) -> None:
    env = {**libraries, "FAKE_CUPY": "cudaErrorNoKernelImageForDevice: no kernel image"}
    found = check(env)

    assert found.trouble is remedies.NO_KERNEL_IMAGE


def test_variables_that_contradict_the_gpu_are_warnings(libraries: dict[str, str]) -> None:
    env = {
        **libraries,
        "CUDA_VISIBLE_DEVICES": "0,1,2,3",
        "CUDA_VERSION": "13.3.0",
        "LD_LIBRARY_PATH": libraries["LD_LIBRARY_PATH"] + ":/usr/local/cuda/lib64/stubs",
    }
    found = check(env)

    assert found.usable
    assert "names 4 GPUs, 1 can be used" in texts(found, "gpu")
    assert "made for CUDA 13.3, the driver is of 13.0" in texts(found, "cuda")
    assert "LD_LIBRARY_PATH holds /usr/local/cuda/lib64/stubs" in texts(found, "cuda")


def test_the_parent_never_loads_the_driver(tmp_path: Path) -> None:
    check(fake_cuda(tmp_path, FAKE_CUDA_INIT="0"))

    assert "libcuda" not in Path("/proc/self/maps").read_text()
    assert "FAKE_CUDA_INIT" not in os.environ
