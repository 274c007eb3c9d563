"""Attempts on lower rungs, and the files that they leave on disk."""

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from guarded import ON_HOST
from rmm_attempts import Outputs, attempting, caught

from stepkit.errors import (
    Cancelled,
    ConfigurationError,
    Reason,
    StepError,
    ToolError,
    UserCodeError,
)
from stepkit.gpu.memory import attempt_files, guard_request, memory_size, oom_retry
from stepkit.gpu.memory.oom_retry import AS_ASKED, Rung
from stepkit.gpu.step_options import GpuOptions
from stepkit.notebook.verdict import CellRun

GIB = 1 << 30
FULL = "cell 3 of 9 (`x = cp.zeros(n)`) raised OutOfMemoryError: Out of memory"


@dataclass(frozen=True, kw_only=True)
class Options(GpuOptions):
    variant: str | None = None


def lowered(**given: Any) -> list[Rung]:
    options = Options(on_gpu_oom="retry-lower", **given)
    return list(oom_retry.rungs(options, variant=options.variant, managed_limit=4 * GIB))


def modes(rungs: list[Rung]) -> list[str]:
    return [rung.changes.get("rmm_mode", "asked") for rung in rungs]


class Notebook:
    """A notebook that needs a certain rung, and writes its files as a real one does."""

    def __init__(self, directory: Path, *endings: StepError | Cancelled | None) -> None:
        self.output, self.log = directory / "out.ipynb", directory / "papermill.log"
        self.endings = endings
        self.rungs: list[Rung] = []

    def __call__(self, rung: Rung) -> Outputs:
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

    def keep(self, number: int) -> None:
        attempt_files.keep([self.output, self.log, self.output.with_suffix(".html")], number)

    def run(self, rungs: list[Rung] | None = None) -> Outputs:
        return oom_retry.run(self, lowered() if rungs is None else rungs, self.keep)

    def failed(self, rungs: list[Rung] | None = None) -> Any:
        """Run the notebook, which must fail; return how."""
        with pytest.raises((StepError, Cancelled)) as caught:
            self.run(rungs)
        return caught.value


def out_of_memory(message: str = FULL) -> UserCodeError:
    return UserCodeError(message, reason=Reason.GPU_OUT_OF_MEMORY)


def on_disk(directory: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in directory.iterdir()}


def test_by_default_there_is_one_rung_whatever_else_is_asked() -> None:
    assert oom_retry.rungs(Options(rmm_mode="pool")) == (AS_ASKED,)


def test_a_variant_that_no_attempt_would_run_is_refused() -> None:
    with pytest.raises(ConfigurationError) as refused:
        oom_retry.rungs(Options(gpu_oom_variant="lite"))
    assert str(refused.value) == "--gpu-oom-variant needs --on-gpu-oom retry-lower"


@pytest.mark.parametrize(
    ("asked", "lower"),
    [
        ("respect", ["async", "managed"]),
        ("pool", ["async", "managed"]),
        ("async", ["cuda", "managed"]),
        ("cuda", ["managed"]),
    ],
)
def test_no_rung_needs_more_than_the_one_before(asked: str, lower: list[str]) -> None:
    rungs = lowered(rmm_mode=asked)

    assert modes(rungs) == ["asked", *lower]
    assert rungs[0].changes == {}


@pytest.mark.parametrize("asked", ["managed", "off"])
def test_a_retry_without_a_lower_rung_is_refused_before_the_first_attempt(asked: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        lowered(rmm_mode=asked)
    assert str(caught.value) == (
        f"--on-gpu-oom retry-lower: no allocator needs less than --rmm-mode {asked}: "
        f"choose another mode, or name a --gpu-oom-variant"
    )


def test_the_changes_are_options_and_a_first_size_does_not_follow_to_lower_rungs() -> None:
    options = Options(
        on_gpu_oom="retry-lower",
        rmm_mode="pool",
        rmm_pool_size="0.5",
        rmm_maximum_pool_size="8GiB",
        gpu_oom_variant="lite",
    )
    found = [replace(options, **r.changes) for r in oom_retry.rungs(options, managed_limit=GIB)]

    assert [(o.rmm_mode, o.rmm_pool_size, o.rmm_overflow, o.variant) for o in found] == [
        ("pool", "0.5", None, None),
        ("async", None, None, None),
        ("managed", None, str(GIB), None),
        ("managed", None, str(GIB), "lite"),
    ]
    assert {o.rmm_maximum_pool_size for o in found} == {"8GiB"}  # a promise to other processes


def test_managed_memory_takes_as_much_of_the_host_as_the_user_allows() -> None:
    managed = lowered(rmm_overflow="12GiB")[-1]

    assert managed.changes["rmm_overflow"] == str(12 * GIB)
    assert managed.phrase == "with managed memory and up to 12.0 GiB of the host's"


@pytest.mark.parametrize(("overflow", "share"), [(None, 0.5), ("25%", 0.25)])
def test_a_share_of_the_host_is_a_share_of_its_free_memory(
    overflow: str | None, share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory_size, "free_on_host", lambda: 40 * GIB)

    managed = oom_retry.rungs(Options(on_gpu_oom="retry-lower", rmm_overflow=overflow))[-1]

    assert managed.changes["rmm_overflow"] == str(int(40 * GIB * share))
    assert managed.phrase.endswith(f"up to {40 * share:.1f} GiB of the host's")


def test_an_overflow_that_is_not_a_size_is_refused_before_the_first_attempt() -> None:
    with pytest.raises(ConfigurationError, match="--rmm-overflow 'much' is not a size: "):
        lowered(rmm_overflow="much")


@pytest.mark.parametrize("asked", ["respect", "pool", "async", "cuda"])
def test_the_guard_takes_the_options_of_each_rung(asked: str, tmp_path: Path) -> None:
    sizes = {"rmm_pool_size": "1GiB", "rmm_maximum_pool_size": "0.8"} if asked == "pool" else {}
    options = Options(on_gpu_oom="retry-lower", rmm_mode=asked, **sizes)  # type: ignore[arg-type]

    rungs = oom_retry.rungs(options)
    found = [
        guard_request.settings(replace(options, **r.changes), tmp_path / "report") for r in rungs
    ]

    assert [settings.mode for settings in found] == [asked, *modes(list(rungs))[1:]]
    assert found[-1].overflow


def test_the_variant_comes_last_on_the_lowest_allocator_and_only_if_it_is_another() -> None:
    assert modes(lowered(gpu_oom_variant="lite")) == ["asked", "async", "managed", "managed"]
    assert lowered(gpu_oom_variant="lite")[-1].changes["variant"] == "lite"
    assert len(lowered(gpu_oom_variant="lite", variant="lite")) == 3

    only = lowered(rmm_mode="off", gpu_oom_variant="lite")
    assert [(rung.phrase, rung.changes) for rung in only] == [
        ("as asked", {}),
        ("as variant lite", {"variant": "lite"}),
    ]


def test_a_first_attempt_that_succeeds_is_the_only_one(tmp_path: Path) -> None:
    notebook = Notebook(tmp_path, None)

    outputs = notebook.run()

    assert outputs.message == "9 of 9 cells ran"
    (attempt,) = outputs.attempts
    assert (attempt.number, attempt.rung, attempt.status) == (1, "as asked", "succeeded")
    assert on_disk(tmp_path) == {"out.ipynb": "as asked", "papermill.log": "log as asked"}


def test_a_single_rung_leaves_outputs_and_errors_as_they_are(tmp_path: Path) -> None:
    assert Notebook(tmp_path, None).run([AS_ASKED]).attempts == ()

    error = out_of_memory()
    assert Notebook(tmp_path, error).failed([AS_ASKED]) is error


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
    last = "attempt 3 of 3, with managed memory and up to 4.0 GiB of the host's: full 3"
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


def test_on_a_gpu_simulated_in_host_memory_managed_memory_holds_what_cuda_could_not(
    tmp_path: Path, python: str
) -> None:
    options = GpuOptions(rmm_mode="cuda", on_gpu_oom="retry-lower")
    code = """\
import rmm
rmm.reinitialize()
resource = rmm.mr.get_per_device_resource(0)
print(sum(resource.allocate(32 << 20) > 0 for _ in range(3)))
"""
    served: list[str] = []
    how = {"python": python, "env": {"HOST_GPU_BYTES": str(64 << 20)}}

    outputs = oom_retry.run(
        attempting(tmp_path, options, ON_HOST + caught(code), served, **how),
        oom_retry.rungs(options, managed_limit=64 << 20),
        lambda _: None,
    )

    first, second = outputs.attempts
    assert (first.reason, second.reason) == (Reason.GPU_OUT_OF_MEMORY, Reason.OK)
    assert first.message.startswith("MemoryError: ")
    assert outputs.message == (
        "sum 3, on attempt 2 of 2, with managed memory and up to 64.0 MiB of the host's"
    )
    assert [text.split(",")[0] for text in served] == ["plain CUDA", "managed memory"]


def test_an_attempt_that_left_nothing_ends_as_it_did(tmp_path: Path) -> None:
    def attempted(rung: Rung) -> Outputs:
        if rung is AS_ASKED:
            raise out_of_memory()
        raise ToolError("no space left", reason=Reason.DISK_FULL)

    with pytest.raises(ToolError, match=r"attempt 2 of 3, .* no space left$") as caught:
        oom_retry.run(attempted, lowered(), lambda _: None)
    assert caught.value.outputs is None
    assert on_disk(tmp_path) == {}


@pytest.mark.parametrize("ending", [ToolError("the GPU is busy"), Cancelled()])
def test_an_attempt_that_ends_before_its_first_cell_keeps_the_outputs_of_the_one_before(
    tmp_path: Path, ending: ToolError | Cancelled
) -> None:
    notebook = Notebook(tmp_path, out_of_memory())

    def attempted(rung: Rung) -> Outputs:
        if notebook.rungs:
            raise ending
        return notebook(rung)

    with pytest.raises((ToolError, Cancelled)) as caught:
        oom_retry.run(attempted, lowered(), notebook.keep)

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
        Notebook(tmp_path, out_of_memory()).run(lowered())

    assert isinstance(caught.value.outputs, Outputs)
    assert [a.message for a in caught.value.outputs.attempts] == [FULL]
