"""Style rules of an untrusted fragment: keep those that apply to nothing else on the page."""

from __future__ import annotations

import re
from typing import Final

NOTE: Final = (
    '<p class="stepkit-note">Style rules that could change the rest of the page are left out, '
    "unless it is made with --trust-scripts.</p>"
)

_COMMENT: Final = re.compile(r"/\*(?:[^*]|\*(?!/))*+(?:\*/|\Z)|<!\[CDATA\[|\]\]>|<!--|-->")
_STRING: Final = r"\"[^\"\\\n<{}]*+\"|'[^'\\\n<{}]*+'"
_RULE: Final = re.compile(
    rf"\s*+(?P<selectors>[^{{}}\"'\\<@;]++)\{{(?P<body>(?:[^{{}}\"'\\<]|{_STRING})*+)\}}"
)
_ID: Final = re.compile(r"\bid\s*+=\s*+[\"']?([\w-]+)")
_ID_SELECTOR: Final = re.compile(r"\s*#([\w-]+)")
_PAGE_IDS: Final = ("cell-", "first-error", "notebook")  # the page's own begin so
# The rules that pandas and polars write for every table.
_TABLE: Final = re.compile(r"\s*\.dataframe[ >a-z:-]*")
_TABLE_BODY: Final = re.compile(
    r"\s*+(?:(?:vertical-align|text-align|white-space)\s*+:\s*+[a-z-]++\s*+;?\s*+)*+"
)

# The rules that R's repr writes, through IRkernel, for every vector and named vector.
_R_LISTS: Final = (
    ".list-inline {list-style: none; margin:0; padding: 0}",
    ".list-inline>li {display: inline-block}",
    r""".list-inline>li:not(:last-child)::after {content: "\00b7"; padding: 0 .5ex}""",
    ".dl-inline {width: auto; margin:0; padding: 0}",
    ".dl-inline>dt, .dl-inline>dd {float: none; width: auto; display: inline-block}",
    r""".dl-inline>dt::after {content: ":\0020"; padding-right: .5ex}""",
    ".dl-inline>dt:not(:first-of-type) {padding-left: .5ex}",
)
_R_LIST: Final = re.compile(r"\s*+(?:" + "|".join(map(re.escape, _R_LISTS)) + ")")


def find_ids(fragment: str) -> set[str]:
    """Return the ids of a fragment's elements, without those that the page itself uses."""
    return {name for name in _ID.findall(fragment) if not name.startswith(_PAGE_IDS)}


def keep_safe_rules(css: str, ids: set[str]) -> tuple[str, bool]:
    """Return the rules whose selectors all begin with one of ``ids``, and whether all do.

    The rules that pandas and polars write for their tables, and R for its vectors, are kept, too.
    """
    css = _COMMENT.sub(" ", css).rstrip()
    rules: list[str] = []
    complete, at = True, 0
    while at < len(css):
        fixed = _R_LIST.match(css, at)
        rule = fixed or _RULE.match(css, at)
        if rule and (fixed or _is_safe(rule["selectors"], rule["body"], ids)):
            rules.append(rule[0])
        else:
            complete = False
        if rule:
            at = rule.end()
        else:
            end = css.find("}", at)
            at = len(css) if end < 0 else end + 1
    return "".join(rules), complete


def _is_safe(selectors: str, body: str, ids: set[str]) -> bool:
    if any(part.count("(") != part.count(")") for part in (selectors, body)):
        return False
    if any(part.count("[") != part.count("]") for part in (selectors, body)):
        return False
    each = selectors.split(",")
    if all(_TABLE.fullmatch(one) for one in each):
        return bool(_TABLE_BODY.fullmatch(body))
    found = [_ID_SELECTOR.match(one) for one in each]
    return all(one is not None and one[1] in ids for one in found)
