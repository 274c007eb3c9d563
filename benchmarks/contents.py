"""Count what a run left in a notebook or on a page."""

import dataclasses
import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from benchmarks import process

_IMAGE: Final = re.compile(rb'<img[^>]{0,200}src="data:image/png;base64,')
_TABLE: Final = re.compile(rb'<table[^>]{0,80}class="dataframe"')


@dataclass(frozen=True, kw_only=True)
class Contents:
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

    def on_page(self) -> Self:
        """Return what can be counted on a page of such a notebook."""
        return type(self)(images=self.images, tables=self.tables)

    def differs(self, found: Self) -> str:
        """Say in which counts ``found`` differs: ``displays 13317 of 20000``, or nothing."""
        pairs = ((name, getattr(found, name), wanted) for name, wanted in vars(self).items())
        return ", ".join(
            f"{name} {got} of {wanted}" for name, got, wanted in pairs if got != wanted
        )

    def lacks(self, found: Self) -> str:
        """Say which counts of ``found`` are smaller, so that it is older than this, or nothing."""
        pairs = ((name, getattr(found, name), had) for name, had in vars(self).items())
        less = [(name, got, had) for name, got, had in pairs if got < had and name != "errors"]
        return ", ".join(f"{name} {got} after {had}" for name, got, had in less)


def of_notebook(notebook: dict[str, Any]) -> Contents:
    """Count the outputs of a notebook as it was read from JSON."""
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    outputs = [output for cell in cells for output in cell["outputs"]]
    bundles = [output["data"] for output in outputs if "data" in output]
    return Contents(
        cells=sum(cell["execution_count"] is not None for cell in cells),
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


def _text(value: str | list[str]) -> str:
    return value if isinstance(value, str) else "".join(value)


def compare(path: Path, expected: Contents) -> str:
    """Say what the file ``path`` lacks, nothing if it is as ``expected``.

    It is counted in another process, so that this one stays small beside what it measures.
    """
    if not path.is_file():
        return f"no {path.name} was written"
    done = process.run([sys.executable, "-m", "benchmarks.contents", str(path)])
    if done.problem:
        return f"{path.name} cannot be read: {done.problem}"
    return expected.differs(Contents(**json.loads(done.output)))


def main(path: Path) -> None:
    """Print the contents of a file as JSON."""
    data = path.read_bytes()
    if path.suffix == ".html":
        images, tables = (len(pattern.findall(data)) for pattern in (_IMAGE, _TABLE))
        found = Contents(images=images, tables=tables)
    else:
        found = of_notebook(json.loads(data))
    print(json.dumps(dataclasses.asdict(found)))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
