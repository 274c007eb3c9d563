"""The loop of attempts: on lower rungs, and after bad luck; and the files that they leave."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from rmm_attempts import Outputs

from stepkit.errors import (
    Cancelled,
    ConfigurationError,
    Evidence,
    Reason,
    StepError,
    ToolError,
    UserCodeError,
)
from stepkit.notebook import attempts
from stepkit.notebook.attempts import AS_ASKED, Attempt, Rung
from stepkit.notebook.retry_options import RetryOptions
from stepkit.notebook.verdict import CellRun

FULL = "cell 3 of 9 (`x = cp.zeros(n)`) raised OutOfMemoryError: Out of memory"
RUNGS = (
    AS_ASKED,
    Rung(phrase="with CUDA's async allocator"),
    Rung(phrase="with managed memory"),
)


class Notebook:
    """A notebook that needs a certain rung, and writes its files as a real one does."""

    def __init__(self, directory: Path, *endings: StepError | Cancelled | None) -> None:
        self.output, self.log = directory / "out.ipynb", directory / "papermill.log"
        self.files = [self.output, self.log, self.output.with_suffix(".html")]
        self.endings = endings
        self.rungs: list[Rung] = []
        self.earlier: list[Attempt] = []

    def __call__(self, rung: Rung, earlier: Sequence[Attempt] = ()) -> Outputs:
        self.earlier = list(earlier)
        ending = self.endings[len(self.rungs)]
        self.rungs.append(rung)
        self.output.write_text(rung.phrase)
        self.log.write_text(f"log {rung.phrase}")
        cells = tuple(
            CellRun(number=n, index=n, id="", title="", gpu_peak=peak)
            for n, peak in enumerate((None, 7 * len(self.rungs), 5), start=1)
        )
        outputs = Outputs(notebook=self.output, cells=cells)
        if ending is None:
            return outputs
        ending.outputs = outputs
        raise ending

    def run(self, rungs: tuple[Rung, ...] = RUNGS, **retry: Any) -> Outputs:
        return attempts.run(
            self,
            rungs,
            lambda _: self.files,
            below=lambda r, _: (r, ""),
            retry=RetryOptions(**retry),
        )

    def failed(self, rungs: tuple[Rung, ...] = RUNGS, **retry: Any) -> Any:
        """Run the notebook, which must fail; return how."""
        with pytest.raises((StepError, Cancelled)) as caught:
            self.run(rungs, **retry)
        return caught.value


def out_of_memory(message: str = FULL) -> UserCodeError:
    return UserCodeError(message, reason=Reason.GPU_OUT_OF_MEMORY)


def on_disk(directory: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in directory.iterdir()}


def test_a_first_attempt_that_succeeds_is_the_only_one(tmp_path: Path) -> None:
    notebook = Notebook(tmp_path, None)

    outputs = notebook.run()

    assert outputs.message == "9 of 9 cells ran"
    (attempt,) = outputs.attempts
    assert (attempt.number, attempt.rung, attempt.status) == (1, "as asked", "succeeded")
    assert on_disk(tmp_path) == {"out.ipynb": "as asked", "papermill.log": "log as asked"}


def test_a_single_rung_leaves_outputs_and_errors_as_they_are(tmp_path: Path) -> None:
    assert Notebook(tmp_path, None).run((AS_ASKED,)).attempts == ()

    error = out_of_memory()
    assert Notebook(tmp_path, error).failed((AS_ASKED,)) is error


def test_a_lower_rung_that_succeeds_says_so_and_keeps_the_files_of_both(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    notebook = Notebook(tmp_path, out_of_memory(), None)

    with caplog.at_level(logging.WARNING, "stepkit"):
        outputs = notebook.run()

    assert outputs.status == "succeeded"
    assert outputs.message == ("9 of 9 cells ran, on attempt 2 of 3, with CUDA's async allocator")
    first, second = outputs.attempts
    assert (first.status, first.message) == ("failed", FULL)
    assert first.reason == Reason.GPU_OUT_OF_MEMORY
    assert (first.gpu_peak, second.gpu_peak) == (7, 14)
    assert first.notebook == tmp_path / "out.attempt-1.ipynb"
    assert (second.notebook, second.reason) == (tmp_path / "out.ipynb", Reason.OK)
    assert on_disk(tmp_path) == {
        "out.attempt-1.ipynb": "as asked",
        "papermill.attempt-1.log": "log as asked",
        "out.ipynb": "with CUDA's async allocator",
        "papermill.log": "log with CUDA's async allocator",
    }
    (line,) = caplog.messages
    assert line == (
        f"attempt 1, as asked, ran out of the GPU's memory: {FULL}; "
        f"running it again from the start with CUDA's async allocator"
    )


def test_when_no_rung_suffices_the_last_error_carries_all_attempts(tmp_path: Path) -> None:
    notebook = Notebook(tmp_path, *(out_of_memory(f"full {n}") for n in (1, 2, 3)))

    error = notebook.failed()

    assert (type(error), error.reason) == (UserCodeError, Reason.GPU_OUT_OF_MEMORY)
    last = "attempt 3 of 3, with managed memory: full 3"
    assert str(error) == last
    outputs = error.outputs
    assert isinstance(outputs, Outputs)
    assert [a.message for a in outputs.attempts] == ["full 1", "full 2", "full 3"]
    names = [a.notebook and a.notebook.name for a in outputs.attempts]
    assert names == ["out.attempt-1.ipynb", "out.attempt-2.ipynb", "out.ipynb"]
    assert len(on_disk(tmp_path)) == 6


@pytest.mark.parametrize(
    "error",
    [
        UserCodeError("cell 1 raised KeyError: 'pca'"),
        UserCodeError("the run was stopped after 60 s", reason=Reason.TIMEOUT),
        ToolError("the OOM killer ended it", reason=Reason.OUT_OF_MEMORY),
        ToolError("the kernel was killed by SIGKILL", reason=Reason.KERNEL_DIED),
        ConfigurationError("there is no GPU", reason=Reason.GPU_MISSING),
    ],
    ids=lambda error: error.reason,
)
def test_nothing_but_the_gpus_memory_leads_to_another_attempt(
    error: StepError, tmp_path: Path
) -> None:
    notebook = Notebook(tmp_path, error)

    found = notebook.failed()

    assert (type(found), str(found), found.reason) == (type(error), str(error), error.reason)
    assert len(notebook.rungs) == 1
    assert "out.attempt-1.ipynb" not in on_disk(tmp_path)


def test_another_failure_on_a_lower_rung_ends_at_once_and_mentions_the_full_gpu(
    tmp_path: Path,
) -> None:
    host = ToolError("the OOM killer ended the kernel", reason=Reason.OUT_OF_MEMORY)
    notebook = Notebook(tmp_path, out_of_memory(), host)

    error = notebook.failed()

    assert (type(error), error.reason) == (ToolError, Reason.OUT_OF_MEMORY)
    assert str(error) == (
        "attempt 2 of 3, with CUDA's async allocator, after the GPU's memory ran out: "
        "the OOM killer ended the kernel"
    )
    assert isinstance(error.outputs, Outputs)
    reasons = [a.reason for a in error.outputs.attempts]
    assert reasons == [Reason.GPU_OUT_OF_MEMORY, Reason.OUT_OF_MEMORY]


def test_a_signal_ends_it_with_the_attempts_so_far(tmp_path: Path) -> None:
    notebook = Notebook(tmp_path, out_of_memory(), Cancelled())

    error = notebook.failed()

    assert isinstance(error, Cancelled)
    assert isinstance(error.outputs, Outputs)
    assert [(a.status, a.reason) for a in error.outputs.attempts] == [
        ("failed", Reason.GPU_OUT_OF_MEMORY),
        ("cancelled", Reason.CANCELLED),
    ]
    assert len(notebook.rungs) == 2


def test_an_attempt_that_left_nothing_ends_as_it_did(tmp_path: Path) -> None:
    def attempted(rung: Rung, _: Sequence[Attempt]) -> Outputs:
        if rung is AS_ASKED:
            raise out_of_memory()
        raise ToolError("no space left", reason=Reason.DISK_FULL)

    with pytest.raises(ToolError, match=r"attempt 2 of 3, .* no space left$") as caught:
        attempts.run(
            attempted,
            RUNGS,
            lambda _: (),
            below=lambda rungs, _: (rungs, ""),
            retry=RetryOptions(),
        )
    assert caught.value.outputs is None
    assert on_disk(tmp_path) == {}


@pytest.mark.parametrize("ending", [ToolError("the GPU is busy"), Cancelled()])
def test_an_attempt_that_ends_before_its_first_cell_keeps_the_outputs_of_the_one_before(
    tmp_path: Path, ending: ToolError | Cancelled
) -> None:
    notebook = Notebook(tmp_path, out_of_memory())

    def attempted(rung: Rung, _: Sequence[Attempt]) -> Outputs:
        if notebook.rungs:
            raise ending
        return notebook(rung)

    with pytest.raises((ToolError, Cancelled)) as caught:
        attempts.run(
            attempted,
            RUNGS,
            lambda _: notebook.files,
            below=lambda rungs, _: (rungs, ""),
            retry=RetryOptions(),
        )

    error: Any = caught.value
    outputs = error.outputs
    assert isinstance(outputs, Outputs)
    assert outputs.notebook == tmp_path / "out.attempt-1.ipynb"
    assert [cell.gpu_peak for cell in outputs.cells] == [None, 7, 5]
    assert [a.number for a in outputs.attempts] == [1, 2]
    assert [a.notebook for a in outputs.attempts] == [outputs.notebook, None]


def test_files_that_cannot_be_kept_do_not_hide_the_attempt(tmp_path: Path) -> None:
    (tmp_path / "out.attempt-1.ipynb").mkdir()

    with pytest.raises(ConfigurationError, match="cannot keep") as caught:
        Notebook(tmp_path, out_of_memory()).run()

    assert isinstance(caught.value.outputs, Outputs)
    assert [a.message for a in caught.value.outputs.attempts] == [FULL]


def hung(message: str = "the kernel hung in cell 2") -> ToolError:
    return ToolError(message, reason=Reason.KERNEL_HUNG)


def died(message: str = "the kernel killed itself with SIGSEGV in cell 2") -> UserCodeError:
    return UserCodeError(message, reason=Reason.KERNEL_DIED)


def test_a_notebook_that_passes_after_bad_luck_is_flaky_and_its_files_are_kept(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    notebook = Notebook(tmp_path, died(), hung(), None)

    with caplog.at_level(logging.WARNING, "stepkit"):
        outputs = notebook.run((AS_ASKED,), attempts=4)

    assert outputs.status == "flaky"
    assert outputs.message == (
        "9 of 9 cells ran, on attempt 3 of 4, after kernel-died and kernel-hung"
    )
    assert [(a.status, a.reason, a.exit_code) for a in outputs.attempts] == [
        ("failed", Reason.KERNEL_DIED, 3),
        ("failed", Reason.KERNEL_HUNG, 4),
        ("succeeded", Reason.OK, 0),
    ]
    assert [a.number for a in notebook.earlier] == [1, 2]
    assert sorted(on_disk(tmp_path)) == [
        "out.attempt-1.ipynb",
        "out.attempt-2.ipynb",
        "out.ipynb",
        "papermill.attempt-1.log",
        "papermill.attempt-2.log",
        "papermill.log",
    ]
    assert caplog.messages == [
        f"attempt 1 of 4 failed (kernel-died): {died()}; running it again",
        f"attempt 2 of 4 failed (kernel-hung): {hung()}; running it again",
    ]


def test_a_notebook_with_tolerated_errors_is_flaky_too_and_not_said_to_have_passed(
    tmp_path: Path,
) -> None:
    def execute(_: Rung, earlier: Sequence[Attempt]) -> Outputs:
        if not earlier:
            raise died()
        said = "passed with 1 tolerated error: 9 of 9 cells ran"
        return Outputs(notebook=tmp_path / "out.ipynb", status="tolerated", message=said)

    outputs = attempts.run(
        execute,
        (AS_ASKED,),
        lambda _: (),
        below=lambda r, _: (r, ""),
        retry=RetryOptions(attempts=2),
    )

    assert outputs.status == "flaky"
    assert outputs.message == (
        "with 1 tolerated error: 9 of 9 cells ran, on attempt 2 of 2, after kernel-died"
    )


def test_when_luck_does_not_turn_the_last_failure_is_the_verdict(tmp_path: Path) -> None:
    error = Notebook(tmp_path, died("first"), died("second")).failed((AS_ASKED,), attempts=2)

    assert (type(error), error.reason) == (UserCodeError, Reason.KERNEL_DIED)
    assert str(error) == "attempt 2 of 2: second"
    assert [a.message for a in error.outputs.attempts] == ["first", "second"]


def test_another_failure_ends_the_attempts_and_names_the_bad_luck_before(tmp_path: Path) -> None:
    error = Notebook(tmp_path, died(), UserCodeError("KeyError")).failed((AS_ASKED,), attempts=9)

    assert (error.reason, str(error)) == (
        Reason.CELL_ERROR,
        "attempt 2 of 9, after kernel-died: KeyError",
    )


def test_a_reason_that_was_not_asked_for_ends_the_run(tmp_path: Path) -> None:
    error = Notebook(tmp_path, died()).failed((AS_ASKED,), attempts=3, retry_on="kernel-hung")

    assert str(error) == str(died())
    assert len(error.outputs.attempts) == 1
    assert sorted(on_disk(tmp_path)) == ["out.ipynb", "papermill.log"]


def test_both_ways_share_one_list_and_a_retry_stays_on_its_rung(tmp_path: Path) -> None:
    notebook = Notebook(tmp_path, out_of_memory(), died(), out_of_memory(), None)

    outputs = notebook.run(attempts=2)

    assert [rung.phrase for rung in notebook.rungs] == [
        "as asked",
        "with CUDA's async allocator",
        "with CUDA's async allocator",
        "with managed memory",
    ]
    assert outputs.status == "flaky"
    assert outputs.message == (
        "9 of 9 cells ran, on attempt 4 of 4, with managed memory, after kernel-died"
    )


def test_a_flaky_notebook_fails_where_that_is_asked_with_all_it_has(tmp_path: Path) -> None:
    error = Notebook(tmp_path, died(), None).failed((AS_ASKED,), attempts=2, fail_on_flaky=True)

    assert (type(error), error.reason, error.exit_code) == (UserCodeError, Reason.FLAKY, 3)
    assert str(error) == (
        "flaky: 9 of 9 cells ran, on attempt 2 of 2, after kernel-died (--fail-on-flaky)"
    )
    assert [a.status for a in error.outputs.attempts] == ["failed", "succeeded"]
    assert error.outputs.notebook.read_text() == "as asked"


def test_a_lower_rung_is_not_flaky_whatever_is_asked(tmp_path: Path) -> None:
    outputs = Notebook(tmp_path, out_of_memory(), None).run(attempts=3, fail_on_flaky=True)

    assert outputs.status == "succeeded"


def test_an_attempt_without_outputs_does_not_keep_the_files_of_an_earlier_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr("time.sleep", waits.append)
    (tmp_path / "out.ipynb").write_text("yesterday's")
    found: list[str] = []

    def execute(_: Rung, earlier: Sequence[Attempt]) -> Outputs:
        found.append((tmp_path / "out.ipynb").read_text())
        if len(earlier) < 2:
            raise ConfigurationError("other processes hold the GPU", reason=Reason.GPU_BUSY)
        return Outputs(notebook=tmp_path / "out.ipynb")

    outputs = attempts.run(
        execute,
        (AS_ASKED,),
        lambda _: [tmp_path / "out.ipynb"],
        below=lambda r, _: (r, ""),
        retry=RetryOptions(attempts=3),
    )

    assert found == ["yesterday's"] * 3
    assert waits == [10.0, 30.0]
    assert [a.notebook for a in outputs.attempts] == [None, None, tmp_path / "out.ipynb"]


def test_the_log_of_an_attempt_that_ended_before_its_first_cell_is_kept_after_one_that_ran(
    tmp_path: Path,
) -> None:
    notebook = Notebook(tmp_path, died(), None)

    def execute(rung: Rung, earlier: Sequence[Attempt]) -> Outputs:
        if len(earlier) == 1:
            notebook.log.write_text("no kernel")
            raise hung()
        return notebook(rung, earlier)

    outputs = attempts.run(
        execute,
        (AS_ASKED,),
        lambda _: notebook.files,
        below=lambda r, _: (r, ""),
        retry=RetryOptions(attempts=3),
    )

    assert (tmp_path / "papermill.attempt-2.log").read_text() == "no kernel"
    names = [a.notebook and a.notebook.name for a in outputs.attempts]
    assert names == ["out.attempt-1.ipynb", None, "out.ipynb"]


def test_a_signal_during_the_wait_ends_the_run_with_the_attempts_so_far(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_: float) -> None:
        raise Cancelled

    monkeypatch.setattr("time.sleep", interrupt)
    error = UserCodeError("no route", evidence=Evidence(ename="URLError"))

    stopped = Notebook(tmp_path, error).failed((AS_ASKED,), attempts=2)

    assert isinstance(stopped, Cancelled)
    assert isinstance(stopped.outputs, Outputs)
    (attempt,) = stopped.outputs.attempts
    assert (attempt.reason, attempt.error) == (Reason.NETWORK, error.evidence)
    assert attempt.notebook == stopped.outputs.notebook == tmp_path / "out.attempt-1.ipynb"
