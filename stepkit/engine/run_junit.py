"""Write the JUnit file of a step that runs notebooks, however the step ends."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar

from stepkit.errors import Cancelled, Reason, StepError
from stepkit.notebook import cells_junit
from stepkit.notebook.cells_junit import Suite
from stepkit.step import kebab

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path


class Outputs(Protocol):
    """What this module needs of a step's outputs, a frozen dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def message(self) -> str:
        """How it ended, in one sentence."""


T = TypeVar("T", bound=Outputs)


def of_one(outputs: Any, ended: Suite) -> list[Suite]:
    """Return the suite of a notebook from the outputs of its step, None if it has none."""
    known = asdict(outputs) if outputs else {}
    return [cells_junit.with_outputs(ended, {kebab(name): known[name] for name in known})]


def around(
    path: Path | None,
    name: str,
    run: Callable[[], T],
    *,
    suites: Callable[[Any, Suite], Sequence[Suite]] = of_one,
) -> T:
    """Call ``run``, and write test cases to ``path``, if that is given.

    ``suites`` gets the outputs of ``run``, or those of its error (which may be None), and a suite
    called ``name`` that says how it ended.

    The file says that the run never ended until it does: a reader of it never takes a run that was
    killed for one without failures. Raises what ``run`` raises, and the :class:`StepError` of a
    file that cannot be written, unless the run failed for another reason.
    """
    if path is None:
        return run()
    clock = time.monotonic()
    begun = Suite(
        notebook=name,
        reason=Reason.KILLED,
        message="started and never ended: killed from outside",
        exit_code=None,
        started=datetime.now(UTC).isoformat(timespec="milliseconds"),
    )
    cells_junit.write(path, [begun])

    def write(outputs: Any, reason: Reason, message: str, exit_code: int) -> None:
        seconds = time.monotonic() - clock
        ended = replace(begun, reason=reason, message=message, exit_code=exit_code, seconds=seconds)
        cells_junit.write(path, suites(outputs, ended))

    try:
        outputs = run()
    except (StepError, Cancelled) as error:
        reason = error.reason if isinstance(error, StepError) else Reason.CANCELLED
        with suppress(StepError):
            write(error.outputs, reason, str(error), error.exit_code)
            error.outputs = error.outputs and replace(error.outputs, junit=path.absolute())
        raise
    try:
        write(outputs, Reason.OK, outputs.message, 0)
    except StepError as error:
        raise error.leaving(outputs, prefix=f"{outputs.message}, but: ") from error
    return replace(outputs, junit=path.absolute())
