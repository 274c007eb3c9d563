"""The load benchmark sees what is lost, and loses nothing at small sizes."""

from __future__ import annotations

import fcntl
import tempfile
from pathlib import Path

import pytest

from benchmarks.load import __main__ as load
from benchmarks.load.measured import exponent, left_behind

SMALL = {"runs": 2, "notebooks": 2, "artifacts": 40, "dataset": 8, "cells": 20, "output": 4}


@pytest.mark.slow
@pytest.mark.parametrize("name", load.SCENARIOS)
def test_a_small_load_loses_nothing_and_leaves_nothing_behind(name: str) -> None:
    with tempfile.TemporaryDirectory() as scratch:  # other users reach no directory of pytest's
        measured = list(load.SCENARIOS[name].play(Path(scratch), SMALL[name]))

    assert [problem for one in measured for problem in one.problems] == []
    assert {one.size for one in measured} == {SMALL[name]}


def test_a_file_that_is_unfinished_or_locked_is_seen(tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "a.part").touch()
    (tmp_path / "b.lock").touch()
    (tmp_path / "c").touch()
    with (tmp_path / "b.lock").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)

        found = sorted(left_behind(tmp_path))

    assert found == ["b.lock is still locked", "left cache/a.part"]
    assert list(left_behind(tmp_path)) == ["left cache/a.part"]


def test_what_grows_faster_than_its_size_is_a_problem() -> None:
    def rows(what: str, cpu: float) -> list[dict[str, object]]:
        figures = {"seconds": 1.0, "memory": 2**20, "problems": []}
        return [
            {"what": what, "size": size, "cpu": taken, **figures}
            for size, taken in ((25, 1.0), (100, cpu))
        ]

    played = {"cells": [*rows("linear", 4.0), *rows("quadratic", 16.0)]}

    assert list(load.bent(played)) == ["quadratic takes time by the size to the power of 2.00"]
    assert exponent({100: 1.0}) is None
    assert "| linear | 25 / 100 cells | 1.0 / 1.0 | 1.0 / 4.0 | 1.00 | 1 / 1 | 0 |" in list(
        load.table(played)
    )
