"""The option that names a golden notebook, and the verdict on a run that is compared with it."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Protocol, TypeVar

from stepkit.errors import Place, StepError
from stepkit.formats import golden_text
from stepkit.options import READS, InCheckout
from stepkit.rules.rules_options import RulesOptions
from stepkit.system import logfile

if TYPE_CHECKING:
    from stepkit.golden.comparison import Golden
    from stepkit.golden.differences import Comparison
    from stepkit.rules.rule import Book

logger = logging.getLogger(__name__)


class _Verdict(Protocol):
    """A verdict: ``message`` of a success, or else ``error``."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def message(self) -> str: ...

    @property
    def error(self) -> StepError | None: ...


V = TypeVar("V", bound=_Verdict)


@dataclass(frozen=True, kw_only=True)
class GoldenOptions(RulesOptions):
    """Rules, and the notebook with whose outputs those of a run are compared."""

    heading: ClassVar[str] = "golden notebook"

    golden: Annotated[
        Path | None,
        "notebook with the outputs that those of the run must be, or directory of such",
        READS,
        InCheckout(),
    ] = None

    def golden_of(self, book: Book, notebook: Path) -> Path | None:
        """Return the golden notebook of ``notebook``; the option wins over ``book``."""
        path = self.golden or book.comparison(self.variant).golden
        return path / notebook.name if path and path.is_dir() else path

    def golden_check(self, book: Book, original: Any, patched: Any, notebook: Path) -> GoldenCheck:
        """Return what compares the run of ``patched``, which rules made of ``original``.

        Raises :class:`~stepkit.errors.ConfigurationError` for a golden notebook that does not fit.
        """
        path = self.golden_of(book, notebook)
        if path is None:
            return GoldenCheck(None, notebook)
        from stepkit.golden.comparison import Golden

        golden = Golden(path, book.comparison(self.variant))
        golden.check(original, patched, notebook)
        return GoldenCheck(golden, notebook)


class GoldenCheck:
    """Compares the outputs of ``notebook`` after its run with ``golden``, if there is one."""

    def __init__(self, golden: Golden | None, notebook: Path) -> None:
        self._golden = golden
        self._notebook = notebook

    def judge(self, verdict: V, executed: Any) -> tuple[V, Comparison | None]:
        """Return the verdict on a run, with what its outputs say if it passed, and the comparison.

        Each difference is logged.
        """
        if self._golden is None or verdict.error:
            return verdict, None
        try:
            found = self._golden.compare(executed, self._notebook)
        except StepError as error:
            return replace(verdict, error=error), None
        for each in map(vars, found.differences):
            block = golden_text.lines(each)
            logfile.log_block(logger, logging.ERROR, golden_text.place(each), block)
        differs = found.error
        if differs:
            differs.place = Place(title=f"cell {found.cells[0]}", file=str(self._notebook))
        return replace(verdict, message=f"{verdict.message}; {found.message}", error=differs), found
