"""What a reader sees of Markdown, as CommonMark with GitHub's tables renders it."""

from __future__ import annotations

from html.parser import HTMLParser

from markdown_it import MarkdownIt

OURS = {"details", "summary"}  # the HTML that a summary itself writes
_MADE = {"a", "blockquote", "br", "code", "del", "em", "h1", "h2", "h3", "li", "ol", "p", "pre",
         "strong", "table", "tbody", "td", "th", "thead", "tr", "ul"}  # fmt: skip


class Rendered(HTMLParser):
    """The page: its ``text`` and that outside of code, ``links`` by text, ``foreign`` elements."""

    def __init__(self, markdown: str) -> None:
        super().__init__()
        self.text = self.prose = ""
        self.links: dict[str, str] = {}
        self.foreign: list[str] = []
        self.cells: list[int] = []  # of each row of a table
        self._link: tuple[str, str] | None = None
        self._in_code = False
        self.feed(MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(markdown))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in OURS | _MADE or any(name.startswith("on") for name, _ in attrs):
            self.foreign.append(tag)
        if tag == "code":
            self._in_code = True
            self.prose += " "
        if tag == "tr":
            self.cells.append(0)
        if tag in {"td", "th"}:
            self.cells[-1] += 1
        if tag == "a":
            self._link = (dict(attrs).get("href") or "", self.text)

    def handle_endtag(self, tag: str) -> None:
        self._in_code &= tag != "code"
        if tag == "a" and self._link:
            url, before = self._link
            self.links[self.text[len(before) :]] = url
            self._link = None

    def handle_data(self, data: str) -> None:
        self.text += data
        if not self._in_code:
            self.prose += data
