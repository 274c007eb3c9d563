from pathlib import Path

import blueprint_notebooks
import pytest

from stepkit import rules
from stepkit.steps import execute_notebook


@pytest.mark.parametrize("number", blueprint_notebooks.NUMBERS)
def test_the_shapes_have_the_blueprints_sizes(number: int) -> None:
    nb = blueprint_notebooks.blueprint(number)

    code = [cell for cell in nb.cells if cell.cell_type == "code"]
    assert (len(nb.cells), len(code)) == (
        blueprint_notebooks.CELLS[number],
        blueprint_notebooks.CODE_CELLS[number],
    )
    assert not any(cell.metadata.get("tags") for cell in nb.cells)
    assert sum(blueprint_notebooks.CODE_CELLS.values()) == 191


@pytest.mark.parametrize("number", blueprint_notebooks.NUMBERS)
def test_without_rules_only_the_shutdown_cell_is_skipped(number: int) -> None:
    nb = blueprint_notebooks.blueprint(number)

    patched = rules.apply(nb, rules.EMPTY)

    stripped = [(change.rule, change.cell) for change in patched.changes]
    last = blueprint_notebooks.CODE_CELLS[number] - 1
    wanted = (
        [] if number == blueprint_notebooks.WITHOUT_SHUTDOWN else [("strip-kernel-shutdown", last)]
    )
    assert stripped == wanted
    assert [cell.source for cell in patched.notebook.cells] == [cell.source for cell in nb.cells]


@pytest.mark.slow
def test_the_first_shape_runs_without_a_gpu(tmp_path: Path) -> None:
    source = blueprint_notebooks.write(1, tmp_path / "in.ipynb")

    outputs = execute_notebook.run(
        execute_notebook.Options(notebook=source, output=tmp_path / "out.ipynb", gpu="optional")
    )

    assert (
        outputs.cells_run == blueprint_notebooks.CODE_CELLS[1] - 2
    )  # all but the shutdown and the blank one
