"""The example of the single-cell blueprint, on stand-ins for its notebooks."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import data_server
import pytest
import single_cell_notebooks
import yaml
from samples import Origin
from test_pipelines import run_local

from stepkit import rules
from stepkit.datasets import manifest
from stepkit.rules.rule import Subsample

EXAMPLE = Path(__file__).parents[1] / "examples/single-cell-blueprint"
RULES = {path.stem: path for path in sorted(EXAMPLE.glob("rules/*.yaml"))}
VARIANTS = [
    (name, variant)
    for name, path in RULES.items()
    for variant in (None, *rules.load(path).variants)
]
LITE = Subsample(max_obs=50_000, max_vars=10_000)
READ_IN_CHUNKS = {
    "04_scRNA_analysis_dask_out_of_core",
    "07_perturbation_analysis_invivo_brain_example",
}


def test_each_notebook_has_its_rules() -> None:
    assert set(RULES) == set(single_cell_notebooks.SOURCES)


@pytest.mark.parametrize(("name", "variant"), VARIANTS)
def test_rules_fit_and_leave_no_download_and_no_host_path(name: str, variant: str | None) -> None:
    patched = rules.apply(
        single_cell_notebooks.notebook(name), rules.load(RULES[name]), variant=variant
    )

    code = "\n".join(
        cell.source
        for cell in patched.notebook.cells
        if "skip-execution" not in cell.metadata.get("tags", [])
    )
    assert not patched.tolerances
    for gone in ("wget {", "wget.download", "wget --header", "/data/out", "my_token", "[0,1]"):
        assert gone not in code
    for cell in patched.notebook.cells:
        compile(cell.source.removeprefix("%%time\n"), name, "exec")


def test_lite_is_at_most_50_000_cells_and_10_000_genes_of_what_is_read_whole() -> None:
    lite = {name: rules.load(path).variants.get("lite") for name, path in RULES.items()}

    cut = {name for name, variant in lite.items() if variant and variant.hooks == (LITE,)}
    uncut = {name for name, variant in lite.items() if not variant or not variant.hooks}
    assert cut == {name for name in RULES if name[:2] in {"01", "03", "06"}}
    assert uncut - READ_IN_CHUNKS == {name for name in RULES if name[:2] in {"02", "05"}}


def test_the_variant_of_a_million_cells_takes_one_gpu_and_the_smaller_file() -> None:
    name = "04_scRNA_analysis_dask_out_of_core"

    patched = rules.apply(
        single_cell_notebooks.notebook(name), rules.load(RULES[name]), variant="million"
    )

    source = "\n".join(cell.source for cell in patched.notebook.cells)
    assert "preprocessing_gpus='0'" in source.replace('"', "'")
    (brain,) = manifest.read(EXAMPLE / "datasets/brain.yaml")
    assert f"output = './{brain.path}'" in source


@pytest.mark.parametrize(
    "path", sorted(EXAMPLE.glob("datasets/*.yaml")), ids=lambda path: path.stem
)
def test_the_manifests_are_whole_and_name_no_checksum_that_was_not_measured(path: Path) -> None:
    (dataset,) = manifest.read(path)

    assert dataset.sha256 is None
    assert dataset.url.startswith(("https://", "hf://"))


def test_the_table_names_every_notebook_manifest_and_variant() -> None:
    text = (EXAMPLE / "README.md").read_text()

    rows = {row[2:4]: row for row in text.splitlines() if row.startswith("| 0")}
    assert set(rows) == {name[:2] for name in RULES}
    for name, variant in VARIANTS:
        assert variant is None or f"`{variant}`" in rows[name[:2]]
    for path in EXAMPLE.glob("datasets/*.yaml"):
        assert f"`{path.name}`" in text


def census(path: Path) -> bytes:
    """Make a file of anndata with cells of two assays, more than the test lets through."""
    script = (
        "import sys, anndata, numpy, pandas\n"
        "obs = pandas.DataFrame({'assay': ['a', 'b'] * 20}, index=[f'c{i}' for i in range(40)])\n"
        "anndata.AnnData(numpy.ones((40, 6), dtype='float32'), obs=obs).write_h5ad(sys.argv[1])\n"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", script, str(path)], check=True)
    return path.read_bytes()


def params() -> dict[str, str]:
    """Return the params of the example's PipelineRun that say what to run."""
    given = yaml.safe_load((EXAMPLE / "run-lite.yaml").read_text())["spec"]["params"]
    return {item["name"].replace("-", "_"): item["value"] for item in given}


@pytest.mark.slow
def test_the_pipeline_run_of_the_example_cuts_verified_data(tmp_path: Path) -> None:
    pytest.importorskip("anndata")
    notebooks, config = Origin(tmp_path / "notebooks"), Origin(tmp_path / "config")
    single_cell_notebooks.write(notebooks.path / "notebooks")
    notebooks.commit("notebooks")
    shutil.copytree(EXAMPLE, config.path / "single-cell-blueprint")
    file = config.path / "single-cell-blueprint/rules/01_scRNA_analysis_preprocessing.yaml"
    file.write_text(
        file.read_text().replace("max_obs: 50000, max_vars: 10000", "max_obs: 30, max_vars: 4")
    )
    with data_server.serving(census(tmp_path / "census.h5ad")) as server:
        listed = config.path / "single-cell-blueprint/datasets/census.yaml"
        listed.write_text(listed.read_text().replace("https://exampledata.scverse.org", server.url))
        config.commit("config")

        here = {"notebooks_url": notebooks.url, "config_url": config.url, "gpu": "none"}
        ended, log = run_local(tmp_path, "notebook-ci", **{**params(), **here})

    assert ended == 0, log
    artifacts = tmp_path / "work/run-1/artifacts"
    record: dict[str, Any] = json.loads((artifacts / "run_lite.json").read_text())
    (notebook,) = record["notebooks"]
    repository = record["repositories"][notebook["rules"]["repository"]]
    assert (repository["url"], repository["commit"]) == (config.url, config.head)
    assert "30 x 4 of 40 x 6 kept" in (artifacts / "papermill.log").read_text()
    assert (artifacts / "STEP_SUMMARY_LITE.md").is_file()


@pytest.mark.slow
def test_the_plan_of_the_example_runs_the_second_notebook_on_what_the_first_wrote(
    tmp_path: Path,
) -> None:
    pytest.importorskip("anndata")
    single_cell_notebooks.write(tmp_path / "run/source/notebooks")
    shutil.copytree(EXAMPLE, tmp_path / "run/config/single-cell-blueprint")
    (tmp_path / "run/source/notebooks/datasets").mkdir()
    census(tmp_path / "run/source/notebooks/datasets/dli_census.h5ad")
    command = [sys.executable, "-P", "-m", "stepkit", "execute-notebooks", "--gpu=none"]
    command += ["--plan=config:single-cell-blueprint/plan.yaml", f"--checkouts={tmp_path}/run"]
    done = subprocess.run(
        [*command, f"--directory={tmp_path}/out"], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    assert {"preprocessing_lite.ipynb", "extended_lite.ipynb"} <= {
        path.name for path in (tmp_path / "out").iterdir()
    }
