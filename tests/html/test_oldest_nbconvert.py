"""Pages made by the oldest nbconvert that is allowed, which RAPIDS images from 25.04 on have.

Before 7.17.1, nbconvert embeds images from anywhere on the machine when it is asked to embed, and
writes attachments to the paths that a notebook names. stepkit asks for neither: it embeds images
itself (html/images.py) and writes one file.
"""

import json
import os
import re
from pathlib import Path
from typing import Any

import commands
import locked_wheels
import pytest
from pages import PNG

ROOT = Path(__file__).parents[2]
LOCK = Path(__file__).with_name("oldest_nbconvert.txt")

NOTEBOOK = """
import base64, json, os, sys
from pathlib import Path
import nbformat, nbconvert as theirs
from nbconvert import HTMLExporter, MarkdownExporter
from nbformat.v4 import new_markdown_cell, new_notebook
from stepkit.html import nbconvert

def ours(nb):
    return "".join(nbconvert.render(nb, name="x", directory=Path("inside")))
"""


@pytest.fixture
def oldest() -> dict[str, str]:
    """Return the environment of a process that has the oldest nbconvert before any other."""
    venv = locked_wheels.environment(LOCK)
    [packages] = venv.glob("lib/python3.*/site-packages")
    path = os.pathsep.join([str(packages), str(ROOT), str(ROOT / "tests")])
    return {**os.environ, "PYTHONPATH": path, "JUPYTER_PATH": str(venv / "share/jupyter")}


def run(code: str, directory: Path, env: dict[str, str]) -> Any:
    """Run code in ``directory`` and return what it printed as JSON."""
    done = commands.python("-c", NOTEBOOK + code, cwd=directory, env=env)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_oldest_nbconvert_that_is_allowed_is_the_one_that_is_tested() -> None:
    allowed = re.search(r'"nbconvert>=([0-9.]+)"', (ROOT / "pyproject.toml").read_text())

    assert allowed
    assert f"\nnbconvert=={allowed[1]} " in LOCK.read_text()


@pytest.mark.slow
def test_every_test_of_pages_passes_with_the_oldest_nbconvert(
    tmp_path: Path, oldest: dict[str, str]
) -> None:
    tests = ["tests/html", "tests/steps/test_convert_notebook.py"]
    options = ["-q", "-p", "no:cacheprovider", "-m", "not slow", f"--basetemp={tmp_path / 'b'}"]

    done = commands.python("-m", "pytest", *options, *tests, cwd=ROOT, env=oldest)

    assert done.returncode == 0, done.stdout[-3000:]
    assert re.search(r"^[1-9]\d\d passed", done.stdout, re.MULTILINE), done.stdout[-300:]


@pytest.mark.slow
def test_a_file_outside_is_embedded_by_the_oldest_nbconvert_and_not_on_our_page(
    tmp_path: Path, oldest: dict[str, str]
) -> None:
    (tmp_path / "inside").mkdir()
    (tmp_path / "secret.png").write_bytes(b"outside")
    code = """
nb = new_notebook(cells=[new_markdown_cell("![](../secret.png)")])
place = {"metadata": {"path": "inside"}}
page, _ = HTMLExporter(embed_images=True).from_notebook_node(nb, resources=place)
secret = base64.b64encode(b"outside").decode()
print(json.dumps([theirs.__version__, secret in page, secret in ours(nb)]))
"""
    version = re.search("nbconvert==([0-9.]+)", LOCK.read_text())

    assert version
    assert run(code, tmp_path, oldest) == [version[1], True, False]


@pytest.mark.slow
def test_a_path_of_an_attachment_is_kept_by_the_oldest_nbconvert_and_not_used_by_us(
    tmp_path: Path, oldest: dict[str, str]
) -> None:
    code = f"""
cell = new_markdown_cell("![](attachment:../../x.png)",
                         attachments={{"../../x.png": {{"image/png": "{PNG}"}}}})
nb = new_notebook(cells=[cell])
_, resources = MarkdownExporter().from_notebook_node(nb)
print(json.dumps([sorted(resources["outputs"]), "data:image/png;base64,{PNG}" in ours(nb)]))
"""
    assert run(code, tmp_path, oldest) == [["../../x.png"], True]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_home_that_the_user_may_not_enter_is_no_error_with_the_oldest_nbconvert(
    tmp_path: Path, oldest: dict[str, str]
) -> None:
    closed = tmp_path / "home"
    closed.mkdir(mode=0)
    # What is imported before stays usable for the other user.
    code = f"""
nb = new_notebook(cells=[new_markdown_cell("# Title")])
first = ours(nb)
os.environ["HOME"] = {str(closed)!r}
if os.geteuid() == 0:
    os.setresuid(65534, 65534, 65534)
print(json.dumps([not os.access(os.environ["HOME"], os.X_OK), ours(nb) == first]))
"""
    env = {name: value for name, value in oldest.items() if name != "JUPYTER_PATH"}
    assert run(code, tmp_path, env) == [True, True]
