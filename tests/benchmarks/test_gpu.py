"""The GPU benchmark on a machine without a GPU, and what it concludes from figures."""

from __future__ import annotations

import importlib.util
import json
import os
from typing import TYPE_CHECKING, Any

import commands
import pytest
from cuda_driver import fake_cuda
from whole_gpu import whole_gpu

from benchmarks import process
from benchmarks.gpu import __main__ as command
from benchmarks.gpu import allocators, faults, report, worker

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MIB = 1 << 20

needs_rmm = pytest.mark.skipif(
    importlib.util.find_spec("rmm") is None or importlib.util.find_spec("cupy") is None,
    reason="this environment has no RMM and CuPy: uv sync --extra cuda12",
)


@pytest.fixture
def no_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the loader find an empty file first, also on a machine that has a driver."""
    (tmp_path / "libcuda.so.1").touch()
    path = os.environ.get("LD_LIBRARY_PATH", "")
    monkeypatch.setenv("LD_LIBRARY_PATH", f"{tmp_path}{os.pathsep}{path}")


def findings(**found: Any) -> report.Findings:
    return {"date": "2026-11-22", "machine": {"kind": "test"}, "why_not": "none here", **found}


def run(mode: str, turn: int, mixed: float, **more: Any) -> dict[str, Any]:
    workloads = dict.fromkeys(("fixed", "mixed", "chain", "sort"), mixed)
    found = {"mode": mode, "turn": turn, "workload": "all", "setup_seconds": 0.01}
    return {**found, "workloads": workloads, **more}


def verdicts(found: report.Findings) -> dict[str, tuple[str, str]]:
    return {result.text: (result.measured, result.verdict) for result in report.judge(found)}


@needs_rmm
@pytest.mark.usefixtures("no_driver")
def test_without_a_gpu_it_says_why_and_writes_a_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out/gpu.json"

    assert command.main(["--out", str(out)]) == 0

    shown = capsys.readouterr().out
    assert "no GPU: there is no driver: " in shown
    assert "1 MiB were handed out" in shown
    found = json.loads(out.read_text())
    assert found["schema"] == "stepkit.gpu-benchmark/1"
    assert {target["verdict"] for target in found["targets"]} == {"not measured"}
    assert "allocators" not in found


@needs_rmm
@pytest.mark.usefixtures("no_driver")
def test_a_gpu_that_is_required_and_missing_is_exit_code_3(tmp_path: Path) -> None:
    assert command.main(["--require-gpu", "--out", str(tmp_path / "gpu.json")]) == 3


@needs_rmm
def test_a_limit_on_the_hosts_memory_is_kept() -> None:
    found = worker.call("on-host")

    assert (found["peak_bytes"], found["bytes_left"]) == (MIB, 0)
    assert not found["full"]["ok"]
    assert "MemoryError" in found["full"]["error"]


@needs_rmm
def test_a_fault_shows_the_error_that_rmm_hides(tmp_path: Path) -> None:
    env = fake_cuda(tmp_path, FAKE_CUDA_INIT="100")

    found = worker.call("fault", "no-visible-device", env=env)

    reinitialize = found["reinitialize"]
    assert reinitialize["error"].endswith("'CUDARuntimeError' object has no attribute 'msg'")
    assert "cudaErrorNoDevice" in reinitialize["hidden"]
    assert "cudaErrorNoDevice" in found["first array"]["error"]


@needs_rmm
@pytest.mark.usefixtures("no_driver")
@pytest.mark.parametrize(
    "call",
    [
        ("allocate", "rmm-pool", "mixed", True),
        ("guarded", "guard respect", "mixed", True),
        ("over-budget", "pool"),
    ],
    ids=lambda call: call[0],
)
def test_a_worker_without_a_gpu_returns_its_error(call: tuple[object, ...]) -> None:
    found = worker.call(*map(str, call))

    assert "cudaErrorInsufficientDriver" in found["error"] or "GpuMissing" in found["error"]


def test_a_worker_that_dies_or_hangs_is_reported() -> None:
    died = worker.call("none")["error"]
    assert died.startswith("ended with code 1: ")
    assert died.endswith("KeyError: 'none'")

    assert worker.call("on-host", limit=0.001) == {
        "error": "took more than 0.001 s",
        "lost": True,
    }


@pytest.mark.parametrize(
    ("probe", "why"),
    [
        ({"error": "took more than 60 s"}, "took more than 60 s"),
        (
            {"cupy": {"ok": False, "error": "No module named 'cupy'"}},
            "CuPy cannot be imported: No module named 'cupy'",
        ),
        (
            {
                "cupy": {"ok": True},
                "driver_library": {"ok": True},
                "count": {"ok": True, "value": 1},
                "device": {"ok": True},
                "kernel": {"ok": False, "error": "no kernel image"},
            },
            "no kernel image",
        ),
    ],
)
def test_the_first_thing_that_is_missing_is_the_reason(probe: Mapping[str, Any], why: str) -> None:
    assert faults.find_obstacle(probe) == why


def test_ratios_of_allocators_are_judged_turn_by_turn() -> None:
    found = findings(
        allocators=[
            run("rmm-cuda", 0, 120.0),
            run("rmm-pool", 0, 10.0),
            run("rmm-pool+statistics", 0, 10.2),
            run("rmm-cuda", 1, 240.0),  # busy, for both
            run("rmm-pool", 1, 20.0),
            run("rmm-cuda", 2, 130.0),
            {"mode": "rmm-pool", "turn": 2, "workload": "mixed", "error": "took more than 120 s"},
            run("guard pool", 0, 40.0),
        ]
    )

    judged = verdicts(found)

    assert judged["a pool of RMM's, beside the notebooks' own setting"] == (
        "12 (12..12)x",
        "reached",
    )
    assert judged["--rmm-mode pool, beside the notebooks' own setting"] == ("3x", "not reached")
    assert judged["RMM's statistics on a pool"] == ("1.02x", "reached")
    assert judged["the guard, beside none"] == ("-", "not measured")


@pytest.mark.parametrize(
    "log",
    [
        {"active": False, "lowered": False, "allocator": "unknown", "warnings": []},
        {"active": True, "lowered": True, "allocator": "plain CUDA", "warnings": []},
        {"active": True, "lowered": False, "allocator": "pool", "warnings": ["it failed"]},
    ],
    ids=["inactive", "lowered", "warned"],
)
def test_a_guard_that_served_something_else_is_not_counted(log: dict[str, Any]) -> None:
    runs = [run("rmm-cuda", 0, 100.0), run("guard pool", 0, 5.0, guard_log=log)]

    judged = verdicts(findings(allocators=runs))

    name = "--rmm-mode pool, beside the notebooks' own setting"
    assert judged[name] == ("-", "not measured")


@pytest.mark.parametrize(
    "seen",
    [
        {"samples": 30, "errors": [], "peak_bytes_used": 0},
        {"samples": 30, "errors": ["NVML is lost"], "peak_bytes_used": 1},
    ],
    ids=["nothing", "errors"],
)
def test_a_sampler_that_did_not_watch_a_gpu_has_no_cost(seen: dict[str, Any]) -> None:
    judged = verdicts(findings(sampler={"share_of_a_core": 0.001, **seen}))

    assert judged["the sampler, of a core"] == ("-", "not measured")


def test_over_budget_the_plain_pool_must_fail_and_the_others_find_the_right_sum() -> None:
    right = {"outcome": {"ok": True, "value": True}}
    full = {"outcome": {"ok": False, "error": "builtins.MemoryError: std::bad_alloc\nat x"}}
    wrong = {"outcome": {"ok": True, "value": False}}
    runs = {
        "pool": full,
        "spill": right,
        "managed": full,
        "guard": wrong,
        "x": {"error": "died"},
    }

    judged = verdicts(findings(over_budget=runs))

    assert {text.split(": ")[1]: found for text, found in judged.items() if "budget" in text} == {
        "pool": ("builtins.MemoryError: std::bad_alloc", "reached"),
        "spill": ("the right sum", "reached"),
        "managed": ("builtins.MemoryError: std::bad_alloc", "not reached"),
        "guard": ("a wrong sum", "not reached"),
        "x": ("died", "not reached"),
    }
    assert verdicts(findings(over_budget={"pool": right}))["3 GiB on a budget of 1: pool"] == (
        "the right sum",
        "not reached",
    )


def test_a_check_that_failed_is_no_measurement_of_its_time() -> None:
    checks = [{"seconds": 0.1, "code": 2}, {"seconds": 6.5, "code": 0}]

    sampler = {"share_of_a_core": 0.004, "samples": 30, "errors": [], "peak_bytes_used": 1}
    judged = verdicts(findings(check_environment=checks, sampler=sampler))

    assert judged["check-environment"] == ("6.5 s", "not reached")
    assert judged["the sampler, of a core"] == ("0.4 %", "reached")


def test_tables_show_each_allocator_beside_the_notebooks_own_and_what_failed() -> None:
    device = {"value": {"name": "GPU", "bytes_total": 80 << 30, "compute_capability": "9.0"}}
    found = findings(
        why_not="",
        probe={"device": device, "driver_version": {"value": 13000}, "runtime_version": {}},
        on_host={"error": "no rmm"},
        allocators=[
            run("rmm-cuda", 0, 100.0),
            run("rmm-pool", 0, 4.0),
            {"mode": "rmm-arena", "turn": 0, "workload": "sort", "error": "took more than 120 s"},
        ],
        faults={"fork": {"array": {"ok": False, "error": "cudaErrorInitializationError: no"}}},
        nvml={"memory": {"ok": True, "median_us": 3.0, "max_us": 9.0}, "power": {"ok": False}},
        targets=[],
    )

    shown = "\n".join(report.lines(found))

    assert "GPU, 80 GiB, compute capability 9.0, CUDA 13000 (driver)" in shown
    row = next(line for line in shown.splitlines() if line.startswith("  rmm-pool"))
    assert row.split() == ["rmm-pool", "0.01", *["4", "25"] * 4]
    assert "not counted: rmm-arena, sort, turn 1: took more than 120 s" in shown
    assert "array: cudaErrorInitializationError: no" in shown


def test_all_sections_are_measured_and_a_mode_of_each_kind_is_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, ...]] = []

    def call(what: str, *arguments: object, **_: object) -> dict[str, Any]:
        asked.append((what, *map(str, arguments)))
        return {"error": "played"}

    monkeypatch.setattr(worker, "call", call)
    monkeypatch.setattr(faults, "find_obstacle", lambda _: "")
    monkeypatch.setattr(report, "lines", lambda _: [])
    sections = "allocators,over-budget,faults,nvml"

    assert (
        command.main(["--rounds", "1", "--sections", sections, "--out", f"{tmp_path}/r.json"]) == 0
    )

    modes = [what[1] for what in asked if what[0] in {"allocate", "guarded"}]
    assert modes == [*allocators.MODES, *allocators.GUARDED] * len(allocators.WORKLOADS)
    assert [what[1] for what in asked if what[0] == "fault"] == list(faults.FAULTS)
    assert ("guarded-over-budget",) in asked
    assert {what[0] for what in asked} <= worker.WORKERS.keys()


def test_after_the_deadline_nothing_is_begun_and_the_record_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[str] = []

    def call(what: str, *_: object, **__: object) -> dict[str, Any]:
        begun.append(what)
        return {"error": "played"}

    monkeypatch.setattr(worker, "call", call)
    monkeypatch.setattr(faults, "find_obstacle", lambda _: "")
    monkeypatch.setattr(report, "lines", lambda _: [])
    out = tmp_path / "r.json"

    assert command.main(["--sections=faults,allocators", "--deadline=1", f"--out={out}"]) == 0

    assert begun == ["probe", "on-host"]
    found = json.loads(out.read_text())
    assert len(found["allocators"]) == 4 * (len(allocators.MODES) + len(allocators.GUARDED))
    assert {run["error"] for run in found["allocators"]} == {"the deadline came first"}
    assert found["faults"].keys() == faults.FAULTS.keys()


@pytest.mark.slow
@needs_rmm
def test_on_a_stand_in_for_a_gpu_all_but_the_plain_pool_exceed_their_budget(
    tmp_path: Path,
) -> None:
    out = tmp_path / "r.json"
    words = ("-m", "benchmarks.gpu", "--sections=over-budget", "--require-gpu", f"--out={out}")

    done = commands.python(*words, env=whole_gpu(tmp_path), cwd=process.ROOT)

    assert done.returncode == 0, done.stdout
    targets = json.loads(out.read_text())["targets"]
    budget = {t["text"].split(": ")[1]: t for t in targets if "budget" in t["text"]}
    assert budget.keys() == {"pool", "managed", "spill", "guard"}
    assert {t["verdict"] for t in budget.values()} == {"reached"}, budget


def test_an_unknown_section_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.main(["--sections", "allocators,fault"])
    assert "no section 'fault': check-environment, over-budget" in capsys.readouterr().err
