"""Rules of a foreign ``<style>``: those that reach nothing but the fragment they are in."""

from __future__ import annotations

import re
from typing import Final

NOTE: Final = (
    '<p class="stepkit-note">Style rules that could change the rest of the page are left out, '
    "unless it is made with --trust-scripts.</p>"
)

_COMMENT: Final = re.compile(r"/\*(?:[^*]|\*(?!/))*+(?:\*/|\Z)|<!\[CDATA\[|\]\]>|<!--|-->")
_TEXT: Final = r"\"[^\"\\\n<{}]*+\"|'[^'\\\n<{}]*+'"
_RULE: Final = re.compile(
    rf"\s*+(?P<selectors>[^{{}}\"'\\<@;]++)\{{(?P<body>(?:[^{{}}\"'\\<]|{_TEXT})*+)\}}"
)
_ID: Final = re.compile(r"\bid\s*+=\s*+[\"']?([\w-]+)")
_OWN: Final = re.compile(r"\s*#([\w-]+)")
_OF_PAGE: Final = ("cell-", "first-error", "notebook")  # ids of the page itself
# What pandas and polars write for every table.
_TABLE: Final = re.compile(r"\s*\.dataframe[ >a-z:-]*")
_TABLE_BODY: Final = re.compile(
    r"\s*+(?:(?:vertical-align|text-align|white-space)\s*+:\s*+[a-z-]++\s*+;?\s*+)*+"
)


def ids(fragment: str) -> set[str]:
    """Return the ids that a fragment gives, those of the page itself left out."""
    return {name for name in _ID.findall(fragment) if not name.startswith(_OF_PAGE)}


def kept(css: str, known: set[str]) -> tuple[str, bool]:
    """Return the rules of which every selector begins with a known id, and whether all do."""
    css = _COMMENT.sub(" ", css).rstrip()
    rules: list[str] = []
    whole, at = True, 0
    while at < len(css):
        rule = _RULE.match(css, at)
        if rule and _harmless(rule["selectors"], rule["body"], known):
            rules.append(rule[0])
        else:
            whole = False
        at = rule.end() if rule else _after(css, at)
    return "".join(rules), whole


def _after(css: str, at: int) -> int:
    end = css.find("}", at)
    return len(css) if end < 0 else end + 1


def _harmless(selectors: str, body: str, known: set[str]) -> bool:
    if any(part.count("(") != part.count(")") for part in (selectors, body)):
        return False
    if any(part.count("[") != part.count("]") for part in (selectors, body)):
        return False
    each = selectors.split(",")
    if all(_TABLE.fullmatch(one) for one in each):
        return bool(_TABLE_BODY.fullmatch(body))
    found = [_OWN.match(one) for one in each]
    return all(one is not None and one[1] in known for one in found)
