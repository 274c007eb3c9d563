"""The engine's JSON is nbformat's, byte for byte."""

from typing import Any

import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nbformat import NotebookNode, from_dict

from stepkit.engine import notebook_json

# Characters at which str.splitlines cuts, that JSON escapes, or that UTF-8 cannot hold.
ODD = '\n\r\t\v\f\x1c\x1d\x1e\x85\u2028\u2029\x00\x7f"\\/\ud800\udfff\ufeffaé漢😀'
texts = st.text(st.one_of(st.sampled_from(ODD), st.characters()), max_size=12)
numbers = st.one_of(st.integers(), st.floats(), st.booleans(), st.none())
values: Any = st.recursive(
    st.one_of(texts, numbers),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(texts, inner, max_size=3),
        st.dictionaries(st.integers(), inner, max_size=2),
    ),
    max_leaves=8,
)
metadata = st.dictionaries(
    st.one_of(st.sampled_from(["trusted", "signature", "orig_nbformat", "tags"]), texts),
    values,
    max_size=3,
)
mimes = st.sampled_from(
    [
        "text/plain",
        "text/html",
        "image/png",
        "image/svg+xml",
        "application/javascript",
        "application/json",
        "application/vnd.plotly.v1+json",
        "x",
    ]
)
bundles = st.dictionaries(mimes, st.one_of(texts, values, st.lists(texts, max_size=3)), max_size=3)
outputs = st.one_of(
    st.builds(
        lambda data, metadata: {"output_type": "display_data", "data": data, "metadata": metadata},
        bundles,
        metadata,
    ),
    st.builds(
        lambda data, count: {
            "output_type": "execute_result",
            "data": data,
            "metadata": {},
            "execution_count": count,
        },
        bundles,
        st.one_of(st.none(), st.integers()),
    ),
    st.builds(
        lambda text: {"output_type": "stream", "name": "stdout", "text": text},
        st.one_of(texts, st.lists(texts, max_size=3)),
    ),
    st.builds(
        lambda name, lines: {
            "output_type": "error",
            "ename": name,
            "evalue": name,
            "traceback": lines,
        },
        texts,
        st.lists(texts, max_size=3),
    ),
)
code_cells = st.builds(
    lambda source, metadata, shown, extra: {
        "cell_type": "code",
        "source": source,
        "metadata": metadata,
        "outputs": shown,
        "execution_count": None,
        **extra,
    },
    st.one_of(texts, st.lists(texts, max_size=2)),
    metadata,
    st.lists(outputs, max_size=3),
    st.dictionaries(st.sampled_from(["id", "somebodys"]), texts),
)
other_cells = st.builds(
    lambda kind, source, metadata, extra: {
        "cell_type": kind,
        "source": source,
        "metadata": metadata,
        **extra,
    },
    st.sampled_from(["markdown", "raw"]),
    texts,
    metadata,
    st.one_of(
        st.just({}),
        st.builds(lambda data: {"attachments": data}, st.dictionaries(texts, bundles, max_size=2)),
        st.just({"outputs": [{"output_type": "stream", "text": "a\nb"}]}),  # not a code cell
    ),
)
notebooks = st.builds(
    lambda cells, metadata, extra: {
        "cells": cells,
        "metadata": metadata,
        "nbformat": 4,
        "nbformat_minor": 5,
        **extra,
    },
    st.lists(st.one_of(code_cells, other_cells), max_size=4),
    metadata,
    # A name that sorts before "cells" would stand behind them; the format knows none.
    st.dictionaries(st.sampled_from(["orig_nbformat", "zz", "signature"]), values, max_size=1),
)


def encoded(nb: Any) -> bytes:
    cells = [
        (notebook_json.BETWEEN if number else notebook_json.FIRST) + notebook_json.cell(cell)
        for number, cell in enumerate(nb["cells"])
    ]
    return b"".join([notebook_json.HEAD, *cells, notebook_json.tail(nb)])


def stored(nb: NotebookNode) -> bytes:
    text: str = nbformat.v4.writes(nb) + "\n"
    return text.encode("utf-8", "surrogatepass")


@given(notebooks)
def test_a_notebook_is_encoded_as_nbformat_does(document: dict[str, Any]) -> None:
    nb = from_dict(document)

    assert encoded(nb) == stored(nb)


@given(notebooks)
def test_encoding_changes_nothing_in_the_notebook(document: dict[str, Any]) -> None:
    nb = from_dict(document)
    before = stored(nb)

    encoded(nb)

    assert stored(nb) == before


def test_a_notebook_without_cells_is_encoded_as_nbformat_does() -> None:
    nb = nbformat.v4.new_notebook()

    assert encoded(nb) == stored(nb)


@pytest.mark.parametrize(
    "metadata",
    [
        {1: "a", 2: {}},
        {None: "a"},
        {True: []},
        {1.5: [[], {}]},
        {"nested": [{"a": ()}, (1, "x")]},
        {"bytes": b"ascii"},
        {"not a number": [float("nan"), float("inf"), -0.0, 1e300]},
        {"large": 2**70},
    ],
)
def test_unusual_metadata_is_encoded_as_nbformat_does(metadata: dict[Any, Any]) -> None:
    nb = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("a", id="a")])
    nb.cells[0]["metadata"] = metadata
    nb["metadata"] = metadata

    assert encoded(nb) == stored(nb)


def test_what_json_cannot_hold_is_refused_as_nbformat_does() -> None:
    nb = nbformat.v4.new_notebook(metadata={"a": {1: 2, "b": 3}})

    with pytest.raises(TypeError):
        stored(nb)
    with pytest.raises(TypeError):
        encoded(nb)
