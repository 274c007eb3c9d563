from pathlib import Path

from nbformat.v4 import new_notebook
from samples import write_notebook
from step_runs import failed, run

from stepkit.notebook import failure_note, ipynb


def test_a_sentence_is_kept_beside_other_metadata_and_removed_again() -> None:
    nb = new_notebook(metadata={"stepkit": {"other": 1}})

    failure_note.write(nb, "it failed at https://me:secret@host/x")
    assert failure_note.read(nb) == "it failed at https://***@host/x"
    assert nb.metadata["stepkit"]["other"] == 1

    failure_note.write(nb, "")
    assert failure_note.read(nb) == ""
    assert nb.metadata["stepkit"] == {"other": 1}


def test_the_sentence_of_an_earlier_run_is_gone_after_the_next_one(tmp_path: Path) -> None:
    error = failed(write_notebook(tmp_path / "a.ipynb", "1/0"))
    executed = tmp_path / "out/executed.ipynb"
    nb = ipynb.read(executed)
    assert failure_note.read(nb) == str(error)
    nb.cells = nb.cells[-1:]
    nb.cells[0].source = "1"
    (tmp_path / "again").mkdir()
    ipynb.write(nb, tmp_path / "again/a.ipynb")

    run(tmp_path / "again/a.ipynb")

    saved = ipynb.read(tmp_path / "again/out/executed.ipynb")
    assert "stepkit" not in saved.metadata
