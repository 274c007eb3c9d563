import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import commands
import nbformat
import pytest
from bs4 import BeautifulSoup

from stepkit.cli import main as cli
from stepkit.errors import ConfigurationError, UserCodeError
from stepkit.steps import convert_notebook
from stepkit.steps.convert_notebook import Options


@pytest.fixture
def notebook(tmp_path: Path) -> Path:
    output = nbformat.v4.new_output("stream", text="42 cells kept")
    cell = nbformat.v4.new_code_cell("print(count)", outputs=[output], execution_count=1)
    path = tmp_path / "executed.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), path)
    return path


@contextmanager
def edited(notebook: Path) -> Iterator[Any]:
    """Yield the content of a notebook, and write it back."""
    nb = nbformat.read(notebook, as_version=4)
    yield nb
    nbformat.write(nb, notebook)


def convert(notebook: Path, **more: Any) -> str:
    """Convert a notebook to page.html beside it; return the page."""
    page = notebook.with_name("page.html")
    convert_notebook.run(Options(notebook=notebook, page=page, **more))
    return page.read_text()


def test_the_page_has_source_and_output_and_a_log_is_written(
    notebook: Path, tmp_path: Path
) -> None:
    page = tmp_path / "pages/executed.html"

    outputs = convert_notebook.run(Options(notebook=notebook, page=page))

    assert outputs.page == page
    assert outputs.size == page.stat().st_size
    assert "42 cells kept" in page.read_text()
    assert ">count<" in page.read_text()
    assert f"wrote {page}" in (tmp_path / "pages/jupyter_nbconvert.log").read_text()


def test_a_plot_without_alternative_text_causes_no_warning(notebook: Path, tmp_path: Path) -> None:
    image = nbformat.v4.new_output("display_data", data={"image/png": "iVBORw0KGgo="})
    with edited(notebook) as nb:
        nb.cells[0].outputs.append(image)

    assert "data:image/png;base64,iVBORw0KGgo=" in convert(notebook)
    assert "WARNING" not in (tmp_path / "jupyter_nbconvert.log").read_text()


def test_the_source_can_be_left_out(notebook: Path) -> None:
    page = convert(notebook, hide_input=True)

    assert "42 cells kept" in page
    assert ">count<" not in page


def test_code_that_report_mode_hid_stays_hidden(notebook: Path) -> None:
    with edited(notebook) as nb:
        nb.cells[0].metadata["jupyter"] = {"source_hidden": True}

    page = convert(notebook)

    assert "42 cells kept" in page
    assert ">count<" not in page


def test_a_failed_notebook_is_converted(notebook: Path) -> None:
    error = nbformat.v4.new_output("error", ename="KeyError", evalue="'pca'", traceback=["boom"])
    with edited(notebook) as nb:
        nb.cells.append(nbformat.v4.new_code_cell("fail()", outputs=[error]))
        nb.cells.append(nbformat.v4.new_code_cell("never()"))

    page = convert(notebook)

    assert "boom" in page
    assert ">never<" in page


@pytest.mark.parametrize("content", [None, "", "not json"])
def test_the_error_names_a_notebook_that_cannot_be_read(
    tmp_path: Path, content: str | None
) -> None:
    notebook = tmp_path / "broken.ipynb"
    if content is not None:
        notebook.write_text(content)

    with pytest.raises(ConfigurationError, match=r"broken\.ipynb"):
        convert(notebook)

    assert not (tmp_path / "page.html").exists()


def test_a_failure_keeps_the_older_page(notebook: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("older")

    with pytest.raises(ConfigurationError, match="no template 'labb': it has basic, classic, lab"):
        convert(notebook, template="labb")

    assert page.read_text() == "older"


def test_a_directory_as_page_is_refused(notebook: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="is a directory: name the page"):
        convert_notebook.run(Options(notebook=notebook, page=tmp_path))


def test_images_are_read_from_the_given_directory(notebook: Path, tmp_path: Path) -> None:
    with edited(notebook) as nb:
        nb.cells.append(nbformat.v4.new_markdown_cell("![a plot](plot.png)"))
    source = tmp_path / "source"
    source.mkdir()
    (source / "plot.png").write_bytes(b"plot")

    assert '<a href="plot.png">' in convert(notebook)
    assert 'src="data:image/png;base64,cGxvdA=="' in convert(notebook, images=source)


def test_scripts_run_only_if_they_are_trusted(notebook: Path) -> None:
    assert "script-src" not in convert(notebook)
    assert "script-src 'unsafe-inline'" in convert(notebook, trust_scripts=True)


def test_a_notebook_that_cannot_be_rendered_keeps_the_older_page(
    notebook: Path, tmp_path: Path
) -> None:
    page = tmp_path / "page.html"
    page.write_text("older")
    document = json.loads(notebook.read_text())
    document["cells"][0]["outputs"] = [{"output_type": "display_data", "metadata": {}}]
    notebook.write_text(json.dumps(document))

    with pytest.raises(UserCodeError, match="cannot render executed: the notebook is not valid"):
        convert(notebook)

    assert page.read_text() == "older"
    kept = {path.name for path in tmp_path.iterdir()}
    assert kept == {"executed.ipynb", "jupyter_nbconvert.log", "page.html"}


def test_the_error_names_a_missing_directory_of_images(notebook: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"there is no directory of images .*missing"):
        convert(notebook, images=tmp_path / "missing")

    assert not (tmp_path / "page.html").exists()


@pytest.mark.parametrize("template", ["lab", "classic", "basic"])
def test_a_cell_of_an_unknown_type_is_shown_as_text(notebook: Path, template: str) -> None:
    document = json.loads(notebook.read_text())
    cell = {"cell_type": "<future>", "metadata": {}, "source": "a $x$ <b>\n\nend", "id": "f"}
    document["cells"].insert(0, cell)
    document["nbformat_minor"] = 99
    notebook.write_text(json.dumps(document))

    found = BeautifulSoup(convert(notebook, template=template), "html.parser")

    note = found.select(".stepkit-note")[0]
    assert note.get_text() == "A cell of the unknown type <future>: this is its text."
    following = note.find_next("pre")
    assert following is not None
    assert following.get_text() == "a $x$ <b>\n\nend"
    assert "42 cells kept" in found.get_text()


@pytest.mark.parametrize(
    ("words", "page"),
    [
        ([], "executed.html"),
        (["--to", "html"], "executed.html"),
        (["--to=HTML", "--no-input"], "executed.html"),
        (["--output", "page"], "page.html"),
        (["--output", "page.html"], "page.html"),
        (["--output={notebook_name}-of-today"], "executed-of-today.html"),
        (["--output-dir", "site"], "site/executed.html"),
        (["--output-dir=site", "--output=page"], "site/page.html"),
        (["--output=sub/page"], "sub/page.html"),
    ],
)
def test_the_page_is_named_as_nbconvert_names_it(
    notebook: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], page: str
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    beside = elsewhere if "site" in page else tmp_path  # nbconvert's --output-dir is the user's

    assert cli.main(["convert-notebook", *words, str(notebook)]) == 0

    assert "42 cells kept" in (beside / page).read_text()
    assert [found.name for found in tmp_path.rglob("*.html")] == [Path(page).name]


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        ["--output", "page"],
        ["--output", "page.html"],
        ["--output={notebook_name}-of-today"],
        ["--output-dir=site"],
        ["--output-dir=site", "--output=page"],
        [],
    ],
)
def test_nbconvert_names_the_page_like_this(
    notebook: Path, tmp_path: Path, words: list[str]
) -> None:
    def pages() -> set[Path]:
        return {path.relative_to(tmp_path) for path in tmp_path.rglob("*.html")}

    command = ["-m", "nbconvert", "--to", "html", str(notebook), *words]
    done = commands.python(*command, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (theirs,) = pages()
    (tmp_path / theirs).unlink()

    done = commands.stepkit("convert-notebook", *command[2:], cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    assert pages() == {theirs}


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (
            {"to": "pdf"},
            "--to 'pdf': convert-notebook makes HTML alone; jupyter nbconvert makes other formats",
        ),
        (
            {"to": "notebook"},
            "HTML alone; execute-notebook writes notebooks, and jupyter nbconvert",
        ),
        (
            {"page": Path("a.html"), "output": "b"},
            "--page a.html and --output or --output-dir, which name ",
        ),
        ({"page": Path("a.html"), "output_dir": Path("d")}, "which name d/executed.html: choose"),
    ],
)
def test_what_is_not_made_is_refused(
    notebook: Path, tmp_path: Path, more: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        convert_notebook.run(Options(notebook=notebook, **more))

    assert message in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["executed.ipynb"]


def test_a_page_over_another_file_of_the_command_is_refused(
    notebook: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = notebook.with_suffix(".html")

    assert cli.main(["convert-notebook", str(notebook), f"--log={log}"]) == 2

    assert f"--log and --page name the same file {log}" in capsys.readouterr().err
    assert not log.exists()


def test_an_address_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "a.html"

    assert cli.main(["convert-notebook", "s3://books/a.ipynb", f"--page={page}"]) == 2

    assert "error: s3://books/a.ipynb is not a file: download it first" in capsys.readouterr().err
    assert not page.exists()
