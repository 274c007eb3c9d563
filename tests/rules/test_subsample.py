"""The hook anndata-subsample, as a cell's source in a process of its own with the real anndata."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from stepkit.rules import subsample
from stepkit.rules.in_kernel.anndata_subsample import _StepkitAnndataSubsample
from stepkit.rules.model import Subsample

if TYPE_CHECKING:
    from pathlib import Path

WRITE = """\
import anndata, numpy as np, warnings
warnings.simplefilter("ignore")
data = anndata.AnnData(np.arange(5000.0).reshape(100, 50))
data.write_h5ad("a.h5ad")
data.write_zarr("a.zarr")
"""


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("scanpy")
    path = tmp_path_factory.mktemp("data")
    subprocess.run([sys.executable, "-c", WRITE], cwd=path, check=True)
    return path


def run(directory: Path, hook: Subsample, code: str) -> str:
    """Run the hook's cell and then ``code``; return what both print."""
    source = f"{subsample.source(hook)}\nimport warnings\nwarnings.simplefilter('ignore')\n{code}"
    done = subprocess.run(
        [sys.executable, "-c", source], cwd=directory, capture_output=True, text=True, check=False
    )
    return done.stdout + done.stderr


def test_every_reader_is_cut_to_the_same_rows_in_their_order(directory: Path) -> None:
    printed = run(
        directory,
        Subsample(max_obs=10, max_vars=5, seed=3),
        "import scanpy, anndata, anndata.io\n"
        "readers = [(anndata.read_h5ad, 'a.h5ad'), (anndata.read_zarr, 'a.zarr'),\n"
        "    (anndata.io.read_h5ad, 'a.h5ad'), (scanpy.read_h5ad, 'a.h5ad'),\n"
        "    (scanpy.read, 'a.h5ad')]\n"
        "read = [reader(path) for reader, path in readers]\n"
        "assert all(data.shape == (10, 5) and not data.is_view for data in read)\n"
        "assert all((data.X == read[0].X).all() for data in read)\n"
        "assert (read[0].X[1:] > read[0].X[:-1]).all() and (read[0].X[:, 1:] > read[0].X[:, :-1])"
        ".all()\n"
        "print(anndata.read_h5ad.__doc__[:20].strip(), '_StepkitAnndataSubsample' in globals())",
    )

    lines = printed.splitlines()
    assert lines.count(
        "stepkit: read_h5ad: 10 x 5 of 100 x 50 kept (anndata-subsample, seed 3)"
    ) == (4)
    assert lines[1] == "stepkit: read_zarr: 10 x 5 of 100 x 50 kept (anndata-subsample, seed 3)"
    assert lines[-1].endswith("False")


def test_the_seed_decides_what_is_kept_and_rows_do_not_move_columns() -> None:
    pytest.importorskip("numpy")

    def kept(axis: int, *, rows: int | None = 3, seed: int = 0) -> list[int]:
        return list(_StepkitAnndataSubsample(rows, 4, seed).kept(axis, 1000))

    assert kept(0) == kept(0) == sorted(set(kept(0)))
    assert kept(0) != kept(0, seed=1)
    assert kept(1) == kept(1, rows=7)
    assert kept(1) != kept(1, seed=1)


def test_small_data_is_not_touched_and_said_to_be_small(directory: Path) -> None:
    printed = run(
        directory,
        Subsample(max_obs=100),
        "import anndata; print(anndata.read_h5ad('a.h5ad').shape)",
    )

    assert printed.splitlines() == [
        "stepkit: read_h5ad: 100 x 50 is small enough (anndata-subsample)",
        "(100, 50)",
    ]


def test_a_backed_file_is_refused_in_words(directory: Path) -> None:
    printed = run(
        directory,
        Subsample(max_obs=10),
        "import anndata\n"
        "for args, options in (('r',), {}), ((), {'backed': 'r'}):\n"
        "    try:\n"
        "        anndata.read_h5ad('a.h5ad', *args, **options)\n"
        "    except ValueError as error:\n"
        "        print(error)",
    )

    refused = (
        "stepkit's anndata-subsample cannot cut what read_h5ad opens with backed='r': "
        "read it into memory, or run without this variant"
    )
    assert printed.splitlines() == [refused, refused]


def test_without_anndata_the_cell_only_says_so(directory: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-S", "-c", subsample.source(Subsample(max_obs=1)) + "\nprint('on')"],
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stdout == (
        "stepkit: anndata is not installed: anndata-subsample does nothing\non\n"
    )


def test_the_cell_imports_neither_anndata_nor_pandas_itself(directory: Path) -> None:
    printed = run(
        directory,
        Subsample(max_obs=1),
        "import sys; print({'anndata', 'pandas', 'numpy'} & sys.modules.keys())",
    )

    assert printed == "set()\n"


def test_a_second_run_of_the_cell_wraps_nothing_twice(directory: Path) -> None:
    hook = Subsample(max_obs=10)
    printed = run(
        directory,
        hook,
        f"import anndata\n{subsample.source(hook)}\nanndata.read_h5ad('a.h5ad')",
    )

    assert printed.splitlines() == [
        "stepkit: read_h5ad: 10 x 50 of 100 x 50 kept (anndata-subsample, seed 0)"
    ]
