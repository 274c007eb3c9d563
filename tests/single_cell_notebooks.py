"""Stand-ins for the notebooks of NVIDIA's single-cell blueprint, for the example of their rules.

Each has the cells that the rules look at, in the shape of the real ones, and little else. They run
without a GPU where a stand-in of scanpy lies beside them.
"""

from pathlib import Path
from typing import Any, Final

import nbformat

_DOWNLOAD: Final = """\
import os
import anndata as ad

url = "http://127.0.0.1:9/dli_census.h5ad"
data_dir = {directory}
output = data_dir + "/dli_census.h5ad"
if not os.path.exists(data_dir):
    os.system(f"mkdir {{data_dir}}")
if not os.path.isfile(output):
    if not os.path.isfile(output):
        {download}
    adata = ad.read_h5ad(output)
    adata = adata[adata.obs["assay"] == "a"].copy()
    adata.write(output)"""

_LARGE: Final = """\
import os
data_dir = "./h5"
url = "http://127.0.0.1:9/brain.h5ad"
{name} = data_dir + "/nvidia_1.3M.h5ad"
if not os.path.isfile({name}):
    {download}"""

_PATHS: Final = """\
import os
DATA_PATH_ZARR = '/data/x.zarr'
OUT_DIR = '/data/out'
os.makedirs(OUT_DIR, exist_ok=True)"""

_GATED: Final = """\
output = os.getcwd() + '/h5/gex.tar.gz'
OUT_DIR = os.getcwd() + '/gex.zarr'
if not os.path.isfile(output):
        os.system(f"wget --header='A: {os.environ['HF_TOKEN']}' -O {output} u") # or verbose"""

_SHUTDOWN: Final = "import IPython\n\nIPython.Application.instance().kernel.do_shutdown(True)"

SOURCES: Final = {
    "01_scRNA_analysis_preprocessing": [
        "import scanpy as sc",
        _DOWNLOAD.format(
            directory='os.getcwd() + "/h5"', download='os.system(f"wget {url} -O {output}")'
        ),
        "%%time\nadata = sc.read(output)\nprint('cells and genes:', adata.shape)",
        'adata.write("h5/dli_decoupler.h5ad")',
        _SHUTDOWN,
        "",
    ],
    "02_scRNA_analysis_extended": [
        "import scanpy as sc",
        'adata = sc.read_h5ad("./h5/dli_decoupler.h5ad")\nprint(adata.shape)',
        _SHUTDOWN,
    ],
    "03_scRNA_analysis_with_pearson_residuals": [
        _DOWNLOAD.format(directory='"./h5"', download="wget.download(url, output)"),
        _SHUTDOWN,
    ],
    "04_scRNA_analysis_dask_out_of_core": [
        '%%time\npreprocessing_gpus="0,1"\nprint(preprocessing_gpus)',
        "import wget\n"
        + _LARGE.format(name="output", download="wget.download(url, output)")
        + "\nfinal = './zarr/cell_atlas.zarr'",
        _SHUTDOWN,
    ],
    "05_spatial_demo": ["import rmm\nrmm.reinitialize(pool_allocator=True, devices=[0,1])"],
    "06_scRNA_analysis_1.0M_brain_example": [
        "import wget\n"
        + _LARGE.format(name="final", download='os.system(f"wget {url} -O {final}")'),
        "adata = sc.read(final)\nadata = adata[:1_000_000, :].copy()",
        _SHUTDOWN,
    ],
    "07_perturbation_analysis_invivo_brain_example": [
        _PATHS,
        "# a token\nos.environ['HF_TOKEN'] = 'my_token'",
        _GATED,
        "OUT_DIR = os.getcwd() + '/gex.zarr'",
    ],
}

# What the notebooks use of scanpy; the hook finds anndata's reader below it.
SCANPY: Final = """\
import anndata


def read(path):
    return anndata.read_h5ad(path)


read_h5ad = read
"""


def notebook(name: str) -> Any:
    """Return the stand-in of a notebook by the stem of its name."""
    spec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    cells = [nbformat.v4.new_code_cell(source) for source in SOURCES[name]]
    return nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": spec})


def write(directory: Path) -> None:
    """Write all stand-ins, and that of scanpy, to ``directory``."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "scanpy.py").write_text(SCANPY)
    for name in SOURCES:
        nbformat.write(notebook(name), directory / f"{name}.ipynb")
