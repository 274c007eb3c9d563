"""Write the notebooks that everything is measured on; they are never committed.

Each function writes one and returns what must be in it after a run, so that a run that lost
something is not taken for a fast one.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import nbformat

from benchmarks.contents import Contents

MB: Final = 1_000_000  # characters

_PLOT: Final = 290_000  # characters of a figure of 8 x 6 inches
_ROWS: Final = 12  # pandas shows ten, and dots between
_KERNEL: Final = {"name": "python3", "display_name": "Python 3", "language": "python"}

# Runs in the notebook's kernel, and here to know what the kernel must give. The standard library
# alone: the kernel's own work is the same for every runner and would only hide the differences.
HELPERS: Final = '''\
import base64, random, struct, zlib

def png(seed, size):
    """A plot's worth of picture: noise, so that it does not shrink, `size` characters or more."""
    width, height = 400, -(-size * 3 // 4 // 1201)
    noise = random.Random(seed)
    rows = b"".join(b"\\0" + noise.randbytes(3 * width) for _ in range(height))
    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(rows, 1)
    image = b"\\x89PNG\\r\\n\\x1a\\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data)
    return base64.b64encode(image + chunk(b"IEND", b"")).decode()

def table(seed, rows, columns=20):
    """What pandas shows for a DataFrame."""
    values = random.Random(seed)
    head = "".join(f"<th>gene_{c}</th>" for c in range(columns))
    lines = ["<div>", '<table border="1" class="dataframe">', f"<tr><th></th>{head}</tr>"]
    for row in range(rows):
        cells = "".join(f"<td>{values.random():.6f}</td>" for _ in range(columns))
        lines.append(f"<tr><th>cell_{row}</th>{cells}</tr>")
    return "\\n".join([*lines, "</table>", "</div>"])

def show(kind, data, text):
    from IPython.display import display
    display({kind: data, "text/plain": text}, raw=True)
'''
_HELPERS: Final[dict[str, Any]] = {}
exec(HELPERS, _HELPERS)
_SHOW_PNG: Final = 'show("image/png", png({seed}, {size}), "<Figure {seed}>")'
_SHOW_TABLE: Final = 'show("text/html", table({seed}, {rows}), "table {seed}")'
_FLOOD: Final = 'for i in range({lines}):\n    print(f"line {{i:05d}}", flush=True)'
_DISPLAYS: Final = "from IPython.display import display\nfor i in range({count}):\n    display(i)"
_WORKER: Final = """\
import subprocess
worker = subprocess.Popen(["sleep", "600"], start_new_session=True)"""
_PACED: Final = 'import time\nprint("x" * {length})\ntime.sleep({seconds})'
_LECTURE: Final = (
    r"Let $x$ be in $\mathbb{R}^n$ and $\theta_{NUMBER} \sim \mathcal{N}(\mu, \sigma^2)$.",
    r"With $x$ and $y$, $$\frac{\partial L}{\partial w_{NUMBER}} = \sum_{i=1}^{n} (y_i - z) x_i$$",
    r"\begin{align} a_{NUMBER} &= b + c \\ &= \int_0^\infty e^{-x^2} \, dx \end{align}, all $n$.",
    r"The matrix $A = \begin{pmatrix} a & b_{NUMBER} \\ c & d \end{pmatrix}$ has the rank $n$.",
    r"$$f(x) = \begin{cases} x & \text{if } x > NUMBER \\ 0 & \text{else} \end{cases}$$, $\theta$.",
    r"So $P(A \mid B) = \frac{P(B \mid A) P(A)}{P(B)}$, $\alpha_1, \alpha_{NUMBER}$, $\theta$.",
)
_GREEDY: Final = 'taken = []\nwhile True:\n    taken.append(b"x" * 10_000_000)'


def trivial_cells(path: Path, count: int) -> Contents:
    """Write ``count`` cells that print a number: all cost is the runner's, cell by cell."""
    _write(path, [f"print({number})" for number in range(count)])
    return Contents(cells=count, stream=sum(len(str(number)) + 1 for number in range(count)))


def images(path: Path, count: int, size: int = 2 * MB) -> Contents:
    """Write ``count`` cells with a picture of ``size`` characters each."""
    _write(path, [HELPERS, *(_SHOW_PNG.format(seed=seed, size=size) for seed in range(count))])
    return Contents(
        cells=count + 1, displays=count, images=count, payload=_payload("png", range(count), size)
    )


def text(path: Path, count: int, size: int = 2 * MB) -> Contents:
    """Write ``count`` cells that print ``size`` characters each, in lines of 100."""
    _write(path, [f'print(("x" * 99 + "\\n") * {size // 100}, end="")' for _ in range(count)])
    return Contents(cells=count, stream=count * (size // 100) * 100)


def stream(path: Path, lines: int) -> Contents:
    """Write one cell that prints ``lines`` lines and flushes each: a message for every line."""
    _write(path, [_FLOOD.format(lines=lines), 'print("end")'])
    return Contents(cells=2, stream=lines * len("line 00000\n") + len("end\n"))


def displays(path: Path, count: int) -> Contents:
    """Write a cell that calls ``display`` ``count`` times: the kernel drops what is read late.

    ``count`` must be 10 or more.
    """
    _write(path, [_DISPLAYS.format(count=count), 'print("end")'])
    return Contents(cells=2, displays=count, stream=len("end\n"))


def real_shaped(path: Path, plots: int = 13, tables: int = 16) -> Contents:
    """Write what an analysis looks like: 90 cells and 4 MB of plots, tables, prose and prints."""
    cells: list[str | nbformat.NotebookNode] = [HELPERS]
    for number in range(30):
        formula = "$x_{ij} / \\sum_j x_{ij}$"
        prose = f"## Part {number}\n\nThe *counts* are normalised with {formula}."
        cells.append(nbformat.v4.new_markdown_cell(prose))
        if number < plots:
            source = _SHOW_PNG.format(seed=number, size=_PLOT)
        elif number < plots + tables:
            source = _SHOW_TABLE.format(seed=number, rows=_ROWS)
        else:
            source = "total = sum(range(1000))\ntotal"
        cells.append(source)
        if number < 29:  # noqa: PLR2004 - 90 cells in all
            cells.append(f'print("part {number:02d} done")')
    _write(path, cells)
    return Contents(
        cells=60,
        displays=30,
        images=plots,
        tables=tables,
        stream=29 * len("part 00 done\n"),
        payload=_payload("png", range(plots), _PLOT)
        + _payload("table", range(plots, plots + tables), _ROWS),
    )


def paced(path: Path, count: int, size: int, seconds: float, *, worker: bool = False) -> Contents:
    """Write ``count`` cells that print ``size`` characters and then sleep for ``seconds``.

    With ``worker`` the first cell starts one in its own session, as dask does.
    """
    cells = [_WORKER] * worker + [_PACED.format(length=size - 1, seconds=seconds)] * count
    _write(path, cells)
    return Contents(cells=len(cells), stream=count * size)


def greedy(path: Path, before: int, seconds: float) -> Contents:
    """Write ``before`` cells of ``seconds`` each, and one that takes all the memory there is."""
    cells = [_PACED.format(length=1, seconds=seconds)] * before
    _write(path, [*cells, _GREEDY, 'print("after")'])
    return Contents(cells=before + 2, stream=2 * before + len("after\n"))


def tables(path: Path, count: int, rows: int = 1100) -> Contents:
    """Write an executed notebook with ``count`` tables of 20 columns, 0.4 MB each."""
    cells = []
    for seed in range(count):
        data = {"text/html": _HELPERS["table"](seed, rows), "text/plain": f"table {seed}"}
        output = nbformat.v4.new_output("display_data", data=data)
        source = _SHOW_TABLE.format(seed=seed, rows=rows)
        cells.append(nbformat.v4.new_code_cell(source, outputs=[output], execution_count=seed + 1))
    _write(path, cells)
    return Contents(
        cells=count, displays=count, tables=count, payload=_payload("table", range(count), rows)
    )


def formulas(path: Path, count: int) -> Contents:
    """Write ``count`` cells of prose with ten formulas each, as a lecture; half of them recur."""
    cells = []
    for number in range(count):
        lines = [_LECTURE[place % len(_LECTURE)] for place in range(number, number + 5)]
        text = "\n\n".join(line.replace("NUMBER", str(number)) for line in lines)
        cells.append(nbformat.v4.new_markdown_cell(f"## Part {number}\n\n{text}"))
    _write(path, cells)
    return Contents()


def _payload(helper: str, seeds: Sequence[int], size: int) -> int:
    """Return how many characters a helper gives for all seeds."""
    return sum(len(_HELPERS[helper](seed, size)) for seed in seeds)


def _write(path: Path, cells: Sequence[str | nbformat.NotebookNode]) -> None:
    """Write a notebook; a text is the source of a code cell."""
    nodes = [nbformat.v4.new_code_cell(cell) if isinstance(cell, str) else cell for cell in cells]
    for number, node in enumerate(nodes):
        node["id"] = f"cell-{number}"
    metadata = {"kernelspec": _KERNEL, "language_info": {"name": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=nodes, metadata=metadata), path)
