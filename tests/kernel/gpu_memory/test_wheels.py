"""What works with the RMM and CuPy of each row of locked wheels is what docs/gpu.md says."""

import json
import re
from pathlib import Path
from typing import Any

import commands
import pytest
from cuda_driver import fake_cuda
from guarded import HERE, ON_HOST, guarded
from rmm_python import LOCKS, ROWS, python_of

ROOT = Path(__file__).parents[3]
MIB = 1 << 20
SIMULATED = f"import sys\nsys.path.append({str(HERE)!r})\n{ON_HOST}"  # before the guard is there
GROUPS: dict[str, dict[str, Any]] = {  # of rmm_matrix: what guards them
    "respect": {},
    "on top": {},
    "no gpu": {},
    "pool": {"mode": "pool", "initial": 64 * MIB},
    "async": {"mode": "async"},
    "managed": {"mode": "managed"},
    "overflow": {"overflow": 128 * MIB},
    "overflow refused": {"overflow": 128 * MIB},
}
WARNS = {
    "overflow": "more than the GPU had free",
    "overflow refused": "--rmm-overflow does nothing",
}


@pytest.mark.parametrize("row", ROWS)
def test_a_lock_pins_what_the_name_of_its_row_says(row: str) -> None:
    asked = (LOCKS / f"{row}.in").read_text().split()
    lock = (LOCKS / f"{row}.txt").read_text()
    cuda, release = row.removeprefix("cuda").split("-")
    year, month = map(int, release.split("."))

    assert f"rmm-cu{cuda}=={year}.{month}.*" in asked
    for requirement in asked:
        start = requirement.removesuffix("*")
        assert re.search(rf"^{re.escape(start)}.*\n    --hash=sha256:", lock, re.MULTILINE)


def test_each_lock_has_what_it_was_made_from() -> None:
    assert sorted(file.stem for file in LOCKS.glob("*.in")) == ROWS
    assert len(ROWS) >= 6


@pytest.mark.slow
@pytest.mark.parametrize("row", ROWS)
def test_each_rung_and_what_libraries_do_on_top_work_as_documented(
    tmp_path: Path, row: str
) -> None:
    python = python_of(row)
    found = versions(python)
    for group, settings in GROUPS.items():
        directory = tmp_path / group
        directory.mkdir()
        real = group == "no gpu"
        done = guarded(
            directory,
            f"import rmm_matrix\nprint(rmm_matrix.answers({group!r}))",
            python=python,
            first="" if real else SIMULATED,
            env=fake_cuda(directory) if real else None,
            **settings,
        )
        assert done.code == 0, (group, done.code, done.stderr)
        warnings = done.log.warnings
        assert all(WARNS.get(group, "nothing") in text for text in warnings), (group, warnings)
        assert len(warnings) == (group in WARNS), group
        found |= json.loads(done.stdout)

    assert found == documented()[row]


def versions(python: str) -> dict[str, str]:
    """Return the versions of RMM and CuPy that a Python has."""
    code = "import cupy, rmm; print(rmm.__version__, cupy.__version__)"
    rmm, cupy = commands.run(python, "-c", code).stdout.split()
    return {"RMM": rmm, "CuPy": cupy}


def documented() -> dict[str, dict[str, str]]:
    """Return the table of versions in docs/gpu.md: for each row of wheels, its column."""
    section = (ROOT / "docs/gpu.md").read_text().partition("### Versions")[2].partition("\n#")[0]
    lines = [line.strip("| ") for line in section.splitlines() if line.startswith("|")]
    header, _, *rest = [[cell.strip() for cell in line.split(" | ")] for line in lines]
    return {
        row: {cells[0]: cells[number] for cells in rest}
        for number, row in enumerate(header[1:], start=1)
    }


def test_the_table_of_versions_has_a_column_for_each_row_of_wheels() -> None:
    assert sorted(documented()) == ROWS
