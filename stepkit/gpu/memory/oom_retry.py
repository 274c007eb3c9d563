"""Run a notebook again that ran out of the GPU's memory, with an allocator that needs less.

Each attempt is the whole notebook from its first cell: CUDA does not let a process change its
allocator while arrays live, and cells that ran may not be safe to run twice. The rungs, from the
first to the last:

1. as asked;
2. CUDA's async allocator, which gives back at once what is freed and hardly fragments, where a
   pool keeps both; ``cudaMalloc`` for each array if the async one was asked. Neither comes after
   ``--rmm-mode cuda``, which holds nothing back already;
3. managed memory, whose pages move to the host when the GPU is full: slower, and bounded by
   ``--rmm-overflow``, or else by half of the host memory that is free (:data:`HOST_SHARE`);
4. the variant of the rules that ``--gpu-oom-variant`` names, on the rung before it.

Only full GPU memory leads to the next rung. Any other failure, on any rung, ends the run: a
notebook that fails for another reason would fail again, the host's memory only becomes scarcer
further down, and a signal asks to stop.

A run that passes on a lower rung has *succeeded*, with exit code 0: all its cells ran, and where
arrays are does not change what they hold. This is not a tolerated error. Its message says which
attempt passed, a warning is logged for each attempt before it, and ``attempts`` in the report
lists all of them, so that the job is seen to have outgrown its GPU. Limits such as
``--run-timeout`` hold for each attempt separately.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Final, Protocol, TypeVar, runtime_checkable

from stepkit.errors import Cancelled, ConfigurationError, Reason, StepError
from stepkit.formats import sizes
from stepkit.gpu.memory import memory_size
from stepkit.gpu.memory.attempt_files import Attempt, kept_path, relocate

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from _typeshed import DataclassInstance

    from stepkit.gpu.memory.attempt_files import Status
    from stepkit.gpu.step_options import GpuOptions
    from stepkit.notebook.verdict import CellRun

logger = logging.getLogger(__name__)

# The other half is for what the notebook itself holds on the host, and for wrong estimates: past
# the limit the OOM killer ends the kernel.
HOST_SHARE: Final = 0.5

_IN_VAIN: Final = "another allocator of RMM's would not help, the notebook does not use RMM: "


@runtime_checkable
class Outputs(Protocol):
    """What this module needs of a step's outputs, a frozen dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def notebook(self) -> Path:
        """The executed notebook."""

    @property
    def cells(self) -> tuple[CellRun, ...]:
        """Each code cell."""

    @property
    def status(self) -> Status:
        """How it ended."""

    @property
    def message(self) -> str:
        """How it ended, in one sentence."""

    @property
    def guard(self) -> Mapping[str, Any] | None:
        """What the guard in the kernel saw."""

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """All attempts in order; none when a failure would not have led to another."""


T = TypeVar("T", bound=Outputs)


@dataclass(frozen=True, kw_only=True)
class Rung:
    """One way to run the notebook: ``phrase`` for people, and the options that change."""

    phrase: str
    changes: Mapping[str, Any] = field(default_factory=dict)


AS_ASKED: Final = Rung(phrase="as asked")

_ASYNC: Final = Rung(
    phrase="with CUDA's async allocator",
    changes={"rmm_mode": "async", "rmm_pool_size": None, "rmm_release_threshold": "0"},
)
_CUDA: Final = Rung(
    phrase="with cudaMalloc for each array",
    changes={"rmm_mode": "cuda", "rmm_pool_size": None, "rmm_release_threshold": None},
)


def rungs(
    options: GpuOptions, *, variant: str | None = None, managed_limit: int | None = None
) -> tuple[Rung, ...]:
    """Return the ways to run the notebook, the one that was asked first, each once.

    It is the only one unless ``--on-gpu-oom retry-lower`` was given. ``variant`` is the variant of
    the rules that the first attempt runs. ``managed_limit`` are the bytes of host memory for
    managed memory if ``--rmm-overflow`` does not say; by default half of what is free now. Raises
    :class:`ConfigurationError` when there is nothing lower, or for text that is not a size.
    """
    if options.on_gpu_oom == "fail":
        if options.gpu_oom_variant:
            raise ConfigurationError("--gpu-oom-variant needs --on-gpu-oom retry-lower")
        return (AS_ASKED,)
    lower: list[Rung] = []
    match options.rmm_mode:
        case "respect" | "pool":
            lower = [_ASYNC, _managed(options, managed_limit)]
        case "async":
            lower = [_CUDA, _managed(options, managed_limit)]
        case "cuda":
            lower = [_managed(options, managed_limit)]
        case "managed" | "off":
            pass
    if options.gpu_oom_variant not in {None, variant}:
        phrase = f"as variant {options.gpu_oom_variant}"
        above = lower[-1] if lower else None
        changes = {**(above.changes if above else {}), "variant": options.gpu_oom_variant}
        lower.append(Rung(phrase=f"{phrase} {above.phrase}" if above else phrase, changes=changes))
    if not lower:
        raise ConfigurationError(
            f"--on-gpu-oom retry-lower: no allocator needs less than --rmm-mode "
            f"{options.rmm_mode}: choose another mode, or name a --gpu-oom-variant"
        )
    return (AS_ASKED, *lower)


def _managed(options: GpuOptions, limit: int | None) -> Rung:
    """Return the rung of managed memory, which may take ``limit`` bytes of the host's."""
    overflow: float = HOST_SHARE if limit is None else limit
    if options.rmm_overflow:
        overflow = memory_size.parse(options.rmm_overflow, name="--rmm-overflow")
    if isinstance(overflow, float):
        overflow = int(overflow * memory_size.free_on_host())
    return Rung(
        phrase=f"with managed memory and up to {sizes.spell(overflow)} of the host's",
        changes={
            "rmm_mode": "managed",
            "rmm_pool_size": None,
            "rmm_release_threshold": None,
            "rmm_overflow": str(overflow),
        },
    )


def run(execute: Callable[[Rung], T], rungs: Sequence[Rung], keep: Callable[[int], None]) -> T:
    """Call ``execute`` with one rung after the other until the GPU's memory suffices.

    ``keep`` is called with the number of an attempt that another one follows, to move its files to
    their :func:`~stepkit.gpu.memory.attempt_files.kept_path`. Returns the outputs with ``attempts``
    and with a message that says which attempt it was; a single rung changes nothing. Raises what
    the last attempt raised, with all attempts in its outputs, and what ``keep`` raises. An attempt
    that ends before it has outputs ends with those of the attempt before.
    """
    if len(rungs) == 1:
        return execute(rungs[0])
    done: list[Attempt] = []
    earlier: Outputs | None = None  # of the attempt before, with the paths of the kept files
    todo = tuple(rungs)
    while True:
        rung, todo = todo[0], todo[1:]
        which = f"attempt {len(done) + 1} of {len(done) + 1 + len(todo)}, {rung.phrase}"
        began = time.monotonic()
        try:
            outputs = execute(rung)
        except Cancelled as signal:
            done.append(_attempt(len(done) + 1, rung, began, signal))
            signal.outputs = _with_attempts(signal.outputs or earlier, done)
            raise
        except StepError as error:
            done.append(_attempt(len(done) + 1, rung, began, error))
            full = error.reason == Reason.GPU_OUT_OF_MEMORY
            why = "" if full else ", after the GPU's memory ran out"
            prefix = f"{which}{why}: " if len(done) > 1 else ""
            left = _with_attempts(error.outputs or earlier, done)
            failure = error.leaving(left, prefix=prefix)
            if not full or not todo:
                raise failure from error.__cause__
            todo = _worth_trying(todo, left)
            if not todo:
                raise failure.leaving(left, prefix=_IN_VAIN) from error
            logger.warning(
                "attempt %d, %s, ran out of the GPU's memory: %s; "
                "running it again from the start %s",
                len(done),
                rung.phrase,
                error,
                todo[0].phrase,
            )
            earlier = _keep(keep, left, done)
        else:
            done.append(_attempt(len(done) + 1, rung, began, outputs))
            message = f"{outputs.message}, on {which}" if len(done) > 1 else outputs.message
            return replace(outputs, attempts=tuple(done), message=message)


def _attempt(
    number: int, rung: Rung, began: float, ended: Outputs | StepError | Cancelled
) -> Attempt:
    """Describe an attempt that has ``ended``, with outputs or with an error."""
    status: Status
    match ended:
        case StepError():
            status, reason, message = "failed", ended.reason, str(ended)
        case Cancelled():
            status, reason, message = "cancelled", Reason.CANCELLED, str(ended)
        case _:
            status, reason, message = ended.status, Reason.OK, ended.message
    outputs = ended.outputs if isinstance(ended, StepError | Cancelled) else ended
    found = outputs if isinstance(outputs, Outputs) else None
    peaks = [cell.gpu_peak for cell in found.cells if cell.gpu_peak is not None] if found else []
    return Attempt(
        number=number,
        rung=rung.phrase,
        status=status,
        reason=reason,
        message=message,
        seconds=round(time.monotonic() - began, 3),
        gpu_peak=max(peaks, default=None),
        notebook=found.notebook if found else None,
    )


def _with_attempts(outputs: DataclassInstance | None, done: Sequence[Attempt]) -> Outputs | None:
    return replace(outputs, attempts=tuple(done)) if isinstance(outputs, Outputs) else None


def _worth_trying(rungs: Sequence[Rung], outputs: Outputs | None) -> tuple[Rung, ...]:
    """Leave out the rungs that change nothing for a notebook that takes no memory from RMM."""
    guard = outputs.guard if outputs else None
    if not guard or not guard["active"] or guard["rmm"]:
        return tuple(rungs)
    return tuple(rung for rung in rungs if "variant" in rung.changes)


def _keep(
    keep: Callable[[int], None], outputs: Outputs | None, done: list[Attempt]
) -> Outputs | None:
    """Keep the files of the last attempt, and return its outputs with the paths they have then."""
    number = len(done)
    try:
        keep(number)
    except StepError as error:
        raise error.leaving(outputs) from error.__cause__
    if notebook := done[-1].notebook:
        done[-1] = replace(done[-1], notebook=kept_path(notebook, number))
    return _with_attempts(relocate(outputs, number), done) if outputs else None
