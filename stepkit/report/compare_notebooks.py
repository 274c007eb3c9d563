"""Compare the notebooks of two runs, cell by cell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from stepkit.report import compare_numbers
from stepkit.report.compare_numbers import RATIO, Measure

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from stepkit.report.run_json import RunJson
    from stepkit.report.run_json_comparison import (
        CellChange,
        CellComparisonJson,
        NotebookComparisonJson,
        NumberJson,
    )
    from stepkit.report.run_json_notebook import CellJson, NotebookJson

PASSED: Final = {"passed", "tolerated"}  # a flaky one took longer, by its earlier attempts

_RAN: Final = {"ok", "expected-error", "tolerated"}  # a cell with another status stopped early
_CHANGES: Final[Mapping[str, CellChange]] = {"worse": "slower", "better": "faster"}
_LEAST_MS: Final = 1000
_LEAST_BYTES: Final = 64 << 20


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Ratios to the baseline beyond which a time or a peak of memory counts as worse.

    Without ``same_gpu``, times and GPU memory are not compared.
    """

    slower: float = RATIO
    memory: float = RATIO
    same_gpu: bool = True

    def time(
        self, before: int | None, now: int | None, history: Sequence[int | None] = ()
    ) -> NumberJson:
        """Compare two times in milliseconds."""
        measure = Measure(least=_LEAST_MS, ratio=self.slower)
        return self._compare(before, now, history, measure, possible=self.same_gpu)

    def peak(
        self, before: int | None, now: int | None, history: Sequence[int | None], *, on_gpu: bool
    ) -> NumberJson:
        """Compare two peaks of memory in bytes."""
        measure = Measure(least=_LEAST_BYTES, ratio=self.memory)
        return self._compare(before, now, history, measure, possible=self.same_gpu or not on_gpu)

    @staticmethod
    def _compare(
        before: int | None,
        now: int | None,
        history: Sequence[int | None],
        measure: Measure,
        *,
        possible: bool,
    ) -> NumberJson:
        if not possible:
            return compare_numbers.unknown(before, now)
        known = [value for value in history if value is not None]
        return compare_numbers.compare(before, now, known, measure)


def find_pairs(run: RunJson, other: RunJson) -> list[NotebookJson | None]:
    """Return for each notebook of ``run`` the one of ``other`` that it is compared with.

    That is the one of the same name, variant and path in the repository. A notebook that was moved
    has the first of the same name and variant that is not another's, or else the only one of that
    name.
    """

    def key(notebook: NotebookJson) -> tuple[str, str, str]:
        return notebook["name"], notebook["variant"], notebook["in_repository"]

    wanted = {key(notebook) for notebook in run["notebooks"]}
    placed = {key(notebook): notebook for notebook in other["notebooks"]}
    free = [notebook for notebook in other["notebooks"] if key(notebook) not in wanted]

    def moved(notebook: NotebookJson) -> NotebookJson | None:
        named = [each for each in free if each["name"] == notebook["name"]]
        same = [each for each in named if each["variant"] == notebook["variant"]]
        return same[0] if same else named[0] if len(named) == 1 else None

    return [placed.get(key(notebook)) or moved(notebook) for notebook in run["notebooks"]]


def compare(
    index: int,
    now: NotebookJson,
    before: NotebookJson,
    past: Sequence[NotebookJson],
    limits: Limits,
) -> NotebookComparisonJson:
    """Compare a notebook with itself in the baseline; ``past`` are all runs for the limits."""
    passed = [notebook for notebook in past if notebook["status"] in PASSED]
    both = now["status"] in PASSED and before["status"] in PASSED
    times = before["duration_ms"], now["duration_ms"]
    cells, same = _cells(now, before, past, limits)
    rules_now, rules_before = _rules(now), _rules(before)
    return {
        "notebook": index,
        "name": now["name"],
        "variant": now["variant"],
        "before": before["status"],
        "now": now["status"],
        "duration": limits.time(*times, [n["duration_ms"] for n in passed])
        if both
        else compare_numbers.unknown(*times),
        "gpu_peak": limits.peak(
            before["gpu_peak"], now["gpu_peak"], [n["gpu_peak"] for n in passed], on_gpu=True
        ),
        "rss_peak": limits.peak(
            before["rss_peak"], now["rss_peak"], [n["rss_peak"] for n in passed], on_gpu=False
        ),
        "cells": cells,
        "cells_same": same,
        "rules_new": [rule for rule in rules_now if rule not in rules_before],
        "rules_gone": [rule for rule in rules_before if rule not in rules_now],
    }


def only_in_one(index: int | None, notebook: NotebookJson) -> NotebookComparisonJson:
    """Return a notebook that one run has alone; ``index`` is None if that is the baseline."""
    gone = index is None
    nothing = compare_numbers.unknown(None, None)
    duration = notebook["duration_ms"]
    return {
        "notebook": index,
        "name": notebook["name"],
        "variant": notebook["variant"],
        "before": notebook["status"] if gone else None,
        "now": None if gone else notebook["status"],
        "duration": compare_numbers.unknown(*((duration, None) if gone else (None, duration))),
        "gpu_peak": nothing,
        "rss_peak": nothing,
        "cells": [],
        "cells_same": 0,
        "rules_new": [],
        "rules_gone": [],
    }


def _cells(
    now: NotebookJson, before: NotebookJson, past: Sequence[NotebookJson], limits: Limits
) -> tuple[list[CellComparisonJson], int]:
    """Return the cells that differ, those that are gone last, and the number of the others."""
    old = _matches(now["cells"], before["cells"])
    histories = [_matches(now["cells"], notebook["cells"]) for notebook in past]
    differing: list[CellComparisonJson] = []
    for index, cell in enumerate(now["cells"]):
        if (was := old.get(index)) is None:
            differing.append(_differing(cell, "new", index=index, now=cell))
            continue
        known = [_milliseconds(found[index]) for found in histories if index in found]
        duration = limits.time(_milliseconds(was), _milliseconds(cell), known)
        change = _CHANGES.get(duration["change"])
        if was["status"] != cell["status"]:
            change = "status"
        if change:
            found = _differing(cell, change, index=index, before=was, now=cell)
            differing.append({**found, "duration": duration})
    same = len(now["cells"]) - len(differing)
    kept = {id(cell) for cell in old.values()}
    gone = [cell for cell in before["cells"] if id(cell) not in kept]
    return differing + [_differing(cell, "gone", before=cell) for cell in gone], same


def _differing(
    cell: CellJson,
    change: CellChange,
    *,
    index: int | None = None,
    before: CellJson | None = None,
    now: CellJson | None = None,
) -> CellComparisonJson:
    return {
        "cell": index,
        "number": cell["number"],
        "id": cell["id"],
        "title": cell["title"],
        "change": change,
        "before": before["status"] if before else None,
        "now": now["status"] if now else None,
        "duration": compare_numbers.unknown(
            before["duration_ms"] if before else None, now["duration_ms"] if now else None
        ),
    }


def _milliseconds(cell: CellJson) -> int | None:
    """Return how long a cell took that ran to its end."""
    return cell["duration_ms"] if cell["status"] in _RAN else None


def _matches(cells: Sequence[CellJson], others: Sequence[CellJson]) -> Mapping[int, CellJson]:
    """Return the cell of ``others`` for the index of each of ``cells`` that has one.

    Cells match by id, and else by number and title: a notebook of an old format gets new ids each
    time.
    """
    by_id = {other["id"]: other for other in others if other["id"]}
    by_title = {(other["number"], other["title"]): other for other in others}
    matches = (
        by_id.get(cell["id"]) or by_title.get((cell["number"], cell["title"])) for cell in cells
    )
    return {index: found for index, found in enumerate(matches) if found}


def _rules(notebook: NotebookJson) -> list[str]:
    return [f"{each['rule']}: {each['what']}" for each in notebook["changes"] if each["applied"]]
