"""Count what a run left in a notebook or on a page; run as a program to keep its memory apart."""

from __future__ import annotations

import dataclasses
import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

_IMAGE: Final = re.compile(rb'<img[^>]{0,200}src="data:image/png;base64,')
_TABLE: Final = re.compile(rb'<table[^>]{0,80}class="dataframe"')


@dataclass(frozen=True, kw_only=True)
class Tally:
    """What a notebook holds: code cells that ran, and their outputs.

    ``stream`` and ``payload`` are characters, of printed text and of pictures and tables.
    """

    cells: int = 0
    displays: int = 0
    images: int = 0
    tables: int = 0
    stream: int = 0
    payload: int = 0
    errors: int = 0

    def on_page(self) -> Tally:
        """Return what a page of such a notebook can be asked for."""
        return Tally(images=self.images, tables=self.tables)

    def differs(self, found: Tally) -> str:
        """Say in which counts ``found`` is not this: ``displays 13317 of 20000``, or nothing."""
        names = [field.name for field in dataclasses.fields(self)]
        wrong = [name for name in names if getattr(found, name) != getattr(self, name)]
        return ", ".join(f"{n} {getattr(found, n)} of {getattr(self, n)}" for n in wrong)

    def lacks(self, found: Tally) -> str:
        """Say which counts of ``found`` are smaller than these: it is older. Nothing if none."""
        names = [field.name for field in dataclasses.fields(self) if field.name != "errors"]
        less = [name for name in names if getattr(found, name) < getattr(self, name)]
        return ", ".join(f"{n} {getattr(found, n)} after {getattr(self, n)}" for n in less)


def of_notebook(notebook: dict[str, Any]) -> Tally:
    """Count the outputs of a notebook as it was read from JSON."""
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    outputs = [output for cell in cells for output in cell["outputs"]]
    bundles = [output["data"] for output in outputs if "data" in output]
    return Tally(
        cells=sum(1 for cell in cells if cell["execution_count"] is not None),
        displays=len(bundles),
        images=sum("image/png" in data for data in bundles),
        tables=sum('class="dataframe"' in _text(data.get("text/html", "")) for data in bundles),
        stream=sum(len(_text(output["text"])) for output in outputs if "text" in output),
        payload=sum(
            len(_text(data.get(kind, "")))
            for data in bundles
            for kind in ("image/png", "text/html")
        ),
        errors=sum(output["output_type"] == "error" for output in outputs),
    )


def of_page(page: bytes) -> Tally:
    """Count the pictures and the tables of a page."""
    images = sum(1 for _ in _IMAGE.finditer(page))
    return Tally(images=images, tables=sum(1 for _ in _TABLE.finditer(page)))


def _text(value: str | list[str]) -> str:
    return value if isinstance(value, str) else "".join(value)


def main(path: Path) -> None:
    """Print the tally of a file as JSON."""
    data = path.read_bytes()
    found = of_page(data) if path.suffix == ".html" else of_notebook(json.loads(data))
    print(json.dumps(dataclasses.asdict(found)))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
