"""Links in docs/ lead somewhere, and docs/zh says what the English pages say, block by block."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import zip_longest
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import mistune
import pytest

from stepkit.cli.commands import COMMANDS

ROOT = Path(__file__).parents[1]
ENGLISH = {
    page: ROOT / page.name if page.name == "README.md" else ROOT / "docs" / page.name
    for page in sorted((ROOT / "docs/zh").glob("*.md"))
}
CHINESE = {english: page for page, english in ENGLISH.items()}
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")])

# What one language alone has: the line that leads to the other language, the glossary, and the
# table of reasons in tekton.md, which is generated in English and grouped in Chinese.
OF_ONE_LANGUAGE = re.compile(
    r"^\[(?:English|中文)\]\(\S+\)\n"
    r"|^<!-- only in Chinese -->\n.*?^<!-- end of what is only in Chinese -->\n"
    r"|(?:^\|[^\n]*\n)*^\| `bad-input`[^\n]*\n(?:^\|[^\n]*\n)*"
    r"|^<!--[^\n]*-->\n",
    flags=re.DOTALL | re.MULTILINE,
)
# Words that a table of images.md has, and that its text quotes as code.
WORDS = {"yes", "no"}
Link = tuple[Path | str, str]

each_translation = pytest.mark.parametrize("page", ENGLISH, ids=lambda page: page.stem)


@dataclass
class Block:
    """A heading, a paragraph, an item, a row or a block of code: what both languages share."""

    kind: str
    names: set[str] = field(default_factory=set)
    numbers: set[str] = field(default_factory=set)
    links: set[Link] = field(default_factory=set)
    text: str = field(default="", compare=False)


@cache
def blocks(page: Path) -> list[Block]:
    parse = mistune.create_markdown(renderer=None, plugins=["table"])
    tokens = parse(OF_ONE_LANGUAGE.sub("", page.read_text(encoding="utf-8")))
    assert isinstance(tokens, list)
    return list(_blocks(tokens, page))


def _blocks(tokens: list[dict[str, Any]], page: Path) -> Iterator[Block]:
    for token in tokens:
        kind, children = token["type"], token.get("children", [])
        if kind == "block_code":
            yield Block(f"code:\n{token['raw']}")
        elif kind in {"heading", "paragraph", "block_text", "table_head", "table_row"}:
            inside = list(_inline(children))
            size = token["attrs"]["level"] if kind == "heading" else len(children)
            text = "".join(text for what, text in inside if what != "url")
            yield Block(
                kind=kind if kind in {"paragraph", "block_text"} else f"{kind} {size}",
                names={name for what, name in inside if what == "codespan"} - WORDS,
                numbers=set(re.findall(r"\d+(?:[.,]\d+)*", text)),
                links={_target(url, page) for what, url in inside if what == "url"},
                text=text,
            )
        else:
            if kind == "list_item":
                yield Block("item")
            yield from _blocks(children, page)


def _inline(tokens: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    for token in tokens:
        if "raw" in token or token["type"] in {"softbreak", "table_cell"}:
            yield token["type"], token.get("raw", "\n")
        if "url" in token.get("attrs", {}):
            yield "url", token["attrs"]["url"]
        yield from _inline(token.get("children", []))


def _target(url: str, page: Path) -> Link:
    if url.startswith("https://"):
        return url, ""
    name, _, place = unquote(url).partition("#")
    return (page.parent / name).resolve() if name else page, place


@cache
def anchors(page: Path) -> list[str]:
    """The names that GitHub gives the headings of a page in links."""
    titles = [block.text for block in blocks(page) if block.kind.startswith("heading")]
    return [re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles]


def in_chinese(link: Link) -> Link:
    """Where a link of an English page leads in its translation."""
    page, place = link
    if not isinstance(page, Path) or page not in CHINESE:
        return link
    chinese = CHINESE[page]
    return chinese, anchors(chinese)[anchors(page).index(place)] if place else ""


@each_translation
def test_every_block_is_translated_with_its_names_numbers_commands_and_links(page: Path) -> None:
    for english, chinese in zip_longest(blocks(ENGLISH[page]), blocks(page)):
        assert english, f"only in Chinese: {chinese.text}"
        assert chinese, f"only in English: {english.text}"
        wanted = replace(english, links=set(map(in_chinese, english.links)))
        assert chinese == wanted, f"{english.text}\n{chinese.text}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    for path, place in {link for block in blocks(page) for link in block.links}:
        if isinstance(path, Path):
            assert path.is_file(), path  # the site lists no directory
            assert not place or place in anchors(path), (path, place)


@each_translation
def test_each_page_leads_to_the_other_language(page: Path) -> None:
    there, back = ("docs/zh", "../..") if page.name == "README.md" else ("zh", "..")

    assert f"\n[中文]({there}/{page.name})\n" in ENGLISH[page].read_text(encoding="utf-8")
    assert f"\n[English]({back}/{page.name})\n" in page.read_text(encoding="utf-8")


@each_translation
def test_chinese_has_blanks_before_and_after_latin_and_punctuation_of_its_own(page: Path) -> None:
    text = "\n".join(block.text for block in blocks(page))
    wrong = r"[\u4e00-\u9fff](?:[A-Za-z0-9]|[,;:?!()])|[A-Za-z0-9()][\u4e00-\u9fff]"

    assert re.findall(rf".{{0,9}}(?:{wrong}).{{0,9}}", text) == []


def test_the_chinese_readme_has_a_row_for_each_command() -> None:
    rows = re.findall(r"^\| `([\w-]+)` \|", (ROOT / "docs/zh/README.md").read_text(), re.MULTILINE)

    assert [row for row in rows if row in {*COMMANDS}] == [*COMMANDS]


def test_the_navigation_of_the_site_has_each_page_once() -> None:
    named = re.findall(r" (\S+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE)

    assert sorted(name for name in named if name.startswith("docs/")) == sorted(
        str(page.relative_to(ROOT)) for page in PAGES if "docs" in page.parts
    )
