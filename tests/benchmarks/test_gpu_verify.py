"""The proof of the GPU side: what it concludes, on a stand-in for a GPU and without one."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import commands
import psutil
import pytest
from cuda_driver import fake_cuda
from waiting import until
from whole_gpu import whole_gpu

from benchmarks.gpu import __main__ as benchmark
from benchmarks.gpu import faults, worker
from benchmarks.gpu_verify import __main__ as command
from benchmarks.gpu_verify import checks, judging
from benchmarks.gpu_verify.checks import Check
from benchmarks.gpu_verify.judging import FAILS, HOLDS, NOT_JUDGED, Answer

if TYPE_CHECKING:
    from collections.abc import Callable

GIB = 1 << 30
ROOT = Path(__file__).parents[2]
PYTHON = sys.executable
MANAGED = {"allocator": "pool of managed memory of 512.0 MiB, for --rmm-overflow"}
DEVICE = {"device": {"value": {"name": "GPU", "bytes_total": 80 * GIB}}}


def verify(env: dict[str, str], *args: str) -> tuple[int, str, dict[str, Any]]:
    """Run the command; return its exit code, what it printed, and its record."""
    out = Path(env["OUT"])
    command = (sys.executable, "-m", "benchmarks.gpu_verify", f"--out={out}", *args)
    done = commands.run(*command, env=env, cwd=ROOT)
    return done.returncode, done.stdout + done.stderr, json.loads(out.read_text())


def verdicts(found: dict[str, Any]) -> dict[str, str]:
    return {row["name"]: row["verdict"] for row in found["checks"]}


def log(**more: Any) -> dict[str, Any]:
    usual = {"active": True, "lowered": False, "allocator": "pool", "warnings": [], "peak": 1}
    return {**usual, "overflow": None, **more}


def guarded(value: object = True, **more: Any) -> dict[str, Any]:  # noqa: FBT002
    return {"outcome": {"ok": True, "value": value}, "guard_log": log(**more)}


def fake_checks(monkeypatch: pytest.MonkeyPatch, *chosen: Check) -> None:
    monkeypatch.setattr(checks, "checks", lambda _: iter(chosen))
    monkeypatch.setattr(faults, "find_obstacle", lambda _: "")
    real = worker.call
    probe = lambda name, *args, **how: DEVICE if name == "probe" else real(name, *args, **how)  # noqa: E731
    monkeypatch.setattr(worker, "call", probe)


def check(name: str, run: Any, judge: Any = lambda _: Answer(HOLDS, "it ran")) -> Check:
    return Check(name=name, proves="It runs.", wanted="a run", limit=60.0, run=run, judge=judge)


@pytest.mark.parametrize("driver", [pytest.param("none", marks=pytest.mark.slow), "no device"])
def test_without_a_gpu_nothing_is_proven_and_the_record_says_why(
    driver: str, tmp_path: Path
) -> None:
    env = fake_cuda(tmp_path)
    if driver == "none":
        (tmp_path / "driver/libcuda.so.1").write_bytes(b"")

    code, printed, found = verify({**env, "OUT": f"{tmp_path}/v.json"})

    assert code == 3
    assert "no GPU: " in printed
    assert found["schema"] == "stepkit.gpu-verify/1"
    assert ("no driver" if driver == "none" else "cudaErrorNoDevice") in found["why_not"]
    assert set(verdicts(found).values()) == {NOT_JUDGED}


@pytest.mark.slow
def test_on_a_stand_in_for_a_gpu_every_check_but_those_of_time_holds(tmp_path: Path) -> None:
    pytest.importorskip("rmm", reason="RMM is not installed (extra cuda12 or cuda13)")
    env = {**whole_gpu(tmp_path), "OUT": f"{tmp_path}/v.json"}

    code, printed, found = verify(env, "--only=[!a]*")

    assert {name for name, verdict in verdicts(found).items() if verdict != HOLDS} == set(), printed
    assert (code, len(found["checks"])) == (0, 16)
    assert "16 of 16 hold" in printed

    code, printed, found = verify(env, "--only=allocations: rmm-cuda, beside guard pool")
    assert code == (0 if verdicts(found).popitem()[1] == HOLDS else 1)
    assert NOT_JUDGED not in verdicts(found).values(), printed


@pytest.mark.slow
def test_a_signal_leaves_the_record_whole_and_no_process(tmp_path: Path) -> None:
    env = {**whole_gpu(tmp_path), "MARK": str(tmp_path)}
    out = tmp_path / "v.json"
    words = (sys.executable, "-m", "benchmarks.gpu_verify", f"--out={out}")

    with subprocess.Popen(words, env=env, cwd=ROOT, stderr=subprocess.PIPE, text=True) as running:
        assert running.stderr
        first = running.stderr.readline()
        running.terminate()

    assert first == "1/20 preflight: cold: holds\n"
    assert running.returncode == 128 + signal.SIGTERM
    found = verdicts(json.loads(out.read_text()))
    assert found.pop("preflight: cold") == HOLDS
    assert set(found.values()) == {NOT_JUDGED}
    until(lambda: not any(_environment(p).get("MARK") == str(tmp_path) for p in psutil.pids()))


def _environment(pid: int) -> dict[str, str]:
    try:
        return psutil.Process(pid).environ()
    except psutil.Error:
        return {}


def test_each_check_has_a_name_and_says_what_it_proves(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["--list"]) == 0

    listed = capsys.readouterr().out
    found = list(checks.checks(tmp_path))
    assert len({one.name for one in found}) == len(found) == 20
    for one in found:
        assert f"{one.name}: {one.wanted}\n    {one.proves}\n" in listed
        assert one.proves.endswith(".")


def test_a_worker_that_dies_costs_its_check_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "v.json"
    seen: list[dict[str, str]] = []

    def look(_: float) -> dict[str, Any]:
        seen.append(verdicts(json.loads(out.read_text())))
        return {}

    fake_checks(
        monkeypatch,
        check("dies", lambda limit: worker.call("none", limit=limit), judging.of_guarded()),
        check("hangs", lambda _: worker.call("on-host", limit=0.001), judging.of_guarded()),
        check("is odd", lambda _: {}, judging.of_guarded()),
        check("runs", look),
    )

    assert command.main([f"--out={out}"]) == 1

    lost = dict.fromkeys(("dies", "hangs", "is odd"), NOT_JUDGED)
    assert seen == [{**lost, "runs": NOT_JUDGED}]  # the record is on disk before the next begins
    found = json.loads(out.read_text())
    assert verdicts(found) == {**lost, "runs": HOLDS}
    assert "KeyError: 'none'" in found["checks"][0]["facts"]["error"]
    assert found["checks"][1]["measured"] == "took more than 0.001 s"
    assert [path.name for path in tmp_path.iterdir()] == ["v.json"]


def test_after_the_deadline_no_check_is_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[float] = []

    def begin(limit: float) -> dict[str, Any]:
        begun.append(limit)
        return {}

    fake_checks(monkeypatch, check("late", begin))

    assert command.main([f"--out={tmp_path}/v.json", "--deadline=1"]) == 1

    found = json.loads((tmp_path / "v.json").read_text())
    assert begun == []
    assert found["checks"][0]["measured"] == "the deadline came first"


def test_a_check_that_is_not_there_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.main(["--only=preflights"])
    assert "no check is named 'preflights'; see --list" in capsys.readouterr().err


@pytest.mark.parametrize("main", [command.main, benchmark.main])
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--deadline=nan"], "'nan' is not a number of seconds above 0"),
        (["--deadline=-5"], "'-5' is not a number of seconds above 0"),
        (["--out=/dev"], "/dev is a directory"),
    ],
)
def test_what_would_measure_nothing_is_refused_before_the_gpu_is_asked(
    main: Callable[[list[str]], int], arguments: list[str], said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    with pytest.raises(SystemExit):
        main(arguments)
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("judge", "found", "verdict", "measured"),
    [
        (judging.of_guarded(allocator="pool"), guarded(), HOLDS, "the right sum from pool"),
        (judging.of_guarded(), guarded(value=False), FAILS, "a wrong sum from pool"),
        (judging.of_guarded(), guarded(active=False), FAILS, "the guard was not active"),
        (judging.of_guarded(), guarded(lowered=True), FAILS, "served pool, a lower rung"),
        (judging.of_guarded(), guarded(warnings=["it is odd"]), FAILS, "warned: it is odd"),
        (judging.of_guarded(), guarded(peak=None), FAILS, "no array went through RMM"),
        (judging.of_guarded(allocator="async"), guarded(), FAILS, "the guard served pool"),
        (judging.of_guarded(lowered=True), guarded(), FAILS, "the guard served pool"),
        (judging.of_guarded(lowered=True), guarded(lowered=True), HOLDS, "the right sum"),
        (judging.of_overflow, guarded(**MANAGED, peak=3 * GIB), HOLDS, "handed out 3.00 GiB"),
        (judging.of_overflow, guarded(**MANAGED, peak=GIB), FAILS, "handed out 1.00 GiB"),
        (judging.of_overflow, guarded(peak=3 * GIB), FAILS, "the guard served pool"),
        (judging.of_no_device, {"outcome": {"value": {}}}, FAILS, "it found a device"),
        (judging.of_no_device, {"error": "late", "lost": True}, NOT_JUDGED, "late"),
        (
            judging.of_no_device,
            {"outcome": {"error": "AttributeError: no attribute 'msg'"}},
            FAILS,
            "no attribute 'msg'",
        ),
    ],
)
def test_the_guard_is_judged_by_what_it_really_served(
    judge: judging.Judge, found: dict[str, Any], verdict: str, measured: str
) -> None:
    answer = judge(found)

    assert answer.verdict == verdict
    assert measured in answer.measured


def sampler(**more: Any) -> dict[str, Any]:
    usual = {"share_of_a_core": 0.003, "samples": 30, "errors": [], "peak_bytes_used": GIB}
    return {**usual, **more}


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        (sampler(), HOLDS),
        (sampler(share_of_a_core=0.006), FAILS),
        (sampler(peak_bytes_used=0), NOT_JUDGED),
        (sampler(errors=["NVML is lost"]), NOT_JUDGED),
        ({"error": "No module named 'pynvml'"}, NOT_JUDGED),
    ],
)
def test_a_sampler_that_saw_nothing_has_no_cost(found: dict[str, Any], verdict: str) -> None:
    assert judging.of_sampler(found).verdict == verdict


def times(first: float, second: float, **more: Any) -> dict[str, Any]:
    runs = [
        {"mode": "rmm-cuda", "workloads": {"mixed": first}},
        {"mode": "guard pool", "workloads": {"mixed": second}, **more},
    ]
    return {"runs": runs}


@pytest.mark.parametrize(
    ("found", "verdict", "measured"),
    [
        (times(120.0, 10.0), HOLDS, "12 times (120 and 10 us)"),
        (times(90.0, 10.0), FAILS, "9 times"),
        (times(120.0, 10.0, guard_log=log()), HOLDS, "12 times"),
        (times(120.0, 10.0, guard_log=log(lowered=True)), NOT_JUDGED, "a lower rung"),
        (times(120.0, 10.0, guard_log=log(active=False)), NOT_JUDGED, "was not active"),
        (times(120.0, 10.0, error="took more than 9 s"), NOT_JUDGED, "guard pool: took more"),
        (times(120.0, 0.0), NOT_JUDGED, "guard pool took no time"),
        ({"runs": [{"mode": "rmm-cuda", "workloads": {}}]}, NOT_JUDGED, "it was not measured"),
    ],
)
def test_a_ratio_is_judged_where_both_modes_did_what_they_are_named_for(
    found: dict[str, Any], verdict: str, measured: str
) -> None:
    answer = judging.of_ratio("mixed", least=10.0)(found)

    assert answer.verdict == verdict
    assert measured in answer.measured


def notebook(code: int, *reasons: str, printed: str = "sum 3", **outputs: Any) -> dict[str, Any]:
    attempts = [{"reason": reason} for reason in reasons]
    return {
        "code": code,
        "printed": printed,
        "report": {"outputs": {"attempts": attempts, **outputs}},
    }


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        (notebook(0, "gpu-out-of-memory", "ok"), HOLDS),
        (notebook(0), FAILS),  # it fitted at once: nothing was lowered
        (notebook(0, "gpu-out-of-memory", "ok", printed="sum 4"), FAILS),
        (notebook(3, "gpu-out-of-memory", "gpu-out-of-memory"), FAILS),
        ({"error": "took more than 120 s", "lost": True}, NOT_JUDGED),
    ],
)
def test_a_retry_holds_only_after_an_attempt_that_was_full(
    found: dict[str, Any], verdict: str
) -> None:
    assert judging.of_lower_attempt("sum 3")(found).verdict == verdict


@pytest.mark.parametrize(
    ("peak", "by_rmm", "verdict"),
    [
        (1.2, 1.0, HOLDS),
        (0.4, 1.0, FAILS),
        (2.5, 1.0, FAILS),
        (1.2, 0.0, FAILS),
        (None, 1.0, NOT_JUDGED),
    ],
)
def test_a_timeline_is_judged_by_what_the_sampler_saw(
    peak: float | None, by_rmm: float, verdict: str
) -> None:
    cells = [{"gpu_peak": 0}, {"gpu_peak": None if peak is None else int(peak * GIB)}]
    found = notebook(0, cells=cells, guard={"peak": int(by_rmm * GIB)})

    assert judging.of_timeline(found).verdict == verdict


def test_a_command_is_judged_by_code_reason_and_time() -> None:
    judge = judging.of_command(code=0, reason="ok", seconds=5.0)
    report = {"reason": "ok", "message": "1 GPU"}

    assert judge({"code": 0, "seconds": 4.0, "report": report}).verdict == HOLDS
    assert judge({"code": 0, "seconds": 6.0, "report": report}).verdict == FAILS
    assert judge({"code": 2, "seconds": 4.0, "report": {"reason": "gpu-missing"}}).verdict == FAILS
    assert judge({"code": 0, "seconds": 4.0, "report": {}}).verdict == FAILS


def test_a_command_that_could_not_begin_is_not_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "stepkit.py").write_text("import a_package_that_is_not_here\n")
    monkeypatch.setattr(sys, "executable", f"{tmp_path}/python")
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\ncd {tmp_path} && exec {PYTHON} "$@"\n')
    python.chmod(0o755)
    first = next(checks.checks(tmp_path))

    found = first.run(30.0)

    assert first.judge(found).verdict == NOT_JUDGED
    assert "No module named 'a_package_that_is_not_here'" in first.judge(found).measured
