"""The options that name rules, and the tolerances of a run."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, ClassVar

from stepkit import rules
from stepkit.errors import ConfigurationError, Reason
from stepkit.options import READS, Checkouts, InCheckout
from stepkit.system import atomic_files, named_checkouts


@dataclass(frozen=True, kw_only=True)
class RulesOptions:
    """Which rules change a notebook, and which errors are tolerated."""

    heading: ClassVar[str] = "rules"

    rules: Annotated[
        Path | None, "YAML file of changes and tolerated errors", READS, InCheckout()
    ] = None
    variant: Annotated[str | None, "variant of the rules to run; its suffix names the files"] = None
    tolerate: Annotated[
        tuple[str, ...], "ENAME:REGEX of errors to go on past, as 'KeyError:.*pca # issue 41'"
    ] = ()
    checkouts: Checkouts = None
    allow_notebook_tolerance: Annotated[
        bool, "use also tolerances that the notebooks' own repository declares"
    ] = False

    def may_tolerate(self, file: Path) -> bool:
        """Return whether a run may use the tolerances that ``file`` declares.

        It may not where the authors of the notebooks wrote them, unless that is allowed.
        """
        if self.allow_notebook_tolerance or self.checkouts is None:
            return True
        source = self.checkouts / named_checkouts.DIRECTORIES["notebooks"]
        by_name = named_checkouts.of_path(file, self.checkouts)  # an author's link may lead out
        return by_name != source and not named_checkouts.holds(source, file)


def load(options: RulesOptions, notebook: Path | None = None) -> rules.Book:
    """Read the rules; a relative path may also be relative to the checkout of ``notebook``.

    Raises :class:`~stepkit.errors.ConfigurationError`.
    """
    if options.rules is None:
        return rules.EMPTY
    try:
        book = rules.load(options.rules, notebook)
    except ConfigurationError as error:
        names = named_checkouts.names_of(options.rules, options.checkouts)
        if error.reason != Reason.NOT_FOUND or not names:
            raise
        raise ConfigurationError(
            f"{error}; write {' or '.join(names)}", reason=Reason.NOT_FOUND
        ) from error
    may = book.may_tolerate and options.may_tolerate(Path(book.source))
    return replace(book, may_tolerate=may or options.allow_notebook_tolerance)


def named(options: RulesOptions, book: rules.Book, path: Path, *, exact: bool = False) -> Path:
    """Return ``path`` with the suffix of the variant before its extension, unless it is there.

    Raises :class:`~stepkit.errors.ConfigurationError` when it is not there and ``exact`` asks for
    it, because other steps of the run read ``path``.
    """
    suffix = book.variant(options.variant).suffix
    found = atomic_files.with_suffix(path, suffix)
    if exact and found != path:
        raise ConfigurationError(
            f"variant {options.variant} has suffix {suffix}, but the other steps of this run read "
            f"{path.name}: set param suffix to {suffix}, or the variant's suffix to the run's"
        )
    return found
