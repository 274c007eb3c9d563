"""How the runs of a comparison are judged, recorded and shown."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import pytest

from benchmarks import __main__ as command
from benchmarks import figures, notebooks
from benchmarks.compare import cases, peers, record, report
from benchmarks.compare.cases import Sample
from benchmarks.figures import Proof
from benchmarks.process import Usage

USAGE = Usage(
    wall=1.0,
    first_output=0.1,
    runner_cpu=0.5,
    tree_cpu=1.0,
    runner_memory=50 << 20,
    tree_memory=100 << 20,
)


def sample(case: str, runner: str, turn: int, wall: float, problem: str = "") -> Sample:
    usage = dataclasses.replace(USAGE, wall=wall)
    return Sample(case=case, runner=runner, turn=turn, usage=usage, problem=problem)


def test_ratios_are_taken_within_a_turn_and_only_of_good_runs() -> None:
    samples = [
        sample("c", "old", 0, 10.0),
        sample("c", "new", 0, 5.0),
        sample("c", "old", 1, 80.0),  # the machine was busy: for both
        sample("c", "new", 1, 20.0),
        sample("c", "old", 2, 9.0),
        sample("c", "new", 2, 0.1, problem="displays 3 of 9"),
        sample("c", "new", 3, 1.0),
        sample("other", "old", 3, 1.0),
    ]

    found = report.ratio(samples, "c", "old", "new", "wall")

    assert found == figures.Spread(3.0, 2.0, 4.0, 2)
    times = report.by_turn(samples, "c", "new", "wall").values()
    assert (min(times), len(times)) == (1.0, 3)
    assert not report.by_turn(samples, "c", "nobody", "wall")


def test_a_target_is_missed_by_a_fast_run_that_lost_output() -> None:
    good = [sample("cells-800", "stepkit", 0, 1.1), sample("cells-800", "floor", 0, 1.0)]
    slow = [sample("cells-800", "stepkit", 0, 1.2), sample("cells-800", "floor", 0, 1.0)]
    lossy = [*good, sample("cells-800", "stepkit", 1, 0.1, problem="cells 7 of 800")]

    verdicts = [report.judge(samples)[0].verdict for samples in (good, slow, lossy, [])]

    assert verdicts == ["reached", "not reached", "not reached", "not measured"]


def test_a_proof_that_fails_is_a_target_missed() -> None:
    proofs = [
        Proof("torn-reads", "papermill", "5 torn"),
        Proof("torn-reads", "stepkit", "1 torn", "none", ok=False),
    ]

    results = report.judge([], proofs)

    # papermill promised nothing
    assert len(results) == len(report.TARGETS) + len(report.LIMITS) + 1
    assert (results[-1].text, results[-1].verdict) == ("torn-reads: stepkit", "not reached")


def test_a_limit_is_held_against_what_stepkit_takes_beyond_another_tool() -> None:
    runs = [("git clone", 0, 1.0), ("stepkit", 0, 1.2), ("git clone", 1, 9.0), ("stepkit", 1, 9.3)]
    samples = [sample("clone-20-files", *run) for run in runs]

    results = {result.text: result for result in report.judge(samples)}

    wall = results["clone-20-files, wall: stepkit - git clone"]
    assert (wall.measured, wall.verdict) == ("0.25 (0.2..0.3) s", "reached")
    cpu = results["clone-20-files, CPU: stepkit - git clone"]
    assert cpu.verdict == "reached"
    memory = "clone-20-files, memory of its first process: stepkit"
    assert results[memory].verdict == "reached"
    assert results["clone-again-150mb, wall: stepkit"].verdict == "not measured"


@pytest.mark.slow
def test_steps_are_measured_beside_other_tools(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    only = [word for name in ("clone-20-files", "unpack-1mb") for word in ("--only", name)]

    code = command.main(["--quick", *only, "--check", "--json", str(tmp_path / "record.json")])

    found = record.read(tmp_path / "record.json")
    runs = [(run.case, run.runner, run.problem) for run in found.samples]
    assert runs == [
        ("clone-20-files", "git clone", ""),
        ("clone-20-files", "stepkit", ""),
        ("unpack-1mb", "tar", ""),
        ("unpack-1mb", "stepkit", ""),
    ]
    assert all(run.usage.own_memory > 0 for run in found.samples if run.runner == "stepkit")
    missed = [result.text for result in found.targets if result.verdict == "not reached"]
    assert code == bool(missed)
    assert "clone-20-files: 20 files, depth 1" in capsys.readouterr().out


@pytest.mark.slow
def test_a_peer_without_its_program_or_with_a_wrong_result_does_not_count(tmp_path: Path) -> None:
    case = dataclasses.replace(
        peers.QUICK[0],
        prepare=lambda source: (source / "work").mkdir(),
        check=lambda words: f"nothing at {Path(words['out']).name}",
        peers=(peers.Peer("wrong", ("true",)), peers.Peer("none", ("x",), needs="no-such-tool")),
    )
    skipped: dict[str, str] = {}

    samples = list(peers.run_in_turn([case], tmp_path, 2, skipped))

    assert [(run.runner, run.problem) for run in samples] == [("wrong", "nothing at out")] * 2
    assert skipped == {"none": "no no-such-tool on PATH"}


@pytest.mark.slow
def test_runs_in_turn_and_records_what_it_can_print_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = "import shutil, sys; shutil.copy(*sys.argv[1:])"
    copying = ((sys.executable, "-c", copy, "{notebook}", "{directory}/out.ipynb"),)
    absent = cases.Runner("none", copying, missing=lambda: "it is not there")
    case = dataclasses.replace(
        cases.QUICK[0],
        build=lambda path: notebooks.tables(path, 1, rows=2),
        runners=(cases.Runner("floor", copying), cases.Runner("slow", copying), absent),
        slow=frozenset({"slow"}),
    )
    skipped: dict[str, str] = {}

    samples = list(cases.run_in_turn([case], tmp_path, 3, 2, skipped))

    assert [s.runner for s in samples] == ["floor", "slow", "slow", "floor", "floor"]
    assert [s.problem for s in samples] == [""] * 5
    assert skipped == {"none": "it is not there"}
    found = record.Record(
        date=record.today(),
        machine=record.machine(),
        versions=record.versions(),
        load=[0.0, 1.0],
        cases={case.name: case.about},
        samples=samples,
        skipped=skipped,
        proofs=[],
        targets=report.judge(samples),
    )
    found.write(tmp_path / "record.json")
    assert record.read(tmp_path / "record.json") == found
    assert str(tmp_path) not in (tmp_path / "record.json").read_text()

    assert command.main(["--compare", str(tmp_path / "record.json")]) == 0
    printed = capsys.readouterr().out
    assert printed == "\n".join(report.lines(found)) + "\n"
    assert "not measured: none: it is not there" in printed


def test_a_record_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text("{}")

    with pytest.raises(ValueError, match=r"other\.json is not a stepkit\.benchmarks/1"):
        record.read(tmp_path / "other.json")
