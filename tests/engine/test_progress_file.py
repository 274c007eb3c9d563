"""NAME.progress.json says at any time how far a run is, and in the end how it ended."""

import json
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import published_schemas
import pytest
from waiting import until

from stepkit.engine.cell_events import RunState
from stepkit.engine.progress_file import ProgressFile
from stepkit.errors import Cancelled, ConfigurationError, Reason, UserCodeError


@dataclass
class Ended:
    status: str = "succeeded"
    message: str = "3 of 3 cells ran"


class Run:
    """A run whose cells begin and end when a test says so, without a kernel."""

    def __init__(self, directory: Path) -> None:
        self.output = directory / "out/executed.ipynb"
        self.path = directory / "out/executed.progress.json"
        self.file = ProgressFile(self.output, Path("a.ipynb"))
        self.cells = [nbformat.v4.new_code_cell(source) for source in ("a = 1", "b = 2", "c = 3")]
        self.state = self.attempt()

    def attempt(self) -> RunState:
        state = RunState(execution_timeout=None, run_timeout=None)
        state.begin(nbformat.v4.new_notebook(cells=self.cells))
        return state

    def cell(self, index: int, reply: str = "ok") -> None:
        self.state.cell_execute(self.cells[index], index)
        self.file.changed()
        if reply:
            self.state.cell_executed(self.cells[index], index, {"content": {"status": reply}})
            self.file.changed()

    def load(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.path.read_text())
        assert published_schemas.problems(found) == []
        return found

    def wait_for(self, **values: Any) -> dict[str, Any]:
        until(lambda: self.path.exists() and values.items() <= self.load().items())
        return self.load()


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path)


def test_the_file_says_which_cell_runs_and_which_have_ended(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stepkit.engine.progress_file._EVERY_SECONDS", 600)  # cells wake it alone

    def work(file: ProgressFile) -> Ended:
        file.begin(run.state)
        run.cell(0)
        file.printed.add("stdout", "epoch 3\n")
        run.cell(1, reply="")
        until(lambda: run.path.exists() and run.load()["cell"])
        return Ended(message=run.path.read_text())

    during = json.loads(run.file.around(work).message)

    assert during["cell"] | {"began": 0, "seconds": 0} == {
        "name": "cell 2/3", "number": 2, "title": "b = 2", "began": 0, "seconds": 0,
    }  # fmt: skip
    assert [(cell["number"], cell["status"]) for cell in during["cells"]] == [(1, "ok")]
    assert (during["ending"], during["cells_total"]) == (None, 3)
    assert (during["notebook"], during["output"]) == ("a.ipynb", "executed.ipynb")
    assert during["lines"] == ["epoch 3"]
    assert run.load()["cell"] is None


@pytest.mark.parametrize(
    ("error", "ending"),
    [
        (UserCodeError("cell 2 raised"), ("failed", "cell-error", 3, "cell 2 raised")),
        (Cancelled(15), ("cancelled", "cancelled", 143, "stopped by SIGTERM")),
        (KeyError("x"), ("failed", "bug", 1, "a bug in stepkit: KeyError('x')")),
    ],
)
def test_the_file_says_how_the_run_ended(
    run: Run, error: BaseException, ending: tuple[str, str, int, str]
) -> None:
    def work(file: ProgressFile) -> Ended:
        file.begin(run.state)
        raise error

    with pytest.raises(type(error)):
        run.file.around(work)

    assert tuple(run.load()["ending"].values()) == ending
    assert "progress" not in {thread.name for thread in threading.enumerate()}


def test_the_file_follows_a_second_attempt_on_the_clock_of_the_first(run: Run) -> None:
    def work(file: ProgressFile) -> Ended:
        file.begin(run.state)
        run.cell(0)
        run.state.started -= 100
        file._clock -= 100
        run.state = run.attempt()
        file.begin(run.state)
        run.cell(0)
        run.cell(1)
        return Ended()

    run.file.around(work)

    found = run.load()
    assert (found["attempt"], [cell["number"] for cell in found["cells"]]) == (2, [1, 2])
    assert min(cell["began"] for cell in found["cells"]) >= 100
    assert found["ending"]["message"] == "3 of 3 cells ran"


def test_the_last_sample_is_in_the_file(run: Run) -> None:
    device = {"name": "H200", "memory_used": 5, "memory_total": 10, "utilisation": None}

    def work(file: ProgressFile) -> Ended:
        file.sample_with(lambda: {"rss": 7, "gpus": [device]})  # type: ignore[list-item]
        file.begin(run.state)
        run.wait_for(rss=7, gpus=[device])
        return Ended()

    run.file.around(work)

    assert (run.load()["rss"], run.load()["gpus"]) == (None, [])


def test_a_run_that_is_refused_leaves_no_file_and_not_that_of_an_earlier_one(run: Run) -> None:
    def refused(_: ProgressFile) -> Ended:
        raise ConfigurationError("no")

    for earlier in (None, "stepkit", "mine"):
        if earlier:
            run.path.parent.mkdir(exist_ok=True)
            begin = '{"schema": "stepkit.progress/1"' if earlier == "stepkit" else '{"x": 1'
            run.path.write_text(f"{begin}}}")

        with pytest.raises(ConfigurationError):
            run.file.around(refused)

        assert run.path.exists() == (earlier == "mine")


def test_a_file_that_cannot_be_written_is_said_once_and_ends_nothing(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    run.path.mkdir(parents=True)

    def work(file: ProgressFile) -> Ended:
        file.begin(run.state)
        until(lambda: caplog.messages)
        run.cell(0)
        return Ended()

    assert run.file.around(work) == Ended()

    assert caplog.messages == [
        f"no one can watch this run: cannot write {run.path}: it exists and is not a regular file"
    ]


def test_many_quick_cells_are_written_as_often_as_their_share_allows(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []

    class Stop(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            pauses.append(timeout or 0)
            return self.is_set()

    monkeypatch.setattr(run.file, "_stop", Stop())
    monkeypatch.setattr("stepkit.engine.progress_file._LEAST_PAUSE", 1.5)

    def work(file: ProgressFile) -> Ended:
        file.begin(run.state)
        while len(pauses) < 2:
            file.changed()
            time.sleep(0.001)
        return Ended()

    run.file.around(work)

    assert pauses[0] == 0
    assert 0 < pauses[1] <= 2


def test_reasons_are_spelled_as_in_the_report(run: Run) -> None:
    def work(file: ProgressFile) -> Ended:
        file.begin(run.state)
        raise UserCodeError("no", reason=Reason.KERNEL_DIED)

    with pytest.raises(UserCodeError):
        run.file.around(work)

    assert run.load()["ending"]["reason"] == "kernel-died"
