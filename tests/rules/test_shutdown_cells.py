import pytest
from rule_books import Changed, notebook

from stepkit import rules

ALONE = [
    "import IPython\n\napp = IPython.Application.instance()\napp.kernel.do_shutdown(True)",
    "from IPython import Application\nApplication.instance().kernel.do_shutdown(restart=False)",
    "# done\nget_ipython().kernel.do_shutdown(True)  # free the GPU",
    "kernel = IPython.Application.instance().kernel\nkernel.do_shutdown(True)",
    "import os, time\nprint('restarting')\ntime.sleep(1)\nos._exit(00)",
]
AMONG_OTHERS = [
    "save()\nget_ipython().kernel.do_shutdown(True)",
    "if finished:\n    get_ipython().kernel.do_shutdown(True)",
    "!rm -rf out\nget_ipython().kernel.do_shutdown(True)",
    "x = 1\nos._exit(0)",
]
NONE = [
    "import sys\nsys.exit(0)",
    "exit()",
    "quit()",
    "import os\nos._exit(1)",
    "import os\nos.kill(os.getpid(), 9)",
    "os.kill(worker, 9)",
    "def stop():\n    get_ipython().kernel.do_shutdown(True)",
    "print('do_shutdown(True)')",
    "%%bash\nos._exit(0)",
    "# app.kernel.do_shutdown(True)",
    "",
]


@pytest.mark.parametrize("source", ALONE)
def test_a_cell_that_only_shuts_the_kernel_down_is_skipped(source: str) -> None:
    patched = rules.apply(notebook("x = 1", source, ""), rules.EMPTY)

    assert patched.notebook.cells[1].metadata["tags"] == ["skip-execution", "skipped-by-stepkit"]
    assert patched.notebook.cells[1].source == source
    (change,) = patched.changes
    assert (change.rule, change.cell, change.applied) == ("strip-kernel-shutdown", 2, True)


def test_only_the_last_cells_are_skipped() -> None:
    stop = "import os\nos._exit(0)"
    nb = notebook(stop, "x = 1", stop, "", ALONE[0])

    patched = rules.apply(nb, rules.EMPTY)

    tagged = [cell.id for cell in patched.notebook.cells if cell.metadata.get("tags")]
    assert tagged == ["c3", "c5"]
    kept, *skipped = patched.changes
    assert "cell 1 (`os._exit(0)`) shuts the kernel down before the last cell" in kept.what
    assert [kept.applied, *(change.applied for change in skipped)] == [False, True, True]


@pytest.mark.parametrize(
    ("place", "skipped"),
    [("{before: start}", True), ("{before: {id: c2}}", True), ("{after: {id: c2}}", False),
     ("{after: end}", False)],
)  # fmt: skip
def test_a_cell_before_injected_code_is_not_skipped(
    changed: Changed, place: str, *, skipped: bool
) -> None:
    book = f"rules: [{{inject: {place}, source: save()}}]"

    patched = changed(book, "x = 1", "os._exit(0)")

    assert (patched.skipped == 1) is skipped


@pytest.mark.parametrize("source", AMONG_OTHERS)
def test_a_shutdown_among_other_code_is_kept_and_reported(source: str) -> None:
    nb = notebook(source)

    patched = rules.apply(nb, rules.EMPTY)

    assert patched.notebook == nb
    (change,) = patched.changes
    assert not change.applied
    assert "does other things: it was left as it is" in change.what


@pytest.mark.parametrize("source", NONE)
def test_cells_without_a_shutdown_are_kept(source: str) -> None:
    assert rules.apply(notebook(source), rules.EMPTY).changes == ()


def test_a_shutdown_is_kept_on_request_in_other_languages_and_in_skipped_cells() -> None:
    nb = notebook(ALONE[0])

    assert rules.apply(nb, rules.EMPTY, strip_shutdown=False).notebook == nb
    assert rules.apply(nb, rules.EMPTY, language="R").notebook == nb
    assert rules.apply(notebook(ALONE[0], tags={1: ["skip-execution"]}), rules.EMPTY).changes == ()


def test_a_cell_that_a_rule_changed_is_not_skipped(changed: Changed) -> None:
    book = "rules: [{replace: (True), with: (False)}]"

    patched = changed(book, "get_ipython().kernel.do_shutdown(True)")

    assert "tags" not in patched.notebook.cells[0].metadata
    assert "and a rule changed it: it was left" in patched.changes[1].what
    assert not patched.changes[1].applied
