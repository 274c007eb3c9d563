"""Notebooks with the structure of the RAPIDS single-cell blueprint's seven, for tests.

What they share with real ones: 89 cells in the first, no tags, an RMM cell, hard host paths, a
cell that calls wget, `%%time`, a cell that shuts the kernel down, and a blank cell after it. They
run in seconds without a GPU, a network or any package beside ipykernel.
"""

import json
from collections.abc import Iterator
from typing import Any

import nbformat

NUMBERS = (1, 2, 3, 4, 5, 6, 7)
CODE_CELLS = {1: 45, 2: 28, 3: 24, 4: 26, 5: 25, 6: 17, 7: 26}
CELLS = {1: 89, 2: 50, 3: 41, 4: 44, 5: 43, 6: 30, 7: 45}
WITHOUT_RMM = 4
WITHOUT_SHUTDOWN = 6

_TITLES = {
    1: "Preprocessing, clustering and visualisation",
    2: "Activity inference with decoupler",
    3: "Differential expression and enrichment",
    4: "Spatial statistics",
    5: "Out-of-core analysis with dask",
    6: "Scaling to several GPUs",
    7: "Eleven million cells",
}

_IMPORTS = """\
import os
import random
import time
import warnings

%load_ext autoreload
warnings.filterwarnings("ignore")"""

_RMM = """\
try:
    import cupy as cp
    import rmm
    from rmm.allocators.cupy import rmm_cupy_allocator
except ImportError:
    print("no RMM here: running on the CPU")
else:
    rmm.reinitialize(
        managed_memory=False,  # allows oversubscription
        pool_allocator=False,  # default is False
        devices=0,  # GPU device IDs to register
    )
    cp.cuda.set_allocator(rmm_cupy_allocator)"""

_PATHS = """\
DATA_PATH = "/home/ubuntu/single-cell/h5/dli_census.h5ad"  # ¿dónde?
OUT_DIR: str = "/raid/single-cell/out"; n_top_genes = 5000
n_pcs = resolution = 50"""

# Port 9 refuses at once; a failed shell line raises nothing.
_WGET = """\
if not os.path.exists(DATA_PATH):
    print("Downloading the dataset ...")
    !wget --tries=1 -q -O /dev/null http://127.0.0.1:9/dli_census.h5ad
files = !ls ."""

_LOAD = """\
%%time
rng = random.Random(0)
adata = [[rng.randint(0, 9) for gene in range(40)] for cell in range(250)]
adata = adata[:1_000_000]
print(f"AnnData object with n_obs x n_vars = {len(adata)} x {len(adata[0])}")"""

_SHUTDOWN_LONG = """\
import IPython

app = IPython.Application.instance()
app.kernel.do_shutdown(True)"""

_SHUTDOWN_SHORT = """\
# Free the GPU memory before the next notebook.
import IPython
IPython.Application.instance().kernel.do_shutdown(True)"""

_STEPS = (
    (
        "Quality control",
        "total = [sum(cell) for cell in adata]\nprint(min(total), max(total))",
    ),
    (
        "Filter cells",
        "%%time\nadata = [cell for cell in adata if sum(cell) > {step}]\nlen(adata)",
    ),
    (
        "Normalise",
        (
            "def normalise(cell, target=1e4):\n"
            "    # library size\n"
            "    return [value * target / (sum(cell) or 1) for value in cell]\n\n\n"
            "normalised = [normalise(cell) for cell in adata]"
        ),
    ),
    (
        "Highly variable genes",
        (
            "genes = list(zip(*adata))\n"
            "spread = [max(gene) - min(gene) for gene in genes]\n"
            "highly_variable = sorted(range(len(spread)), key=spread.__getitem__)[: n_top_genes]"
        ),
    ),
    (
        "Principal components",
        (
            "rows = range(min(n_pcs, len(adata)))\n"
            "pcs = {{f'PC{{row}}': sum(adata[row]) for row in rows}}\n"
            "pcs['PC{step}'] = {step}"
        ),
    ),
    (
        "Neighbours",
        "%%time\nneighbours = [(row, (row + 1) % len(adata)) for row in range(len(adata))]",
    ),
    (
        "Leiden",
        (
            "clusters = [sum(cell) % 7 for cell in adata]\n"
            "print({{label: clusters.count(label) for label in sorted(set(clusters))}})"
        ),
    ),
    (
        "Plot",
        (
            "from IPython.display import HTML\n\n"
            'HTML(\'<svg width="{step}" height="10"><rect width="{step}" height="10"/></svg>\')'
        ),
    ),
)


def blueprint(number: int) -> Any:
    """Return notebook ``number``, from 1 to 7, in format 4.5."""
    nb = nbformat.v4.new_notebook(
        metadata={
            "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
            "language_info": {"name": "python", "version": "3.12.9"},
        }
    )
    prose = CELLS[number] - CODE_CELLS[number]
    sources = list(_sources(number))
    for position, (heading, source) in enumerate(sources):
        if prose:
            text = f"# {_TITLES[number]}" if position == 0 else f"### {heading}"
            nb.cells.append(nbformat.v4.new_markdown_cell(text))
            prose -= 1
        nb.cells.append(nbformat.v4.new_code_cell(source, execution_count=position + 1))
    for position, cell in enumerate(nb.cells):
        cell["id"] = f"nb{number}-{position:03}"
    nbformat.validate(nb)
    return nb


def write(number: int, path: Any) -> Any:
    """Write notebook ``number`` to ``path`` and return that."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(blueprint(number), indent=1, ensure_ascii=False) + "\n")
    return path


def _sources(number: int) -> Iterator[tuple[str, str]]:
    """Yield heading and source of each code cell."""
    own = [("Imports", _IMPORTS), ("Paths", _PATHS), ("Data", _WGET), ("Load", _LOAD)]
    if number != WITHOUT_RMM:
        own.insert(1, ("Memory", _RMM))
    if number in {5, 7}:
        path = f'DATA_PATH_ZARR = "/home/ubuntu/single-cell/zarr/part{number}.zarr"'
        own.append(("Chunks", f"{path}\nCHUNK_SIZE = 20_000"))
    if number == 7:
        own += [
            ("Partial results", 'OUT_DIR = os.path.join("/raid/out", "partial")\nn_done = 0'),
            ("Final results", 'OUT_DIR = "/raid/out/final"'),
        ]
    end = [("", "")]
    if number != WITHOUT_SHUTDOWN:
        source = _SHUTDOWN_LONG if number % 2 else _SHUTDOWN_SHORT
        end = [("Shut the kernel down", source), ("", "")]
    yield from own
    for step in range(CODE_CELLS[number] - len(own) - len(end)):
        heading, source = _STEPS[step % len(_STEPS)]
        yield heading, source.format(step=step + 1)
    yield from end
