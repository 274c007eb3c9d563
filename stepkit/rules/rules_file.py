"""Read a rules file and check all of it before any notebook is read."""

from __future__ import annotations

import keyword
import re
import unicodedata
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from stepkit.errors import ConfigurationError, Reason
from stepkit.formats import json_schema, yaml_files
from stepkit.rules import patterns, tolerances, validate
from stepkit.rules.literals import check_expression, to_literal
from stepkit.rules.rule import (
    ANY,
    AnyRule,
    Book,
    CellsCompared,
    Compare,
    Inject,
    Place,
    Replace,
    Selector,
    Set,
    Skip,
    Subsample,
    Tolerance,
    Variant,
)
from stepkit.system import atomic_files, named_checkouts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from stepkit.formats.json_schema import Keys
    from stepkit.formats.yaml_files import Document

Given = TypeVar("Given")
Read = TypeVar("Read")


def load(path: Path, notebook: Path | None = None) -> Book:
    """Read a rules file; a relative path may also be relative to the checkout of ``notebook``.

    A file from there may not tolerate errors: it is the work of the notebook's authors. Raises
    :class:`ConfigurationError` that names the file, the line, the rule and what is wrong.
    """
    looked, checkout = [path], _checkout(notebook)
    if checkout and not path.is_absolute():
        looked.append(checkout / path)
    found = next((place for place in looked if _is_there(place)), None)
    if found is None:
        places = " nor ".join(str(place.absolute()) for place in looked)
        raise ConfigurationError(
            f"there is no file {path}{atomic_files.near_names(looked[-1])}: it is not {places}",
            reason=Reason.NOT_FOUND,
        )
    if found != path and checkout:
        named_checkouts.inside(checkout, str(path), f"{path} in the notebooks' repository")
    return replace(_Reader(yaml_files.read(found)).book(), may_tolerate=found == path)


def _checkout(notebook: Path | None) -> Path | None:
    """Return the directory with the repository that ``notebook`` is in, if it is in one."""
    parents = notebook.absolute().parents if notebook else ()
    return next((parent for parent in parents if _is_there(parent / ".git")), None)


def _is_there(path: Path) -> bool:
    with atomic_files.explaining(f"cannot read {path}"):
        return path.exists()


class _Reader:
    """Turns the document of a rules file into a :class:`Book`.

    ``at`` are the keys of a value in the document; messages name file and line by them. What is
    wrong with one rule or one tolerated error is noted in ``wrong``, and the others are read.
    """

    def __init__(self, document: Document) -> None:
        self.document = document
        self.wrong: list[str] = []

    def book(self) -> Book:
        """Return the whole file; raise :class:`ConfigurationError` with all that is wrong."""
        value = self.document.value
        if value is None:
            value = {}
        if found := validate.find_problems(value):
            raise json_schema.refusal([self.problem(*each) for each in found])
        book = Book(
            source=str(self.document.path),
            rules=self.each(self.rule, value.get("rules", []), ("rules",)),
            tolerate=self.each(self.tolerance, value.get("tolerate", []), ("tolerate",)),
            compare=self.compare(value, ()),
            variants={
                name: self.variant(given, ("variants", name))
                for name, given in value.get("variants", {}).items()
            },
        )
        if self.wrong:
            raise json_schema.refusal(self.wrong)
        return book

    def each(
        self, read: Callable[[Given, Keys], Read], given: Iterable[Given], at: Keys
    ) -> tuple[Read, ...]:
        """Read each item of a list."""
        found = []
        for number, item in enumerate(given):
            with self.noting():
                found.append(read(item, (*at, number)))
        return tuple(found)

    @contextmanager
    def noting(self) -> Iterator[None]:
        """Note what is wrong within the block, and go on after it."""
        try:
            yield
        except ConfigurationError as error:
            self.wrong.append(str(error))

    def where(self, keys: Keys) -> str:
        """Name file, line and rule of the value under ``keys``."""
        named = validate.name_place(keys)
        return self.document.place(keys) + (f": {named}" if named else "")

    def problem(self, keys: Keys, why: str) -> str:
        """Describe what is wrong with the value under ``keys``, with file and line."""
        named = validate.name_place(keys)
        text = f"{named} {why}" if named else f"the file {why}"
        return f"{self.document.place(keys)}: {text}"

    def refuse(self, keys: Keys, why: str) -> NoReturn:
        """Raise :class:`ConfigurationError` that names the place of ``keys``."""
        raise ConfigurationError(self.problem(keys, why))

    def variant(self, given: dict[str, Any], at: Keys) -> Variant:
        """Read one variant."""
        parameters = given.get("parameters", {})
        with self.noting():
            self.check_names(parameters, (*at, "parameters"))
        return Variant(
            suffix=given.get("suffix", f"_{at[-1]}"),
            parameters=parameters,
            rules=self.each(self.rule, given.get("rules", []), (*at, "rules")),
            tolerate=self.each(self.tolerance, given.get("tolerate", []), (*at, "tolerate")),
            hooks=tuple(
                Subsample(**{key: int(value) for key, value in hook["anndata-subsample"].items()})
                for hook in given.get("hooks", [])
            ),
            compare=self.compare(given, at),
        )

    def compare(self, given: dict[str, Any], at: Keys) -> Compare | None:
        """Read how outputs are compared, with the path of the golden notebook from here."""
        if "compare" not in given:
            return None
        said, at = dict(given["compare"]), (*at, "compare")
        for number, each in enumerate(said.get("replace", [])):
            self.check_replacement(each["regex"], each["with"], (*at, "replace", number, "with"))
        golden = said.pop("golden", None)
        return Compare(
            golden=golden and self.document.path.parent / golden,
            only_marked=said.pop("only-marked", False),
            cells=self.each(self.cells_compared, said.pop("cells", []), (*at, "cells")),
            given=said,
        )

    def cells_compared(self, given: dict[str, Any], at: Keys) -> CellsCompared:
        """Read what is said of the outputs of some cells."""
        for number, each in enumerate(given.get("replace", [])):
            self.check_replacement(each["regex"], each["with"], (*at, "replace", number, "with"))
        said = {key: value for key, value in given.items() if key != "cells"}
        return CellsCompared(cells=self.cells(given, "cells", at), given=said, where=self.where(at))

    def rule(self, given: dict[str, Any], at: Keys) -> AnyRule:
        """Read one rule of any kind."""
        kind = next(kind for kind in validate.KINDS if kind in given)
        rule: AnyRule = getattr(self, f"_{kind}")(given, at)
        return replace(rule, expect=int(given.get("expect", 1)))

    def _set(self, given: dict[str, Any], at: Keys) -> Set:
        self.check_names(given["set"], (*at, "set"))
        values = {
            unicodedata.normalize("NFKC", name): self.value(value, (*at, "set", name))
            for name, value in given["set"].items()
        }
        return Set(where=self.where(at), values=values, cells=self.cells(given, "cells", at))

    def _replace(self, given: dict[str, Any], at: Keys) -> Replace:
        old, new, regex = given["replace"], given["with"], given.get("regex", False)
        if regex:
            self.check_replacement(old, new, (*at, "with"), "replace")
        cells = self.cells(given, "cells", at)
        return Replace(where=self.where(at), old=old, new=new, regex=regex, cells=cells)

    def _skip(self, given: dict[str, Any], at: Keys) -> Skip:
        cells = self.cells(given, "skip", at)
        return Skip(where=self.where(at), cells=cells, reason=given.get("reason", ""))

    def _inject(self, given: dict[str, Any], at: Keys) -> Inject:
        place: Place
        (place, target) = next(iter(given["inject"].items()))
        cells = None
        if isinstance(target, dict):
            cells = self.cells(given["inject"], place, (*at, "inject"))
        source = given.get("source")
        if source is None:
            source = self.source(given["source-file"], (*at, "source-file"))
        return Inject(
            where=self.where(at), place=place, cells=cells, source=source.removesuffix("\n")
        )

    def source(self, name: str, at: Keys) -> str:
        """Read a source file, which must lie in the rules file's directory or below it."""
        directory = self.document.path.parent
        path = directory / name
        with atomic_files.explaining(f"{self.where(at)}: cannot read {path}"):
            inside = path.resolve().is_relative_to(directory.resolve())
            missing = not path.exists()
        if not inside:
            self.refuse(at, f"{name} lies outside the directory of the rules file: put it beside")
        if missing:
            self.refuse(at, f"{name} does not exist{atomic_files.near_names(path)}")
        try:
            text = atomic_files.read(path).decode("utf-8-sig")
        except UnicodeDecodeError as error:
            self.refuse(at, f"{name} is not text in UTF-8: {error.reason}")
        if not text.strip() or "\0" in text:
            self.refuse(at, f"{name} is empty" if not text.strip() else f"{name} is not text")
        return text.replace("\r\n", "\n")

    def value(self, value: Any, at: Keys) -> str:
        """Return the Python source of a value."""
        if not isinstance(value, dict) or "expr" not in value:
            return to_literal(value)
        try:
            return check_expression(value["expr"])
        except ValueError as error:
            self.refuse((*at, "expr"), str(error))

    def check_replacement(self, old: str, new: str, at: Keys, key: str = "regex") -> None:
        """Refuse a regular expression ``old``, or what ``new`` at ``at`` says of its groups.

        ``key`` is the one of ``old``, beside that of ``new``.
        """
        tolerances.check_regex(old, self.where((*at[:-1], key)))
        try:
            patterns.check_template(old, new)
        except (re.error, IndexError) as error:
            self.refuse(at, f"does not fit the regular expression: {error}")

    def check_names(self, names: Iterable[str], at: Keys) -> None:
        """Refuse names that no variable can have."""
        for name in names:
            if keyword.iskeyword(name) or not name.isidentifier():
                self.refuse((*at, name), "is not a name that a Python variable can have")

    def cells(self, given: dict[str, Any], key: str, at: Keys) -> Selector:
        """Read the selector under ``key``; without one, return the one that means every cell."""
        if key not in given:
            return ANY
        parts = dict(given[key])
        if "regex" in parts:
            tolerances.check_regex(parts["regex"], self.where((*at, key, "regex")))
        if "index" in parts:
            parts["index"] = int(parts["index"])  # 2.0 is a whole number, too
        return Selector(**parts)

    def tolerance(self, given: dict[str, Any], at: Keys) -> Tolerance:
        """Read one tolerated error."""
        declared = Tolerance(
            ename=given["ename"].strip(),
            evalue=given.get("evalue", ""),
            reason=" ".join(given["reason"].split()),
            max=int(given.get("max", 1)),
            cell=self.cells(given, "cell", at) if "cell" in given else None,
            where=self.where(at),
        )
        tolerances.check(declared)
        if not declared.reason:
            self.refuse((*at, "reason"), "must not be empty")
        return declared
