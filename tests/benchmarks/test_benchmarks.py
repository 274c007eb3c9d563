"""The harness on small runs of real programs; nothing here asserts a time."""

from __future__ import annotations

import dataclasses
import json
import os
import random
import signal
import sys
from typing import TYPE_CHECKING

import nbformat
import pytest

from benchmarks import (
    __main__ as command,
)
from benchmarks import (
    aftermath,
    cases,
    figures,
    kill_matrix,
    measure,
    notebooks,
    processes,
    record,
    runners,
    suite,
    table,
    targets,
)
from benchmarks.kills import SCENARIOS, Stage
from benchmarks.measure import Usage
from benchmarks.poller import Poller
from benchmarks.suite import Sample, Suite
from benchmarks.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

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


def wall(usage: Usage) -> float:
    return usage.wall


def run(program: str, tmp_path: Path, limit: float = 60) -> measure.Run:
    return measure.run(
        [sys.executable, "-c", program], env=dict(os.environ), cwd=tmp_path, limit=limit
    )


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

    found = figures.ratio(samples, "c", "old", "new", wall)

    assert found == figures.Spread(median=3.0, low=2.0, high=4.0, count=2)
    times = figures.of(samples, "c", "new", wall)
    assert times
    assert (times.low, times.count) == (1.0, 3)
    assert figures.of(samples, "c", "nobody", wall) is None


def test_a_target_is_missed_by_a_fast_run_that_lost_output() -> None:
    good = [sample("cells-800", "stepkit", 0, 1.1), sample("cells-800", "floor", 0, 1.0)]
    slow = [sample("cells-800", "stepkit", 0, 1.2), sample("cells-800", "floor", 0, 1.0)]
    lossy = [*good, sample("cells-800", "stepkit", 1, 0.1, problem="cells 7 of 800")]

    verdicts = [targets.judge(samples)[0].verdict for samples in (good, slow, lossy, [])]

    assert verdicts == ["reached", "not reached", "not reached", "not measured"]


def test_a_proof_that_fails_is_a_target_missed() -> None:
    proofs = [
        targets.Proof(name="torn-reads", runner="papermill", text="5 torn"),
        targets.Proof(name="torn-reads", runner="stepkit", text="1 torn", wanted="none", ok=False),
    ]

    results = targets.judge([], proofs)

    assert len(results) == len(targets.TARGETS) + 1  # papermill promised nothing
    assert (results[-1].text, results[-1].verdict) == ("torn-reads: stepkit", "not reached")


def test_measures_time_memory_and_the_first_output_of_a_process(tmp_path: Path) -> None:
    program = "import time; print('hi', flush=True); x = b'x' * 100_000_000; time.sleep(0.5)"

    done = run(program, tmp_path)

    assert done.code == 0
    assert done.output == "hi\n"
    assert done.usage.wall >= 0.5
    assert done.usage.first_output is not None
    assert done.usage.first_output < done.usage.wall
    assert done.usage.runner_memory > 100_000_000


def test_a_kernel_is_not_counted_as_its_runner(tmp_path: Path) -> None:
    kernel = tmp_path / "kernel.py"
    kernel.write_text("import time\nx = b'x' * 100_000_000\ntime.sleep(0.5)\n")
    program = (
        "import subprocess, sys;"
        f"subprocess.run([sys.executable, {str(kernel)!r}, '-f', 'connection.json'])"
    )

    usage = run(program, tmp_path).usage

    assert usage.runner_memory < 60_000_000
    assert usage.tree_memory > 100_000_000
    assert usage.runner_cpu <= usage.tree_cpu


def test_what_takes_too_long_is_killed_with_all_that_it_started(tmp_path: Path) -> None:
    program = (
        "import subprocess, time;"
        "p = subprocess.Popen(['sleep', '600'], start_new_session=True);"
        "print(p.pid, flush=True); time.sleep(600)"
    )

    done = run(program, tmp_path, limit=1)

    assert done.code is None
    sleeper = int(done.output)
    assert processes.until(lambda: processes.memory(sleeper) == 0, 10)


def test_a_runner_that_loses_output_is_shown_and_not_timed(tmp_path: Path) -> None:
    notebook = tmp_path / "in.ipynb"
    expected = notebooks.images(notebook, 2, size=1000)
    node = nbformat.read(notebook, as_version=4)
    for number, cell in enumerate(node.cells):
        cell.execution_count = number + 1
    nbformat.write(node, tmp_path / "out.ipynb")

    lost = suite.compare(tmp_path / "out.ipynb", expected)

    assert lost.startswith("displays 0 of 2, images 0 of 2, payload 0 of ")
    assert suite.compare(tmp_path / "none.ipynb", expected) == "no none.ipynb was written"
    (tmp_path / "torn.ipynb").write_text('{"cells": [')
    assert suite.compare(tmp_path / "torn.ipynb", expected).startswith("torn.ipynb cannot be read")


GENERATORS: dict[str, Callable[[Path], Tally]] = {
    "displays": lambda path: notebooks.displays(path, 20),
    "real": notebooks.real_shaped,
    "stream": lambda path: notebooks.stream(path, 30),
    "text": lambda path: notebooks.text(path, 2, size=1000),
}


@pytest.mark.parametrize(
    "name",
    [name if name == "displays" else pytest.param(name, marks=pytest.mark.slow)
     for name in GENERATORS],
)  # fmt: skip
def test_each_notebook_gives_what_its_generator_promises(tmp_path: Path, name: str) -> None:
    notebook, output = tmp_path / "a.ipynb", tmp_path / "a.out.ipynb"
    expected = GENERATORS[name](notebook)
    files = runners.Files(notebook=notebook, output=output, page=output)
    (floor,) = runners.EXECUTE[0].commands(files)

    done = measure.run(floor, env=runners.environment(tmp_path), cwd=tmp_path, limit=120)

    assert done.code == 0, done.output
    assert suite.compare(output, expected) == ""
    if name == "real":
        assert len(nbformat.read(notebook, as_version=4).cells) == 90


def test_a_notebook_of_tables_is_written_with_its_outputs(tmp_path: Path) -> None:
    expected = notebooks.tables(tmp_path / "tables.ipynb", 2, rows=3)

    assert suite.compare(tmp_path / "tables.ipynb", expected) == ""
    page = b"".join([b'<table border="1" class="dataframe">'] * 2)
    (tmp_path / "page.html").write_bytes(page)
    assert suite.compare(tmp_path / "page.html", expected.on_page()) == ""


def test_runs_in_turn_and_records_what_it_can_print_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = "import shutil, sys; shutil.copy(*sys.argv[1:])"

    def copying(files: runners.Files) -> list[list[str]]:
        return [[sys.executable, "-c", copy, str(files.notebook), str(files.output)]]

    absent = runners.Runner(name="none", commands=copying, missing=lambda: "it is not there")
    case = dataclasses.replace(
        cases.QUICK[0],
        build=lambda path: notebooks.tables(path, 1, rows=2),
        runners=(
            runners.Runner(name="floor", commands=copying),
            runners.Runner(name="slow", commands=copying),
            absent,
        ),
        slow=frozenset({"slow"}),
    )
    work = Suite([case], tmp_path)

    samples = list(work.run(3, 2))

    assert [s.runner for s in samples] == ["floor", "slow", "slow", "floor", "floor"]
    assert [s.problem for s in samples] == [""] * 5
    assert work.skipped == {"none": "it is not there"}
    found = record.Record(
        date=record.today(),
        machine=record.machine(),
        versions=record.versions(),
        load=(0.0, 1.0),
        cases={case.name: record.about(case)},
        samples=samples,
        skipped=work.skipped,
        proofs=[],
        targets=targets.judge(samples),
    )
    found.write(tmp_path / "record.json")
    assert record.read(tmp_path / "record.json") == found
    assert str(tmp_path) not in (tmp_path / "record.json").read_text()

    assert command.main(["--compare", str(tmp_path / "record.json")]) == 0
    printed = capsys.readouterr().out
    assert printed == "\n".join(table.of_record(found)) + "\n"
    assert "not measured: none: it is not there" in printed


def test_a_record_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text("{}")

    with pytest.raises(ValueError, match=r"other\.json is no stepkit\.benchmarks/1"):
        record.read(tmp_path / "other.json")


def test_a_reader_notices_a_torn_file_and_one_that_went_back(tmp_path: Path) -> None:
    path = tmp_path / "out.ipynb"
    cell = {"cell_type": "code", "execution_count": 1, "outputs": [], "metadata": {}}
    poller = Poller(path)
    whole, torn = [cell, cell], json.dumps({"cells": []})[:-1]

    poller.start()
    for wanted, content in enumerate((json.dumps({"cells": whole}), torn, '{"cells": []}'), 1):
        scratch = tmp_path / "scratch"
        scratch.write_text(content)
        scratch.replace(path)
        assert processes.until(lambda: poller.contents == wanted, 10)  # noqa: B023
    poller.stop()

    assert (poller.contents, poller.torn) == (3, 1)
    assert poller.reads >= poller.contents
    assert poller.older == "cells 0 after 2"


def stage(tmp_path: Path, output: str | None, expected: Tally | None = None) -> Stage:
    made = Stage(directory=tmp_path, dice=random.Random(1), mark="m", expected=expected or Tally())
    made.output.parent.mkdir()
    if output is not None:
        made.output.write_text(output)
    made.did("hurt")
    return made


def test_the_kill_matrix_sees_each_broken_promise(tmp_path: Path) -> None:
    sigterm = SCENARIOS[0]
    made = stage(tmp_path, '{"cells": [')
    report = {"exit_code": 0, "status": "succeeded", "reason": "ok", "message": "", "outputs": {}}
    made.report.write_text(json.dumps(report))
    poller = Poller(made.output)
    poller.torn, poller.contents = 2, 3

    found = list(aftermath.judge(sigterm, made, poller, 4))

    assert [problem.split(":")[0] for problem in found] == [
        "the output is no whole JSON",
        "a reader saw 2 torn contents",
        "what a reader saw is gone",
        "exit code 4, promised [143]",
        "the report says exit code 0, it was 4",
        "the report says succeeded for exit code 4",
        "the report says ok",
    ]
    assert list(aftermath.judge(sigterm, made, poller, None)) == ["it never ended"]


def test_the_kill_matrix_sees_a_success_that_is_none_and_cells_that_never_ran(
    tmp_path: Path,
) -> None:
    cell = nbformat.v4.new_code_cell("1", id="one")
    cell.metadata["papermill"] = {"status": "completed"}
    made = stage(tmp_path, nbformat.writes(nbformat.v4.new_notebook(cells=[cell])), Tally(cells=1))
    poller = Poller(made.output)
    poller.newest = Tally(cells=1)
    report = {"exit_code": 0, "status": "succeeded", "reason": "ok", "message": "", "outputs": {}}
    made.report.write_text(json.dumps({**report, "outputs": {"cells_run": 1}}))

    found = list(aftermath.judge(SCENARIOS[0], made, poller, 0))

    assert found == [
        "cells are `completed` that never ran: one",
        "older than what a reader saw: cells 0 after 1",
        "exit code 0, but cells 0 of 1",
        "the report counts 1 cells, the notebook has only 0",
    ]


@pytest.mark.slow
def test_a_round_of_the_kill_matrix_leaves_nothing_behind() -> None:
    scenarios = [scenario for scenario in SCENARIOS if scenario.name == "sigkill-runner"]

    outcome = kill_matrix.play(0, scenarios=scenarios, seed="test")

    assert outcome.deed.startswith("SIGKILL after ")
    assert outcome.code == -signal.SIGKILL
    assert outcome.problems == ()
