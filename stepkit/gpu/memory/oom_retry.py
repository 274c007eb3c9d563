"""Run a notebook again that ran out of the GPU's memory, with an allocator that needs less.

Each attempt is the whole notebook from its first cell: CUDA does not let a process change its
allocator while arrays live, and cells that ran may not be ones to run twice. Rungs go down from
what was asked:

1. as asked;
2. CUDA's async allocator, which gives back at once what is freed and hardly fragments, where a
   pool keeps both; ``cudaMalloc`` for each array if the async one was asked. Neither comes after
   ``--rmm-mode cuda``, which holds nothing back already;
3. managed memory, whose pages move to the host when the GPU is full: slower, and bounded by
   ``--rmm-overflow``, or else by half of the host memory that is free (:data:`HOST_SHARE`);
4. the variant of the rules that ``--gpu-oom-variant`` names, on the rung before it.

Only the GPU's memory leads to the next rung. Whatever else happens, on any rung, is the run's
ending: a notebook that fails for another reason would fail again, the host's memory only becomes
scarcer further down, and a signal asks to stop.

A run that got through on a lower rung has *succeeded*, with exit code 0: all its cells ran, and
where arrays lay does not change what they hold. It is no tolerated error. Its message says on
which attempt, a warning is logged for each one before, and ``attempts`` in the report holds them
all, so that whoever pays for the GPU can see that the job has outgrown it. Limits such as
``--run-timeout`` hold for each attempt by itself.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Final, Protocol, TypeVar

from stepkit.errors import Cancelled, ConfigurationError, Reason, StepError
from stepkit.formats import sizes
from stepkit.gpu.memory import memory_size
from stepkit.gpu.memory.attempt_files import Attempt, kept, relocated

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from stepkit.gpu.memory.attempt_files import Status
    from stepkit.gpu.step_options import GpuOptions
    from stepkit.notebook.verdict import CellRun

logger = logging.getLogger(__name__)

# The other half is for what the notebook itself holds on the host, and for estimates that are off:
# past the limit the OOM killer ends the kernel.
HOST_SHARE: Final = 0.5

_IN_VAIN: Final = "another allocator of RMM's would not help, the notebook does not use RMM: "


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


def rungs(options: GpuOptions, *, managed_limit: int | None = None) -> tuple[Rung, ...]:
    """Return the ways to run the notebook, the one that was asked first, each once.

    It is the only one unless ``--on-gpu-oom retry-lower`` was given. ``managed_limit`` are the
    bytes of host memory for managed memory if ``--rmm-overflow`` does not say; by default half of
    what is free now. Raises :class:`ConfigurationError` when there is nothing lower, or for a size
    that is none.
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
    if options.gpu_oom_variant not in {None, getattr(options, "variant", None)}:
        lower.append(_variant(options, lower[-1] if lower else AS_ASKED))
    if not lower:
        raise ConfigurationError(
            f"--on-gpu-oom retry-lower: no allocator needs less than --rmm-mode "
            f"{options.rmm_mode}: choose another mode, or name a --gpu-oom-variant"
        )
    return (AS_ASKED, *lower)


def _managed(options: GpuOptions, limit: int | None) -> Rung:
    share = HOST_SHARE if limit is None else limit
    asked = options.rmm_overflow and memory_size.parse(options.rmm_overflow, name="--rmm-overflow")
    overflow = asked or share
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


def _variant(options: GpuOptions, above: Rung) -> Rung:
    phrase = f"as variant {options.gpu_oom_variant}"
    return Rung(
        phrase=phrase if above is AS_ASKED else f"{phrase} {above.phrase}",
        changes={**above.changes, "variant": options.gpu_oom_variant},
    )


def run(attempt: Callable[[Rung], T], rungs: Sequence[Rung], keep: Callable[[int], None]) -> T:
    """Call ``attempt`` with one rung after the other until the GPU's memory suffices.

    ``keep`` gets the number of an attempt that another one follows, and moves its files to the
    names that :func:`~stepkit.gpu.memory.attempt_files.kept` gives them. Returns the outputs with
    ``attempts`` and with a message that says which attempt it was; a single rung changes
    nothing. Raises what the last attempt raised, with all attempts in its outputs, and what ``keep`` raises.
    """
    if len(rungs) == 1:
        return attempt(rungs[0])
    done: list[Attempt] = []
    left: Any = None
    todo = tuple(rungs)
    while True:
        rung, todo = todo[0], todo[1:]
        try:
            return _tried(attempt, rung, len(done) + 1 + len(todo), done, left)
        except StepError as error:
            if error.reason != Reason.GPU_OUT_OF_MEMORY or not todo:
                raise
            todo = _worth_trying(todo, error.outputs)
            if not todo:
                raise error.leaving(_with(error.outputs, done), prefix=_IN_VAIN) from error
            _say(done[-1], todo[0])
            left = _left(keep, error.outputs, done)


def _worth_trying(rungs: Sequence[Rung], outputs: Any) -> tuple[Rung, ...]:
    """Leave out those that change nothing for a notebook which takes no memory from RMM."""
    guard = getattr(outputs, "guard", None)
    if not guard or not guard["active"] or guard["rmm"]:
        return tuple(rungs)
    return tuple(rung for rung in rungs if "variant" in rung.changes)


def _left(keep: Callable[[int], None], outputs: Any, done: list[Attempt]) -> Any:
    """Keep what the last attempt wrote, and return its outputs with where that is now."""
    number = len(done)
    try:
        keep(number)
    except StepError as error:
        raise error.leaving(outputs) from error.__cause__
    if notebook := done[-1].notebook:
        done[-1] = replace(done[-1], notebook=kept(notebook, number))
    return outputs and _with(relocated(outputs, number), done)


def _tried(
    attempt: Callable[[Rung], T], rung: Rung, most: int, done: list[Attempt], left: Any
) -> T:
    """Make one attempt, add it to ``done``, and give what comes of it all that is done so far.

    One that ends before it has outputs ends with those that the one before ``left``.
    """
    began = time.monotonic()
    which = f"attempt {len(done) + 1} of {most}, {rung.phrase}"

    def add(status: Status, reason: Reason, message: str, outputs: Any) -> None:
        done.append(
            Attempt(
                number=len(done) + 1,
                rung=rung.phrase,
                status=status,
                reason=reason,
                message=message,
                seconds=round(time.monotonic() - began, 3),
                gpu_peak=_peak(outputs),
                notebook=outputs and outputs.notebook,
            )
        )

    try:
        outputs = attempt(rung)
    except StepError as error:
        add("failed", error.reason, str(error), error.outputs)
        prefix = f"{which}{_since(done)}: " if len(done) > 1 else ""
        raise error.leaving(_with(error.outputs or left, done), prefix=prefix) from error.__cause__
    except Cancelled as signal:
        add("cancelled", Reason.CANCELLED, str(signal), signal.outputs)
        signal.outputs = _with(signal.outputs or left, done)
        raise
    add(outputs.status, Reason.OK, outputs.message, outputs)
    lowered = f"{outputs.message}, on {which}" if len(done) > 1 else outputs.message
    return replace(outputs, attempts=tuple(done), message=lowered)


def _with(outputs: Any, done: Sequence[Attempt]) -> Any:
    return outputs and replace(outputs, attempts=tuple(done))


def _since(done: Sequence[Attempt]) -> str:
    """Say why there was a second attempt, when its own ending does not."""
    out = done[-1].reason == Reason.GPU_OUT_OF_MEMORY
    return "" if out else ", after the GPU's memory ran out"


def _say(ended: Attempt, following: Rung) -> None:
    logger.warning(
        "attempt %d, %s, ran out of the GPU's memory: %s; running it again from the start %s",
        ended.number,
        ended.rung,
        ended.message,
        following.phrase,
    )


def _peak(outputs: Any) -> int | None:
    cells: tuple[CellRun, ...] = outputs.cells if outputs else ()
    return max((cell.gpu_peak for cell in cells if cell.gpu_peak is not None), default=None)
