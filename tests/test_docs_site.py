"""The site that `make docs` builds: each page reads as on GitHub, and a broken link is refused."""

import os
import shutil
import subprocess
import sys
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import commands
import mistune
import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
BLOCKS = {"h2", "h3", "img", "li", "ol", "pre", "table", "td", "ul"}
render = mistune.create_markdown(escape=False, plugins=["table"])


class Blocks(HTMLParser):
    """Counts lists, tables, code and headings: in an article, or in all of a text without one."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.inside = "<article" not in text
        self.count: Counter[str] = Counter()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: object) -> None:  # noqa: ARG002
        self.inside |= tag == "article"
        if self.inside and tag in BLOCKS:
            self.count[tag] += 1

    def handle_endtag(self, tag: str) -> None:
        self.inside &= tag != "article"


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy what git has of the tree, into a repository."""
    copy = tmp_path_factory.mktemp("tree")
    listed = commands.run("git", "ls-files", "-z", "--", ":!tests", cwd=ROOT).stdout
    for name in listed.split("\0")[:-1]:
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, copy / name)
    commands.run("git", "init", "--quiet", cwd=copy)
    return copy


def make_docs(tree: Path) -> subprocess.CompletedProcess[str]:
    """Build the site with this environment, which is not made anew."""
    environment = Path(sys.executable).parents[1]
    ready = f"--old-file={environment}/.ready"
    return commands.run("make", "docs", f"VENV={environment}", ready, cwd=tree, env=os.environ)


def test_each_page_has_the_same_lists_tables_and_code_as_on_github(tree: Path) -> None:
    done = make_docs(tree)

    assert done.returncode == 0, done.stdout + done.stderr
    site = tree / "dist/docs"
    assert 'lang="en"' in (site / "docs/gpu.html").read_text()
    assert 'lang="zh"' in (site / "docs/zh/gpu.html").read_text()
    pages = [*tree.glob("*.md"), *tree.glob("docs/**/*.md"), *tree.glob("examples/**/*.md")]
    for page in pages:
        place = site / page.relative_to(tree).with_suffix(".html")
        built = place.with_name("index.html") if page.name == "README.md" else place
        shown = render(page.read_text(encoding="utf-8"))
        assert isinstance(shown, str)
        assert Blocks(built.read_text(encoding="utf-8")).count == Blocks(shown).count, page


def test_a_link_to_a_page_that_does_not_exist_is_refused_with_its_place(tree: Path) -> None:
    page = tree / "docs/show.md"
    page.write_text(f"[x](nowhere.md) [y](rules.md#nowhere)\n\n{page.read_text()}")

    done = make_docs(tree)

    assert done.returncode == 2
    lines = done.stdout.splitlines()
    assert lines[lines.index("    docs/show.md:1:5") - 1] == "page does not exist"
    assert lines[lines.index("    docs/show.md:1:30") - 1] == "anchor does not exist"
