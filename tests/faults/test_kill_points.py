"""Steps that are killed, or whose disk fails, at a chosen call, and what notices the harm."""

import errno
import json
import os
import re
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from faults import kill_table, run_kills, stopped_calls
from faults.kill_points import Bench, Known, Outcome
from faults.kill_scenarios import SCENARIOS, Scenario, World
from faults.power_cut import Disk
from faults.stopped_calls import Call
from faults.whole_files import LEFTOVER, NOT_DURABLE
from samples import names

pytestmark = pytest.mark.skipif(bool(stopped_calls.missing()), reason=stopped_calls.missing())

# Each way to hurt a step, as often as CI has time for.
SHORT = {"kill": 2, "power": 1, "enospc": 1, "eio": 1}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    with world.closing:
        yield world


def run(directory: Path, script: str, verdict: Any) -> tuple[int | None, list[str]]:
    """Run a shell script whose calls in ``directory`` get ``verdict``, by their names."""
    asked: list[str] = []

    def decide(call: Call) -> int | None:
        if not any(Path(path).parent == directory for path in call.paths):
            return 0
        asked.append(call.name)
        return verdict(call)  # type: ignore[no-any-return]

    log = directory.parent / "log"
    ended = stopped_calls.run(
        ["sh", "-c", script], decide, env=os.environ, directory=directory, log=log
    )
    return ended.code, asked


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "place").mkdir()
    return tmp_path / "place"


def test_a_command_is_killed_with_its_children_before_a_call(place: Path) -> None:
    script = "echo 1 > a; (mv a b; echo 2 > c) & wait; echo 3 > d"

    code, asked = run(place, script, lambda call: None if "rename" in call.name else 0)

    assert (code, asked[-1][:6], names(place)) == (-9, "rename", ["a"])
    assert (place / "a").read_text() == "1\n"


def test_a_call_fails_with_an_error_that_was_chosen(place: Path) -> None:
    script = "mkdir sub && exit 0; echo 1 > a; exit 7"

    code, asked = run(place, script, lambda call: errno.ESTALE if "mkdir" in call.name else 0)

    assert (code, asked[0], names(place)) == (7, "mkdir", ["a"])
    assert "Stale file handle" in (place.parent / "log").read_text()


def test_a_power_cut_leaves_the_bytes_that_a_sync_wrote(place: Path) -> None:
    disk = Disk(place)
    script = "printf safe > a; sync a; printf lost >> a; printf lost > b; mv b c; sync a"

    def note(call: Call) -> int | None:
        disk.note(call)
        return None if disk.relied else 0

    run(place, script, note)
    disk.lose()

    assert {path.name: path.read_text() for path in place.iterdir()} == {"a": "safe", "b": ""}
    assert disk.relied == ["c"]


def test_a_torn_file_a_lost_one_and_a_wrong_verdict_are_seen(world: World) -> None:
    bench = Bench(SCENARIOS[0], world)
    (bench.work / "there").mkdir(parents=True)
    (bench.work / "a.json").write_text('{"half": ')
    (bench.work / "there/b").write_text("half")
    (bench.work / ".b.stepkit-0123abcd").touch()
    known = Known(1, 1.0, {"there": "directory", "gone": "x"}, {"gone": "y", "there/b": "z"}, [])
    outcome = Outcome("a", "eio", 1, code=0)

    bench._check(known, outcome)
    bench._check_verdict(known, outcome)

    assert [each.split(":")[0] for each in outcome.torn] == ["a.json", "there/b"]
    assert outcome.left == [".b.stepkit-0123abcd"]
    assert outcome.lost == ["gone"]
    assert outcome.wrong == ["success, but not as it should be: gone, there/b"]


def test_rounds_are_counted_by_scenario_with_what_they_found() -> None:
    rounds = [
        Outcome("a/b", "kill", 1, torn=["x", "y"]),
        Outcome("a/b", "eio", 2, wrong=["exit code 1"]),
        Outcome("c/d", "random", 0.5, hung=True, left=["z"]),
    ]

    head, *rows = kill_table.table(map(asdict, rounds))

    found = [{k: v for k, v in zip(head, row, strict=True) if v != "0"} for row in rows]
    assert found == [
        {"": "a/b", "kill": "1", "disk errors": "1", "torn": "1", "wrong": "1"},
        {"": "c/d", "random": "1", "hung": "1", "left": "1"},
        {"": "all", "kill": "1", "random": "1", "disk errors": "1", "torn": "1", "hung": "1",
         "wrong": "1", "left": "1"},
    ]  # fmt: skip


@pytest.mark.faults
def test_the_command_plays_the_rounds_that_are_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, modes = tmp_path / "rounds", ["--mode", "kill", "--mode", "random"]
    asked = ["--only", "notify", "--points", "2", "--rounds", "1", "--json", str(file)]

    assert run_kills.main([*asked, *modes]) == 0

    played = [json.loads(line) for line in file.read_text().splitlines()]
    assert [one["mode"] for one in played] == ["kill", "kill", "random"]
    assert re.search(r"^notify/chat +0 +2 +1 ", capsys.readouterr().out, re.MULTILINE)


@pytest.mark.faults
@pytest.mark.parametrize(
    ("name", "file"),
    [("write", "config.lock"), ("rename", "index.lock"), ("mkdir", "logs"),
     ("rename", "shallow.lock")],
)  # fmt: skip
def test_a_file_of_git_that_the_disk_does_not_take_is_written_by_another_attempt(
    world: World, name: str, file: str
) -> None:
    bench = Bench(SCENARIOS[0], world)
    bench._reset()
    failed: list[Call] = []

    def fail_once(call: Call) -> int:
        wanted = call.name == name and call.paths[0].endswith(f".git/{file}")
        failed.extend([call] * (wanted and not failed))
        return errno.EIO if [call] == failed else 0

    assert bench._run(fail_once).code == 0

    log = bench.log.read_text()
    assert "the disk does not take git's files: see the node's log" in log
    assert names(bench.work) == [".src.lock", "report.json", "src"]


@pytest.mark.faults
@pytest.mark.parametrize(
    "scenario",
    [
        pytest.param(
            each, id=f"{each.step}-{each.name}", marks=[pytest.mark.slow] if each.slow else []
        )
        for each in SCENARIOS
    ],
)
def test_a_step_that_is_killed_or_meets_a_broken_disk_leaves_old_or_new(
    scenario: Scenario, world: World
) -> None:
    bench = Bench(scenario, world)
    known = bench.know()

    outcomes = bench.look(known)
    outcomes += [
        bench.play(known, mode, known.calls * number // count)
        for mode, count in SHORT.items()
        for number in range(1, count + 1)
    ]

    assert [outcome for outcome in outcomes if outcome.bad] == []
    # What is renamed before the disk has it is renamed again later, or promises nothing.
    relied = [path for path in known.relied if not LEFTOVER.fullmatch(path)]
    assert [path for path in relied if not NOT_DURABLE.fullmatch(path)] == []
