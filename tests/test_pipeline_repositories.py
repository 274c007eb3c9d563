"""The Pipelines with rules and datasets from each repository, as run-local runs them."""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import data_server
import pytest
import yaml
from samples import Origin, write_notebook
from test_pipelines import notebook_ci, repository_of_tests, run_local

pytestmark = pytest.mark.slow

SETS = "rules: [{set: {n: 2}}]\n"
TOLERATES = "tolerate: [{ename: ZeroDivisionError, reason: known}]\n"
REFUSED = "the notebooks' repository may change cells, but not excuse its own errors"


class Repositories:
    """The three repositories of a run, each with the rules that a test puts into it."""

    def __init__(self, directory: Path, *sources: str) -> None:
        self.directory = directory
        self.notebooks, self.tests = Origin(directory / "notebooks"), repository_of_tests(directory)
        self.config = Origin(directory / "config")
        self.config.commit("config")
        write_notebook(self.notebooks.path / "nb/a.ipynb", *sources)
        self.notebooks.commit("notebooks")

    def run(self, **params: str) -> tuple[int, str]:
        """Run notebook-ci; return exit code and log."""
        return notebook_ci(self.directory, self.notebooks, self.tests, **params)

    def refused(self, **params: str) -> str:
        """Return the message of execute-notebook, which ends before the first cell."""
        ended, log = self.run(**params)
        assert ended == 2, log
        assert "Traceback" not in log
        report = json.loads(
            (self.directory / "work/run-1/reports/execute-notebook.json").read_text()
        )
        assert report["exit_code"] == 2
        assert not (self.directory / "work/run-1/artifacts/output_analysis.ipynb").exists()
        return str(report["message"])

    def record(self) -> dict[str, Any]:
        """Return the record of the run."""
        return load(self.directory)


def load(directory: Path, run: str = "run-1") -> dict[str, Any]:
    record: dict[str, Any] = json.loads((directory / f"work/{run}/artifacts/run.json").read_text())
    return record


@pytest.mark.parametrize("name", ["tests", "config", "notebooks"])
def test_rules_come_from_the_repository_that_is_named_and_the_report_says_so(
    tmp_path: Path, name: str
) -> None:
    run = Repositories(tmp_path, "n = 1", "assert n == 2")
    origin: Origin = getattr(run, name)
    origin.commit(SETS, "ci/rules.yaml")

    ended, log = run.run(rules=f"{name}:ci/rules.yaml", config_url=run.config.url)

    assert ended == 0, log
    record = run.record()
    (notebook,) = record["notebooks"]
    assert notebook["rules"]["in_repository"] == "ci/rules.yaml"
    repository = record["repositories"][notebook["rules"]["repository"]]
    assert (repository["url"], repository["commit"]) == (origin.url, origin.head)
    artifacts = tmp_path / "work/run-1/artifacts"
    line = f"The rules are those of `ci/rules.yaml` in {name} at `{origin.head[:12]}`."
    assert line in (artifacts / "STEP_SUMMARY.md").read_text()
    assert (
        f"in {origin.url} at <code>{origin.head[:12]}</code>"
        in (artifacts / "report.html").read_text()
    )


@pytest.mark.parametrize("rules", ["notebooks:ci/rules.yaml", "ci/rules.yaml"])
def test_the_authors_of_a_notebook_do_not_excuse_its_errors_unless_the_run_lets_them(
    tmp_path: Path, rules: str
) -> None:
    run = Repositories(tmp_path, "1 / 0", "print('went on')")
    run.notebooks.commit(TOLERATES, "ci/rules.yaml")

    message = run.refused(rules=rules)
    ended, log = run.run(run="run-2", rules=rules, allow_notebook_tolerance="true")

    assert message.endswith(
        f"source/ci/rules.yaml, line 1: tolerate 1 (tolerate ZeroDivisionError): {REFUSED}: "
        "declare this in another repository (tests:PATH, config:PATH), or pass "
        "--allow-notebook-tolerance true"
    )
    assert ended == 0, log
    assert load(tmp_path, "run-2")["verdict"] == "passed with tolerated errors"


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ("config:ci/rules.yaml", "the repository 'config' was not cloned to run-1/config"),
        ("tests:ci/none.yaml", "there is no file tests:ci/none.yaml"),
        ("tests:../source/nb/a.ipynb", "tests:../source/nb/a.ipynb leads out of its repository"),
        ("tests:ci/out.yaml", "tests:ci/out.yaml leads out of its repository"),
        ("notebook:ci/rules.yaml", "there is no file notebook:ci/rules.yaml"),
    ],
)
def test_rules_that_are_not_in_the_repository_are_refused_before_the_first_cell(
    tmp_path: Path, rules: str, message: str
) -> None:
    run = Repositories(tmp_path, "n = 1")
    (run.tests.path / "ci").mkdir()
    (run.tests.path / "ci/out.yaml").symlink_to("../../source/nb/a.ipynb")
    run.tests.commit("link")

    assert message in run.refused(rules=rules)


def manifest(address: str) -> str:
    content = b"n,x\n1,2\n"
    entry = {"url": f"{address}/data.csv", "sha256": sha256(content).hexdigest()}
    return yaml.safe_dump({"datasets": [entry]})


@pytest.mark.parametrize("name", ["tests", "config", "notebooks"])
def test_the_manifest_of_datasets_comes_from_the_repository_that_is_named(
    tmp_path: Path, name: str
) -> None:
    with data_server.serving(b"n,x\n1,2\n") as server:
        run = Repositories(tmp_path, "assert open('../data.csv').read() == 'n,x\\n1,2\\n'")
        getattr(run, name).commit(manifest(server.url), "ci/datasets.yaml")

        ended, log = run.run(
            dataset_manifest=f"{name}:ci/datasets.yaml",
            config_url=run.config.url,
            download_timeout="5m",
        )

    assert ended == 0, log
    assert run.record()["datasets"][0]["path"] == "../source/data.csv"


def test_a_matrix_takes_rules_and_datasets_of_the_third_repository(tmp_path: Path) -> None:
    run = Repositories(tmp_path, "n = 1", "assert n == 2")
    run.config.commit(SETS, "rules.yaml")

    ended, log = run_local(
        tmp_path,
        "notebook-matrix",
        notebooks_url=run.notebooks.url,
        notebooks="nb/a.ipynb",
        rules="config:rules.yaml",
        config_url=run.config.url,
        output_name="executed",
        report_mode="true",
    )

    assert ended == 0, log
    assert load(tmp_path)["notebooks"][0]["rules"]["in_repository"] == "rules.yaml"
    left = {path.name for path in (tmp_path / "work/run-1/artifacts/nb/a.ipynb").iterdir()}
    assert {"executed.ipynb", "executed.html", "metrics.prom"} <= left


def test_the_cache_is_filled_by_a_manifest_of_the_third_repository(tmp_path: Path) -> None:
    with data_server.serving(b"n,x\n1,2\n") as server:
        config = Origin(tmp_path / "config")
        config.commit(manifest(server.url), "datasets.yaml")

        ended, log = run_local(
            tmp_path, "dataset-warm", manifest="config:datasets.yaml", config_url=config.url
        )

    assert ended == 0, log
    assert load(tmp_path)["repositories"][0]["commit"] == config.head
    assert list((tmp_path / "work/cache/datasets").rglob("*"))


def test_params_of_the_older_workflow_reach_the_steps(tmp_path: Path) -> None:
    run = Repositories(tmp_path, "hidden = 'shown'\nprint(hidden)")
    (run.tests.path / "test_page.py").write_text(
        "from pathlib import Path\n"
        "def test_page():\n"
        "    page = Path('input/executed_scrna_notebook_lite.html').read_text()\n"
        "    assert 'shown' in page and 'hidden =' not in page\n"
    )
    run.tests.commit("tests")

    ended, log = run.run(
        output_name="executed_scrna_notebook",
        suffix="_lite",
        report_mode="true",
        metrics="notebook.prom",
        input_names="{name}",
        summary_copy="STEP_SUMMARY_LITE.md",
    )

    assert ended == 0, log
    artifacts = tmp_path / "work/run-1/artifacts"
    assert "stepkit_" in (artifacts / "notebook.prom").read_text()
    assert (artifacts / "STEP_SUMMARY_LITE.md").read_text().startswith("# nb/a.ipynb: passed\n")


def test_a_run_that_is_resumed_reuses_the_notebook_while_its_rules_are_the_same(
    tmp_path: Path,
) -> None:
    run = Repositories(tmp_path, "n = 1", "assert n == 2")
    run.tests.commit(SETS, "rules.yaml")
    ended, log = run.run(rules="tests:rules.yaml")
    assert ended == 0, log

    _, log = run.run(run="run-2", rules="tests:rules.yaml", resume="run-1")
    run.tests.commit("rules: [{set: {n: 3}}]\n", "rules.yaml")
    changed, _ = run.run(run="run-3", rules="tests:rules.yaml", resume="run-1")

    record = json.loads((tmp_path / "work/run-2/artifacts/run.json").read_text())
    (notebook,) = record["notebooks"]
    assert notebook["reused_from"] == "run-1", log
    assert notebook["rules"]["in_repository"] == "rules.yaml"
    assert changed == 3  # the notebook ran with the new rules, and 3 is not 2
