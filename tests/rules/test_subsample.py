"""The hook anndata-subsample, run as a cell's source in a process with the real anndata."""

from importlib.util import find_spec
from pathlib import Path

import commands
import pytest

from stepkit.kernel.hooks.anndata_subsample import _StepkitAnndataSubsample
from stepkit.rules import subsample
from stepkit.rules.rule import Subsample

HOOK = subsample.source(Subsample(max_obs=10, max_vars=5, seed=3))

# One process for all, because to import anndata takes a second.
SCRIPT = f"""\
{HOOK}
import sys
print(sorted({{'anndata', 'pandas', 'numpy'}} & sys.modules.keys()))
print('_StepkitAnndataSubsample' in globals())
import warnings
warnings.simplefilter("ignore")
import anndata, anndata.io, numpy as np
data = anndata.AnnData(np.arange(5000.0).reshape(100, 50))
data.write_h5ad("a.h5ad")
data.write_zarr("a.zarr")
data[:10, :5].write_h5ad("small.h5ad")

print("--- cut")
readers = [(anndata.read_h5ad, 'a.h5ad'), (anndata.read_zarr, 'a.zarr'),
    (anndata.io.read_h5ad, 'a.h5ad')]
read = [reader(path) for reader, path in readers]
assert all(data.shape == (10, 5) and not data.is_view for data in read)
assert all((data.X == read[0].X).all() for data in read)
assert (read[0].X[1:] > read[0].X[:-1]).all() and (read[0].X[:, 1:] > read[0].X[:, :-1]).all()

print("--- small")
print(anndata.read_h5ad("small.h5ad").shape)

print("--- backed")
for args, options in (("r",), {{}}), ((), {{"backed": "r"}}):
    try:
        anndata.read_h5ad("a.h5ad", *args, **options)
    except ValueError as error:
        print(error)

print("--- again")
{HOOK}
data = anndata.read_h5ad("a.h5ad")
"""

KEPT = "stepkit: read_h5ad: 10 x 5 of 100 x 50 kept (anndata-subsample, seed 3)"
Printed = dict[str, list[str]]

needs_anndata = pytest.mark.skipif(find_spec("anndata") is None, reason="anndata is not installed")


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> Printed:
    """Return what each part of the script printed."""
    done = commands.python("-c", SCRIPT, cwd=tmp_path_factory.mktemp("data"))
    first, *parts = (done.stdout + done.stderr).split("--- ")
    lines = {name: rest for name, *rest in (part.splitlines() for part in parts)}
    return {"import": first.splitlines(), **lines}


@needs_anndata
def test_every_reader_is_limited_to_the_same_rows_in_their_order(printed: Printed) -> None:
    assert printed["cut"] == [KEPT, KEPT.replace("h5ad", "zarr"), KEPT]


@needs_anndata
def test_small_data_is_not_changed_and_the_hook_says_so(printed: Printed) -> None:
    assert printed["small"] == [
        "stepkit: read_h5ad: 10 x 5 is small enough (anndata-subsample)",
        "(10, 5)",
    ]


@needs_anndata
def test_a_backed_file_is_refused_with_an_explanation(printed: Printed) -> None:
    refused = (
        "stepkit's anndata-subsample cannot cut what read_h5ad opens with backed='r': "
        "read it into memory, or run without this variant"
    )
    assert printed["backed"] == [refused, refused]


@needs_anndata
def test_running_the_cell_twice_wraps_each_reader_once(printed: Printed) -> None:
    assert printed["again"] == [KEPT]


@needs_anndata
def test_the_cell_imports_neither_anndata_nor_pandas_and_leaves_no_name(printed: Printed) -> None:
    assert printed["import"] == ["[]", "False"]


@pytest.mark.slow
@pytest.mark.skipif(find_spec("scanpy") is None, reason="scanpy is not installed")
def test_the_readers_of_scanpy_are_limited_too(tmp_path: Path) -> None:
    done = commands.python(
        "-c",
        f"{HOOK}\nimport warnings; warnings.simplefilter('ignore')\n"
        "import scanpy, anndata, numpy as np\n"
        "anndata.AnnData(np.ones((100, 50))).write_h5ad('a.h5ad')\n"
        "print(scanpy.read_h5ad('a.h5ad').shape, scanpy.read('a.h5ad').shape)",
        cwd=tmp_path,
    )

    assert (done.stdout + done.stderr).splitlines() == [KEPT, KEPT, "(10, 5) (10, 5)"]


def test_the_seed_decides_what_is_kept_and_rows_do_not_move_columns() -> None:
    pytest.importorskip("numpy")

    def kept(axis: int, *, rows: int | None = 3, seed: int = 0) -> list[int]:
        return list(_StepkitAnndataSubsample(rows, 4, seed).kept(axis, 1000))

    assert kept(0) == kept(0) == sorted(set(kept(0)))
    assert kept(0) != kept(0, seed=1)
    assert kept(1) == kept(1, rows=7)
    assert kept(1) != kept(1, seed=1)


def test_without_anndata_the_cell_only_prints_a_line(tmp_path: Path) -> None:
    code = subsample.source(Subsample(max_obs=1)) + "\nprint('on')"

    done = commands.python("-S", "-c", code, cwd=tmp_path)

    assert done.stdout == (
        "stepkit: anndata is not installed: anndata-subsample does nothing\non\n"
    )
