"""Strategies for inputs of readers: damaged files, damaged documents, and archives."""

# ruff: noqa: E501 - tables of inputs and of readers, one a line

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import yaml
from hypothesis import strategies as st

MOST = 1 << 18  # bytes of an input

# What readers of all kinds stumble over: limits of numbers, marks of formats, halves of characters.
TOKENS = (
    b"", b"\0", b"\n", b"\r\n", b"\t", b" ", b"\xef\xbb\xbf", b"\xff\xfe", b"\x80", b"\xed\xa0\x80",
    b"0", b"-1", b"1e999", b"9" * 25, b"9" * 5000, b"NaN", b"Infinity", b"true", b"null", b"0b_",
    b"[", b"{", b"]", b"}", b'"', b"'", b"\\", b"\\ud800", b":", b": ", b",", b"-", b"- ", b"#",
    b"---\n", b"&a ", b"*a", b"<<: *a", b"!!int ''", b"!!float ''", b"!!timestamp x", b"!!bool x",
    b"!!binary x", b"!!set {a}", b"? ", b"| ", b"<", b">", b"</", b"/>", b"<!--", b"-->", b"<![CDATA[",
    b"<!DOCTYPE a>", b"&lt;", b"&#0;", b"$", b"$(", b"$(params.", b"$(tasks.a.results.", b"$$", b"`",
    b"\\begin{", b"\\frac", b"{{", b"%", b"%%", b"..", b"../", b"/", b"//", b"://", b"@", b"?", b"=",
    b";", b"(", b")", b"(a+)+$", b"*", b"+", b"1s", b"1h30m", b"GiB", b"\x1b[31m", b"\x1b]0;", b"\x7f",
    b"NBVAL_SKIP", b"HTTP/1.1 200 OK\r\n", b"Content-Range: bytes 5-9/10\r\n", b"Retry-After: 1\r\n",
    b"Location: ", b"Transfer-Encoding: chunked\r\n", b"Content-Length: ", b"fatal: ", b"remote: ",
    "\u2028".encode(), "\u0661".encode(), "\U0001f600".encode(), b"2026-11-30T25:61:61Z",
)  # fmt: skip
SCALARS: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, False, 0, -1, 1, 2**31, 2**63, 2**64, 10**400, 0.5, -0.0, 1e308, float("inf"),
     float("nan"), "", " ", "\0", "\n", "\ud800", "../x", "/etc/passwd", "x" * 5000, "9" * 5000, "-",
     "$(params.x)", "*", "[", "(a", "2026-11-30", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59",
     "1h", "1GiB", "http://[", "https://me:pw@example.org/a", "\x1b[31m", "a\nb", "<b>", "true", "1"]
) | st.text(max_size=6)  # fmt: skip
_DEEP: Any = json.loads("[" * 400 + "]" * 400)
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["", "a", "name", "\0"]), inner, max_size=2)
    ),
    max_leaves=4,
) | st.just(_DEEP)


@st.composite
def damaged(draw: st.DrawFn, seeds: Sequence[bytes]) -> bytes:
    """Draw a file of ``seeds`` in which bytes are flipped, cut out, doubled, or of another one."""
    data = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(1, 4))):
        first, last = sorted(draw(st.tuples(*[st.integers(0, len(data))] * 2)))
        last = min(last, first + draw(st.sampled_from([0, 1, 8, MOST])))
        piece = data[first:last]
        change = draw(st.sampled_from(["flip", "cut", "replace", "double", "splice", "truncate"]))
        if change == "flip":
            piece = bytes(byte ^ draw(st.integers(1, 255)) for byte in piece[:1]) + piece[1:]
        elif change == "cut":
            piece = b""
        elif change == "replace":
            piece = draw(st.sampled_from(TOKENS) | st.binary(max_size=4))
        elif change == "double":
            piece *= draw(st.sampled_from([2, 2, 2, 50, 5000]))
        elif change == "splice":
            piece = draw(st.sampled_from(seeds))[first:last]
        else:
            data = data[:last]
        data = (data[:first] + piece + data[last:])[:MOST]
    return data


@st.composite
def tokens(draw: st.DrawFn, words: Sequence[bytes]) -> bytes:
    """Draw a row of tokens and of the reader's own ``words``, some of them many times."""
    row = st.tuples(
        st.sampled_from([*TOKENS, *words, *words]), st.sampled_from([1, 1, 1, 1, 2, 3, 300, 30_000])
    )
    return b"".join(word * times for word, times in draw(st.lists(row, max_size=8)))[:MOST]


@st.composite
def documents(draw: st.DrawFn, seeds: Sequence[bytes], *, lines: bool = False) -> bytes:
    """Draw a document of ``seeds``, YAML or JSON, in which some values are others or are missing.

    With ``lines``, each line is a document.
    """
    text = draw(st.sampled_from(seeds)).decode()
    found = [json.loads(line) for line in text.splitlines()] if lines else _parsed(text)
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, len(found) - 1))
        found[place] = draw(_changed(found[place]))
    written = map(json.dumps, found)
    return (("\n" if lines else "\n---\n").join(written)).encode()[:MOST]


def _parsed(text: str) -> list[Any]:
    try:
        return [json.loads(text)]
    except ValueError:
        return list(yaml.load_all(text, yaml.BaseLoader)) or [None]  # of comments alone


@st.composite
def _changed(draw: st.DrawFn, value: Any) -> Any:
    """Draw ``value`` with one change somewhere in it."""
    if not isinstance(value, dict | list) or not value or draw(st.integers(0, 5)) == 0:
        return draw(VALUES)
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    key = draw(st.sampled_from(keys))
    copy: Any = value.copy()
    change = draw(st.sampled_from(["into", "into", "into", "into", "remove", "rename", "double"]))
    if change == "into":
        copy[key] = draw(_changed(value[key]))
    elif change == "remove":
        del copy[key]
    elif isinstance(copy, list):
        copy.append(copy[key])
    else:
        name = draw(st.sampled_from(keys) | st.text(max_size=3))
        copy[name] = copy.pop(key) if change == "rename" else copy[key]
    return copy


def texts(words: Iterable[str]) -> Callable[[Sequence[bytes]], st.SearchStrategy[bytes]]:
    """Return what makes a strategy of seeds: damaged ones, and rows of tokens and ``words``."""
    coded = [word.encode() for word in words]
    return lambda seeds: damaged(seeds) | tokens(coded)


def any_json(seeds: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    """Return a strategy for JSON and YAML: damaged documents, damaged files, rows of tokens."""
    return documents(seeds) | damaged(seeds) | tokens(())


def json_lines(seeds: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    """Return the same strategy for files with a JSON document in each line."""
    return partial(documents, lines=True)(seeds) | damaged(seeds)
