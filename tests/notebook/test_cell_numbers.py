from __future__ import annotations

from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from stepkit.notebook.cell_numbers import number_cells


def test_code_cells_are_counted_as_their_owner_wrote_them() -> None:
    def tagged(*tags: str) -> dict[str, list[str]]:
        return {"tags": list(tags)}

    cells = [
        new_markdown_cell("# Title"),
        new_code_cell("n = 1", metadata=tagged("parameters")),
        new_code_cell("n = 2", metadata=tagged("injected-parameters")),
        new_code_cell(" \n"),
        new_code_cell("left out", metadata=tagged("skip-execution")),
        new_code_cell("hook()", metadata=tagged("injected-by-stepkit")),
        new_code_cell("slow()", metadata=tagged("skip-execution", "skipped-by-stepkit")),
        new_code_cell("", metadata=tagged("skip-execution", "skipped-by-stepkit")),
        new_code_cell("last()"),
    ]

    assert number_cells(new_notebook(cells=cells)) == [0, 1, 0, 0, 0, 0, 2, 3, 4]
