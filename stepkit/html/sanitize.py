"""Rewrite untrusted HTML, in one pass, so that it cannot affect the page around it.

Browsers repair misnested elements by complex rules. Instead of repeating these rules, we write
markup that needs no repair: elements that a browser would close are closed, end tags of elements
that were not opened are left out, and anything that is not a plain tag becomes text. Elements that
change how a browser reads the text after them are left out, renamed or kept with all their content.
"""

from __future__ import annotations

import html
import re
from collections import Counter
from typing import TYPE_CHECKING, Final

from stepkit.html import css, not_loaded
from stepkit.html import element_groups as elements

if TYPE_CHECKING:
    from collections.abc import Collection

_MAX_DEPTH: Final = 250  # open elements; browsers stop nesting at 512

_SPACE: Final = r"[ \t\n\f\r]"
_ATTRIBUTES: Final = (
    rf"(?:[ \t\n\f\r/]*+[^ \t\n\f\r\"'<>/=`]++(?:{_SPACE}*+={_SPACE}*+"
    r"(?:\"[^\"]*+\"|'[^']*+'|[^ \t\n\f\r\"'=<>`]++))?+)*+(?P<tail>[ \t\n\f\r/]*+)"
)
_TAG: Final = re.compile(
    rf"<(?P<end>/?)(?P<name>[a-zA-Z][a-zA-Z0-9:._-]*+)(?=[ \t\n\f\r/>]){_ATTRIBUTES}>"
)
# A table row of plain text. Most tags in notebooks are of such rows, which need no repair.
_PLAIN: Final = r"(?:[ \n][a-z-]++=\"[^\"<>]*+\")*+"
_ROW: Final = re.compile(
    rf"<tr{_PLAIN}>(?:\s*+<(?:td{_PLAIN}>[^<]*+</td>|th{_PLAIN}>[^<]*+</th>))*+\s*+</tr>"
)
_IMAGE: Final = re.compile(r"<img(?=[\s/>])(?![^<>]*\salt\s*[=\s/>])", re.IGNORECASE)
_COMMENT_END: Final = re.compile(r"--!?>")
_DECLARATION: Final = re.compile(r"<[!?][^<>]*+>")
_CDATA: Final = "<![CDATA["


def sanitize(fragment: str, *, alt: str, trusted: bool) -> str:
    """Return the fragment so that it opens and closes its own elements only.

    Images without a description get ``alt``. Without ``trusted``, elements that act without a
    script are removed, and style rules that could apply to the rest of the page are replaced by a
    note.
    """
    if "<" not in fragment:
        return fragment
    may_write_images = trusted and "<script" in fragment
    if not may_write_images and ("<img" in fragment or "<IMG" in fragment):
        fragment = _IMAGE.sub(lambda _: f'<img alt="{html.escape(alt)}"', fragment)
    return _Writer(fragment, alt=alt, trusted=trusted).write()


class _Writer:
    """Rewrites a fragment from one ``<`` to the next, with a stack of the open elements."""

    def __init__(self, text: str, *, alt: str, trusted: bool) -> None:
        self._text = text
        self._alt = alt
        self._trusted = trusted
        self._out: list[str] = []
        self._open: list[tuple[str, str]] = []  # name and namespace
        self._count: Counter[str] = Counter()
        self._absent: set[str] = set()  # end tags that the rest of the text does not contain
        self._rules_left_out = False
        self._ids: set[str] | None = None
        self._player: int | None = None  # where the last player begins, if it has no note yet

    def write(self) -> str:
        at = 0
        while (start := self._text.find("<", at)) >= 0:
            self._out.append(self._text[at:start])
            at = self._write_markup(start)
        self._out.append(self._text[at:])
        self._close_to(0)
        if self._rules_left_out:
            self._out.append(css.NOTE)
        return "".join(self._out)

    def _write_markup(self, start: int) -> int:
        """Write the markup that begins at ``start``, and return where it ends."""
        top = self._open[-1] if self._open else ("", elements.HTML)
        if (
            top[0] in elements.ROW_PARENTS
            and top[1] == elements.HTML
            and (row := _ROW.match(self._text, start))
        ):
            self._out.append(row[0])
            return row.end()
        if tag := _TAG.match(self._text, start):
            return self._write_end_tag(tag) if tag["end"] else self._write_start_tag(tag)
        if self._text.startswith("<!--", start):
            if end := self._search(_COMMENT_END, "-->", start + 2):
                return end.end()
        elif self._text.startswith(_CDATA, start) and self._namespace() != elements.HTML:
            return self._write_cdata(start)
        elif declaration := _DECLARATION.match(self._text, start):
            return declaration.end()
        self._out.append("&lt;")
        return start + 1

    def _write_cdata(self, start: int) -> int:
        """Write a CDATA section of SVG or MathML as text."""
        start += len(_CDATA)
        end = self._text.find("]]>", start)
        end = len(self._text) if end < 0 else end
        self._out.append(html.escape(self._text[start:end]))
        return min(end + len("]]>"), len(self._text))

    def _search(self, pattern: re.Pattern[str], name: str, start: int) -> re.Match[str] | None:
        """Search for an end tag; a failed search is not repeated, so that time stays linear."""
        found = None if name in self._absent else pattern.search(self._text, start)
        if not found:
            self._absent.add(name)
        return found

    def _namespace(self) -> str:
        """Return the namespace of the next element: HTML, SVG or MathML."""
        if not self._open:
            return elements.HTML
        name, space = self._open[-1]
        return elements.HTML if name in elements.INTEGRATION_POINTS.get(space, ()) else space

    def _write_as_text(self, tag: re.Match[str]) -> int:
        self._out.append(html.escape(tag[0], quote=False))
        return tag.end()

    def _write_start_tag(self, tag: re.Match[str]) -> int:
        name, space = tag["name"].lower(), self._namespace()
        if name in elements.NOT_SUPPORTED and space == elements.HTML:
            return self._write_as_text(tag)
        if space != elements.HTML and name in elements.BREAKOUT:
            while self._namespace() != elements.HTML:
                self._close_to(len(self._open) - 1)
            space = elements.HTML
        if name in elements.PAGE or (name in elements.ACTING and not self._trusted):
            return tag.end()
        if space != elements.HTML:
            return self._write_foreign_start_tag(tag, name, space)
        if name in elements.RAW_TEXT:
            return self._write_raw_text(tag, name, space)
        strayed = name in elements.TABLE_PARTS and not self._count["table"]
        if strayed or self._is_replaced_by_note(tag[0], name):
            return tag.end()
        self._close_implied(name)
        own = name if name in elements.INTEGRATION_POINTS else elements.HTML
        self._open_element(tag, name, own, alone=name in elements.VOID)
        return tag.end()

    def _is_replaced_by_note(self, tag: str, name: str) -> bool:
        """Write a note if ``tag`` would load something, and return whether that is all to write.

        A player gets one note, which goes before it: what is in a player is not shown.
        """
        in_link = self._count["a"] > 0
        if name == "img":
            note = not_loaded.note_image(tag, default_alt=self._alt, in_link=in_link)
        elif name in not_loaded.OBJECTS:
            note = not_loaded.note_object(tag, name, in_link=in_link)
        else:
            return False
        if name == "source":
            if note and self._player is not None and self._count["video"] + self._count["audio"]:
                self._out[self._player] = note + self._out[self._player]
                self._player = None
            return False
        self._out.append(note)
        if name in {"video", "audio"}:
            self._player = None if note else len(self._out)
        return bool(note) and name in {"img", "embed"}

    def _write_foreign_start_tag(self, tag: re.Match[str], name: str, space: str) -> int:
        if name in elements.NOT_FOREIGN or f"{space}:{name}" in elements.NOT_FOREIGN:
            return self._write_as_text(tag)
        if name in {"script", "style"} and not tag["tail"].endswith("/"):
            return self._write_raw_text(tag, name, space)
        self._open_element(tag, name, space, alone=False)
        return tag.end()

    def _open_element(self, tag: re.Match[str], name: str, space: str, *, alone: bool) -> None:
        alone = alone or (space != elements.HTML and tag["tail"].endswith("/"))
        if not alone and len(self._open) >= _MAX_DEPTH:
            self._write_as_text(tag)
            return
        renamed = elements.RENAMED.get(name)
        self._out.append(f"<{renamed}>" if renamed else tag[0])
        if not alone:
            self._open.append((renamed or name, space))
            self._count[renamed or name] += 1

    def _write_raw_text(self, tag: re.Match[str], name: str, space: str) -> int:
        """Write an element whose content is not markup; one without an end tag is shown as text."""
        pattern = re.compile(rf"</{name}(?=[ \t\n\f\r/>])[^>]*+>", re.IGNORECASE)
        end = self._search(pattern, name, tag.end())
        if not end:
            return self._write_as_text(tag)
        content = self._text[tag.end() : end.start()]
        if name == "style":
            content = self._filter_style(content)
        if name == "xmp":
            self._out.append(html.escape(content))
        elif name == "iframe":
            in_link = self._count["a"] > 0
            self._out.append(not_loaded.show_frame(tag[0], trusted=self._trusted, in_link=in_link))
        elif name in {"script", "style", "textarea"}:
            if space != elements.HTML:
                content = content.replace("<", "&lt;")
            content = content.replace("<!--", r"<\!--")
            self._out.append(f"{tag[0]}{content}</{name}>")
        return end.end()

    def _filter_style(self, content: str) -> str:
        if self._trusted:
            return content
        if self._ids is None:
            self._ids = css.find_ids(self._text)
        kept, complete = css.keep_safe_rules(content, self._ids)
        self._rules_left_out = self._rules_left_out or not complete
        return kept

    def _close_implied(self, name: str) -> None:
        """Close the elements that a browser would close before ``name``."""
        if name in elements.TABLE_PARTS:
            self._close_to(self._level_of_table_part(name))
        elif name == "table":
            self._close_nearest({"table"}, {"td", "th", "caption"}, through=True)
        elif name in elements.HEADINGS and self._open and self._open[-1][0] in elements.HEADINGS:
            self._close_to(len(self._open) - 1)
        if name in elements.IMPLIED_ENDS:
            self._close_nearest(*elements.IMPLIED_ENDS[name])
        if name in elements.CLOSE_P or name in elements.RENAMED:
            self._close_nearest({"p"}, elements.SCOPE | {"button"})

    def _level_of_table_part(self, name: str) -> int:
        """Return how many elements stay open when a part of the nearest table begins."""
        names = [one for one, _ in self._open]
        level = len(names) - names[::-1].index("table")
        inside = [*names[level:], ""]
        if name == "col":
            return level + (inside[0] == "colgroup")
        if name == "tr" or name in elements.TABLE_CELLS:
            in_section = inside[0] in elements.TABLE_SECTIONS
            in_row = name in elements.TABLE_CELLS and inside[in_section] == "tr"
            return level + in_section + in_row
        return level

    def _close_nearest(
        self, names: Collection[str], bounds: Collection[str], *, through: bool = False
    ) -> None:
        """Close the nearest of ``names`` that no element of ``bounds`` encloses.

        SVG and MathML end the search, too, except with ``through``.
        """
        if not any(self._count[name] for name in names):
            return
        for level in range(len(self._open) - 1, -1, -1):
            name, space = self._open[level]
            if name in names and space == elements.HTML:
                self._close_to(level)
                return
            if name in bounds or (space != elements.HTML and not through):
                return

    def _write_end_tag(self, tag: re.Match[str]) -> int:
        name = tag["name"].lower()
        name = elements.RENAMED.get(name, name)
        bounds = {"table"} if name in elements.TABLE_PARTS or name == "table" else elements.SCOPE
        if not self._count[name]:
            return tag.end()
        for level in range(len(self._open) - 1, -1, -1):
            one, space = self._open[level]
            if one == name:
                self._close_to(level)
                break
            if one in bounds or (
                bounds is elements.SCOPE and one in elements.INTEGRATION_POINTS.get(space, ())
            ):
                break
        return tag.end()

    def _close_to(self, level: int) -> None:
        while len(self._open) > level:
            name, _ = self._open.pop()
            self._count[name] -= 1
            self._out.append(f"</{name}>")
