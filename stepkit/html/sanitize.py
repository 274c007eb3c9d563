"""Foreign HTML written anew so that nothing in it reaches beyond it, in one pass.

A browser mends what is misnested by rules that are a book. Instead of following them we write
markup that needs no mending: what it would close by itself is closed, what was never opened is not
closed, and what is no plain tag becomes text. Elements after which a browser reads by other rules
are left out, renamed or kept with their whole content.
"""

from __future__ import annotations

import html
import re
from collections import Counter
from typing import TYPE_CHECKING, Final

from stepkit.html import allowed_elements, css

if TYPE_CHECKING:
    from collections.abc import Collection

_DEEPEST: Final = 250  # open elements; browsers stop nesting at 512

_SPACE: Final = r"[ \t\n\f\r]"
_ATTRIBUTES: Final = (
    rf"(?:[ \t\n\f\r/]*+[^ \t\n\f\r\"'<>/=`]++(?:{_SPACE}*+={_SPACE}*+"
    r"(?:\"[^\"]*+\"|'[^']*+'|[^ \t\n\f\r\"'=<>`]++))?+)*+(?P<tail>[ \t\n\f\r/]*+)"
)
_TAG: Final = re.compile(
    rf"<(?P<end>/?)(?P<name>[a-zA-Z][a-zA-Z0-9:._-]*+)(?=[ \t\n\f\r/>]){_ATTRIBUTES}>"
)
# A row of text cells, which is what most tags of a notebook are: nothing in it to mend.
_PLAIN: Final = r"(?:[ \n][a-z-]++=\"[^\"<>]*+\")*+"
_ROW: Final = re.compile(
    rf"<tr{_PLAIN}>(?:\s*+<(?:td{_PLAIN}>[^<]*+</td>|th{_PLAIN}>[^<]*+</th>))*+\s*+</tr>"
)
_COMMENT_END: Final = re.compile(r"--!?>")
_DECLARATION: Final = re.compile(r"<[!?][^<>]*+>")
_CDATA: Final = "<![CDATA["


def closed(fragment: str, *, trusted: bool) -> str:
    """Return the fragment with every element closed and no end of one that it did not open.

    Without ``trusted``, style rules that reach beyond it are left out, with a note.
    """
    if "<" not in fragment:
        return fragment
    return _Writer(fragment, trusted=trusted).written()


class _Writer:
    """Reads a fragment from ``<`` to ``<``, and keeps what is open: names and their namespaces."""

    def __init__(self, text: str, *, trusted: bool) -> None:
        self._text = text
        self._trusted = trusted
        self._out: list[str] = []
        self._open: list[tuple[str, str]] = []
        self._count: Counter[str] = Counter()
        self._absent: set[str] = set()  # ends that are not in the rest of the text
        self._left_out = False
        self._ids: set[str] | None = None

    def written(self) -> str:
        at = 0
        while (start := self._text.find("<", at)) >= 0:
            self._out.append(self._text[at:start])
            at = self._markup(start)
        self._out.append(self._text[at:])
        self._close_to(0)
        if self._left_out:
            self._out.append(css.NOTE)
        return "".join(self._out)

    def _markup(self, start: int) -> int:
        """Write what begins with a ``<``, and return where it ends."""
        top = self._open[-1] if self._open else ("", allowed_elements.HTML)
        if (
            top[0] in allowed_elements.ROWS_IN
            and top[1] == allowed_elements.HTML
            and (row := _ROW.match(self._text, start))
        ):
            self._out.append(row[0])
            return row.end()
        if tag := _TAG.match(self._text, start):
            return self._end(tag) if tag["end"] else self._start(tag)
        if self._text.startswith("<!--", start):
            if end := self._found(_COMMENT_END, "-->", start + 2):
                return end.end()
        elif self._text.startswith(_CDATA, start) and self._space() != allowed_elements.HTML:
            return self._characters(start)
        elif declaration := _DECLARATION.match(self._text, start):
            return declaration.end()
        self._out.append("&lt;")
        return start + 1

    def _characters(self, start: int) -> int:
        """Write a drawing's CDATA as the text that it is."""
        start += len(_CDATA)
        end = self._text.find("]]>", start)
        end = len(self._text) if end < 0 else end
        self._out.append(html.escape(self._text[start:end]))
        return min(end + len("]]>"), len(self._text))

    def _found(self, pattern: re.Pattern[str], name: str, start: int) -> re.Match[str] | None:
        """Search, once in vain for each name: a fragment may ask a hundred thousand times."""
        found = None if name in self._absent else pattern.search(self._text, start)
        if not found:
            self._absent.add(name)
        return found

    def _space(self) -> str:
        """Return whose rules hold here: HTML's, a drawing's or a formula's."""
        if not self._open:
            return allowed_elements.HTML
        name, space = self._open[-1]
        return (
            allowed_elements.HTML if name in allowed_elements.INTEGRATING.get(space, ()) else space
        )

    def _source(self, tag: re.Match[str]) -> int:
        self._out.append(html.escape(tag[0], quote=False))
        return tag.end()

    def _start(self, tag: re.Match[str]) -> int:
        name, space = tag["name"].lower(), self._space()
        if name in allowed_elements.NEVER and space == allowed_elements.HTML:
            return self._source(tag)
        if space != allowed_elements.HTML and name in allowed_elements.BREAKOUT:
            while self._space() != allowed_elements.HTML:
                self._close_to(len(self._open) - 1)
            space = allowed_elements.HTML
        if name in allowed_elements.OF_PAGE or (
            name in allowed_elements.ACTING and not self._trusted
        ):
            return tag.end()
        if space != allowed_elements.HTML:
            return self._drawn(tag, name, space)
        if name in allowed_elements.RAW:
            return self._raw(tag, name, space)
        if name in allowed_elements.PARTS and not self._count["table"]:
            return tag.end()
        self._end_implied(name)
        own = name if name in allowed_elements.INTEGRATING else allowed_elements.HTML
        self._write(tag, name, own, alone=name in allowed_elements.VOID)
        return tag.end()

    def _drawn(self, tag: re.Match[str], name: str, space: str) -> int:
        if name in allowed_elements.NOT_DRAWN or f"{space}:{name}" in allowed_elements.NOT_DRAWN:
            return self._source(tag)
        if name in {"script", "style"} and not tag["tail"].endswith("/"):
            return self._raw(tag, name, space)
        self._write(tag, name, space, alone=False)
        return tag.end()

    def _write(self, tag: re.Match[str], name: str, space: str, *, alone: bool) -> None:
        alone = alone or (space != allowed_elements.HTML and tag["tail"].endswith("/"))
        if not alone and len(self._open) >= _DEEPEST:
            self._source(tag)
            return
        renamed = allowed_elements.RENAMED.get(name)
        self._out.append(f"<{renamed}>" if renamed else tag[0])
        if not alone:
            self._open.append((renamed or name, space))
            self._count[renamed or name] += 1

    def _raw(self, tag: re.Match[str], name: str, space: str) -> int:
        """Write an element whose content is no markup; one without an end is shown as text."""
        pattern = re.compile(rf"</{name}(?=[ \t\n\f\r/>])[^>]*+>", re.IGNORECASE)
        end = self._found(pattern, name, tag.end())
        if not end:
            return self._source(tag)
        content = self._text[tag.end() : end.start()]
        if name == "style":
            content = self._style(content)
        if name == "xmp":
            self._out.append(html.escape(content))
        elif name in {"script", "style", "iframe", "textarea"}:
            if space != allowed_elements.HTML:
                content = content.replace("<", "&lt;")
            content = "" if name == "iframe" else content.replace("<!--", r"<\!--")
            self._out.append(f"{tag[0]}{content}</{name}>")
        return end.end()

    def _style(self, content: str) -> str:
        if self._trusted:
            return content
        if self._ids is None:
            self._ids = css.ids(self._text)
        kept, whole = css.kept(content, self._ids)
        self._left_out = self._left_out or not whole
        return kept

    def _end_implied(self, name: str) -> None:
        """Close what a browser would close before ``name``."""
        if name in allowed_elements.PARTS:
            self._close_to(self._level_of_part(name))
        elif name == "table":
            self._end_nearest({"table"}, {"td", "th", "caption"}, through=True)
        elif (
            name in allowed_elements.HEADINGS
            and self._open
            and self._open[-1][0] in allowed_elements.HEADINGS
        ):
            self._close_to(len(self._open) - 1)
        if name in allowed_elements.ENDS:
            self._end_nearest(*allowed_elements.ENDS[name])
        if name in allowed_elements.CLOSE_P or name in allowed_elements.RENAMED:
            self._end_nearest({"p"}, allowed_elements.BOUNDS | {"button"})

    def _level_of_part(self, name: str) -> int:
        """Return how many elements stay open when a part of the nearest table begins."""
        names = [one for one, _ in self._open]
        level = len(names) - names[::-1].index("table")
        inside = [*names[level:], ""]
        if name == "col":
            return level + (inside[0] == "colgroup")
        if name == "tr" or name in allowed_elements.CELLS:
            in_section = inside[0] in allowed_elements.SECTIONS
            in_row = name in allowed_elements.CELLS and inside[in_section] == "tr"
            return level + in_section + in_row
        return level

    def _end_nearest(
        self, names: Collection[str], bounds: Collection[str], *, through: bool = False
    ) -> None:
        if not any(self._count[name] for name in names):
            return
        for level in range(len(self._open) - 1, -1, -1):
            name, space = self._open[level]
            if name in names and space == allowed_elements.HTML:
                self._close_to(level)
                return
            if name in bounds or (space != allowed_elements.HTML and not through):
                return

    def _end(self, tag: re.Match[str]) -> int:
        name = tag["name"].lower()
        name = allowed_elements.RENAMED.get(name, name)
        bounds = (
            {"table"}
            if name in allowed_elements.PARTS or name == "table"
            else allowed_elements.BOUNDS
        )
        if not self._count[name]:
            return tag.end()
        for level in range(len(self._open) - 1, -1, -1):
            one, space = self._open[level]
            if one == name:
                self._close_to(level)
                break
            if one in bounds or (
                bounds is allowed_elements.BOUNDS
                and one in allowed_elements.INTEGRATING.get(space, ())
            ):
                break
        return tag.end()

    def _close_to(self, level: int) -> None:
        while len(self._open) > level:
            name, _ = self._open.pop()
            self._count[name] -= 1
            self._out.append(f"</{name}>")
