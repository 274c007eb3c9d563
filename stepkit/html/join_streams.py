"""The chunks of a cell's streams as one output, without the lines that were overwritten."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def join_streams(outputs: Sequence[Any]) -> Iterator[Any]:
    """Yield the outputs; consecutive chunks of one stream become one output."""
    for stream, run in groupby(
        outputs, lambda output: output["name"] if output["output_type"] == "stream" else None
    ):
        if stream is None:
            yield from run
            continue
        chunks = list(run)
        text = "".join(chunk["text"] for chunk in chunks)
        if "\r" in text:  # a progress bar overwrites its line: only the last state is kept
            lines = text.split("\n")
            text = "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in lines)
        yield type(chunks[0])(output_type="stream", name=stream, text=text)
