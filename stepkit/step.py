"""What every step is: its three names, its result, and what a report shows of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from stepkit.errors import Evidence, Place, Reason

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Status = Literal["succeeded", "tolerated", "flaky", "failed", "cancelled"]
Ending = Literal["succeeded", "tolerated", "flaky", "failed", "cancelled", "reused"]  # of a command
Section = Literal[
    "", "notebook", "notebooks", "tests", "workspace", "environment", "checkout", "datasets",
    "page", "artifacts", "published",
]  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class InReport:
    """What the report of a run shows of a step, besides its row in the list of steps.

    A step declares it as ``Outputs.in_report``; the default is the row alone.

    - ``section`` says what the outputs describe: one notebook with its cells, several notebooks,
      tests, or something else that run.json holds. Their shape is
      ``stepkit/report/SECTION.schema.json``; tolerated errors are counted from them.
    - ``headline``: the step's message stands on top of the report of a run that passed.
    - ``except_with`` names an option: if it is true, the step has its row alone.
    - ``saves`` names the option with the executed notebook that the step saves while it runs: of a
      step that was killed, the report shows the cells in that file.
    - ``ends_run``: the step runs beside others that read the reports at the end of a run. Its
      report, unfinished at that time, counts only in a run that expects it.
    """

    section: Section = ""
    headline: bool = False
    except_with: str = ""
    saves: str = ""
    ends_run: bool = False


@dataclass(frozen=True, kw_only=True)
class Resumable:
    """What a step depends on, so that a later run may reuse what it made (``--resume``).

    A step declares it as ``Outputs.resumable``; one without it always runs. Its command, its
    options and the files that options marked ``READS`` name count in any case.

    - ``directories`` returns the directories of which the step, with its options, may read every
      file; ``suffixes`` are those of the files that count there, in lower case, all if empty.
    - ``environments`` returns directories with Python environments whose packages count.
    - ``keeps_changes``: files that the step writes in those directories are outputs, too.
    - ``beside`` returns further files that it may have made, for its outputs by their names.
    - ``except_with`` names options: if one of them is true, the step always runs.
    """

    directories: Callable[[Any], Sequence[Path]]
    suffixes: frozenset[str] = frozenset()
    environments: Callable[[Any], Sequence[Path]] = lambda _: ()
    keeps_changes: bool = False
    beside: Callable[[Mapping[str, Any]], Sequence[Path]] = lambda _: ()
    except_with: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Checks:
    """How many checks a step made: cells of a notebook, notebooks, or tests.

    ``warnings`` are failures that were declared beforehand. A step that tests something has them as
    its output ``test_output``; the command line spells that as Konflux reads it.
    """

    successes: int = 0
    failures: int = 0
    warnings: int = 0


class Step(Protocol):
    """A module in :mod:`stepkit.steps`. Its docstring is the command's help text."""

    __doc__: str | None

    @property
    def Options(self) -> type[DataclassInstance]:  # noqa: N802
        """One field for each flag: ``Annotated[type, "help text"]``.

        ``second_report``, a property, is a file that gets the step's report besides --report,
        unless that is in the same directory.
        """

    @property
    def Outputs(self) -> type[DataclassInstance]:  # noqa: N802
        """One field for each Tekton result; one marked ``DETAIL`` goes to the report only.

        ``in_report``, a class variable, is an :class:`InReport`. With ``message_is_verdict``, the
        last line of the log is the message alone: that of a step which says how others ended.
        ``resumable`` is a :class:`Resumable`.
        """

    def run(self, options: Any, /) -> DataclassInstance:
        """Do the step: return ``Outputs``, or raise a :class:`~stepkit.errors.StepError`."""


def kebab(name: str) -> str:
    """Spell a field's name as flags, Tekton params and Tekton results do."""
    return name.replace("_", "-")


@dataclass(frozen=True, kw_only=True)
class StepResult:
    """How one run of a step ended: what its report says.

    ``started`` is an ISO-8601 time in UTC with milliseconds, ``seconds`` wall-clock time; ``error``
    shows why it failed, where more than the message is known, and ``place`` says where;
    ``artifacts`` are the files that the outputs name, each with ``path``, ``size`` in bytes and
    ``sha256``; ``earlier`` is the run before, if the same step wrote the same report. ``reused``
    says which run a reused step comes from, and ``proof`` what a later run compares before it
    reuses this one; see ``stepkit/cli/resume``.
    """

    step: str
    status: Ending
    reason: Reason = Reason.OK
    message: str = ""
    exit_code: int | None = 0
    started: str
    seconds: float
    error: Evidence | None = None
    place: Place | None = None
    earlier: Mapping[str, Any] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    outputs: Mapping[str, Any] = field(default_factory=dict)
    artifacts: tuple[Mapping[str, Any], ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    reused: Mapping[str, Any] | None = None
    proof: Mapping[str, Any] | None = None
