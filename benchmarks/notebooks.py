"""The notebooks that everything is measured on, made anew each time and never committed.

Each is written together with what must be in it after a run, so that a run that lost something
is not taken for a fast one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import nbformat

from benchmarks.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

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
_SHOW_PNG: Final = 'show("image/png", png({seed}, {size}), "<Figure {seed}>")'
_SHOW_TABLE: Final = 'show("text/html", table({seed}, {rows}), "table {seed}")'
_FLOOD: Final = 'for i in range({lines}):\n    print(f"line {{i:05d}}", flush=True)'
_DISPLAYS: Final = "from IPython.display import display\nfor i in range({count}):\n    display(i)"
_WORKER: Final = """\
import subprocess
worker = subprocess.Popen(["sleep", "600"], start_new_session=True)"""
_GREEDY: Final = 'taken = []\nwhile True:\n    taken.append(b"x" * 10_000_000)'


def trivial_cells(path: Path, count: int) -> Tally:
    """``count`` cells that print a number: all cost is the runner's, cell by cell."""
    _write(path, [f"print({number})" for number in range(count)])
    return Tally(cells=count, stream=sum(len(str(number)) + 1 for number in range(count)))


def images(path: Path, count: int, size: int = 2 * MB) -> Tally:
    """``count`` cells with a picture of ``size`` characters each."""
    _write(path, [HELPERS, *(_SHOW_PNG.format(seed=seed, size=size) for seed in range(count))])
    return Tally(
        cells=count + 1, displays=count, images=count, payload=_pictures(range(count), size)
    )


def text(path: Path, count: int, size: int = 2 * MB) -> Tally:
    """``count`` cells that print ``size`` characters each, in lines of 100."""
    _write(path, [f'print(("x" * 99 + "\\n") * {size // 100}, end="")' for _ in range(count)])
    return Tally(cells=count, stream=count * (size // 100) * 100)


def stream(path: Path, lines: int) -> Tally:
    """One cell that prints ``lines`` lines and flushes each: a message for every line."""
    _write(path, [_FLOOD.format(lines=lines), 'print("end")'])
    return Tally(cells=2, stream=lines * len("line 00000\n") + len("end\n"))


def displays(path: Path, count: int) -> Tally:
    """One cell that calls ``display`` ``count`` times: the kernel drops what is not read in time.

    ``count`` must be 10 or more.
    """
    _write(path, [_DISPLAYS.format(count=count), 'print("end")'])
    return Tally(cells=2, displays=count, stream=len("end\n"))


def real_shaped(path: Path, plots: int = 13, tables: int = 16) -> Tally:
    """Make what an analysis looks like: 90 cells and 4 MB of plots, tables, prose and prints."""
    cells = [nbformat.v4.new_code_cell(HELPERS)]
    for number in range(30):
        words = (
            f"## Part {number}\n\nThe *counts* are normalised with $x_{{ij}} / \\sum_j x_{{ij}}$."
        )
        cells.append(nbformat.v4.new_markdown_cell(words))
        if number < plots:
            source = _SHOW_PNG.format(seed=number, size=_PLOT)
        elif number < plots + tables:
            source = _SHOW_TABLE.format(seed=number, rows=_ROWS)
        else:
            source = "total = sum(range(1000))\ntotal"
        cells.append(nbformat.v4.new_code_cell(source))
        if number < 29:  # noqa: PLR2004 - 90 cells in all
            cells.append(nbformat.v4.new_code_cell(f'print("part {number:02d} done")'))
    _write_cells(path, cells)
    return Tally(
        cells=60,
        displays=30,
        images=plots,
        tables=tables,
        stream=29 * len("part 00 done\n"),
        payload=_pictures(range(plots), _PLOT) + _tables(range(plots, plots + tables), _ROWS),
    )


def paced(path: Path, count: int, size: int, seconds: float) -> Tally:
    """``count`` cells that print ``size`` characters and then take their time."""
    source = f'import time\nprint("x" * {size - 1})\ntime.sleep({seconds})'
    _write(path, [source for _ in range(count)])
    return Tally(cells=count, stream=count * size)


def with_workers(path: Path, count: int, size: int, seconds: float) -> Tally:
    """Like :func:`paced`, after a cell that starts a worker in its own session, as dask does."""
    source = f'import time\nprint("x" * {size - 1})\ntime.sleep({seconds})'
    _write(path, [_WORKER, *(source for _ in range(count))])
    return Tally(cells=count + 1, stream=count * size)


def greedy(path: Path, before: int, seconds: float) -> Tally:
    """``before`` cells of ``seconds`` each, and one that takes all the memory there is."""
    source = f'import time\nprint("x")\ntime.sleep({seconds})'
    _write(path, [*(source for _ in range(before)), _GREEDY, 'print("after")'])
    return Tally(cells=before + 2, stream=2 * before + len("after\n"))


def tables(path: Path, count: int, rows: int = 1100) -> Tally:
    """Make an executed notebook with ``count`` tables of 20 columns, 0.4 MB each."""
    cells = []
    for seed in range(count):
        data = {"text/html": _helper("table", seed, rows), "text/plain": f"table {seed}"}
        output = nbformat.v4.new_output("display_data", data=data)
        source = _SHOW_TABLE.format(seed=seed, rows=rows)
        cell = nbformat.v4.new_code_cell(source, outputs=[output], execution_count=seed + 1)
        cells.append(cell)
    _write_cells(path, cells)
    return Tally(cells=count, displays=count, tables=count, payload=_tables(range(count), rows))


def _pictures(seeds: Sequence[int], size: int) -> int:
    return sum(len(_helper("png", seed, size)) for seed in seeds)


def _tables(seeds: Sequence[int], rows: int) -> int:
    return sum(len(_helper("table", seed, rows)) for seed in seeds)


def _helper(name: str, seed: int, size: int) -> str:
    namespace: dict[str, object] = {}
    exec(HELPERS, namespace)
    function = namespace[name]
    assert callable(function)
    return str(function(seed, size))


def _write(path: Path, sources: Sequence[str]) -> None:
    _write_cells(path, [nbformat.v4.new_code_cell(source) for source in sources])


def _write_cells(path: Path, cells: Sequence[nbformat.NotebookNode]) -> None:
    for number, cell in enumerate(cells):
        cell["id"] = f"cell-{number}"
    metadata = {"kernelspec": _KERNEL, "language_info": {"name": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=list(cells), metadata=metadata), path)
