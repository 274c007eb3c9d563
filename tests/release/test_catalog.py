"""The catalog has the layout and the texts that Artifact Hub reads.

What it refuses or ignores is as in its tracker of Tekton repositories with versions in directories.
"""

import re
from pathlib import Path

import pytest
import yaml

from release import catalog
from stepkit import __version__
from stepkit.tekton import shipped

CATEGORIES = {"ai-machine-learning", "integration-delivery", "monitoring-logging", "storage"}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("catalog")
    earlier = directory / "task/git-clone/0.1.0/git-clone.yaml"
    earlier.parent.mkdir(parents=True)
    earlier.write_text("earlier")
    (directory / "task/artifacthub-repo.yml").write_text("repositoryID: ours")
    assert catalog.main([str(directory)]) == 0
    return directory


def test_each_task_pipeline_and_step_action_is_a_package(written: Path) -> None:
    actions = {path.stem for path in shipped.directory().glob("stepactions/*.yaml")}
    for kind, names in (
        ("task", set(shipped.tasks())),
        ("pipeline", set(shipped.pipelines())),
        ("stepaction", actions),
    ):
        found = written.glob(f"{kind}/*/{__version__}/*.yaml")
        assert {path.stem for path in found if path.stem == path.parts[-3]} == names


def test_a_package_has_the_name_version_and_texts_that_are_asked_for(written: Path) -> None:
    manifests = list(written.glob(f"*/*/{__version__}/*.yaml"))
    assert manifests
    for path in manifests:
        document = yaml.load(path.read_text(), yaml.CSafeLoader)
        metadata = document["metadata"]
        ours = {
            name.partition("/")[2]: value
            for name, value in metadata["annotations"].items()
            if name.startswith("artifacthub.io/")
        }
        assert document["kind"].lower() == path.parts[-4]
        assert metadata["name"] == path.stem
        assert metadata["labels"]["app.kubernetes.io/version"] == __version__
        assert document["spec"]["description"]
        assert ours.keys() == {"category", "license", "links"}
        assert ours["category"] in CATEGORIES
        assert [set(link) for link in yaml.safe_load(ours["links"])] == [{"name", "url"}]


def test_its_readme_leads_to_the_repository(written: Path) -> None:
    for path in written.glob(f"*/*/{__version__}"):
        readme = (path / "README.md").read_text()
        assert readme.startswith(f"# {path.parts[-2]}")
        assert not re.findall(r"\]\((?!https://|#)[^)]*\)", readme)


def test_a_pipeline_has_the_examples_of_its_runs(written: Path) -> None:
    samples = {
        path.parts[-4]: yaml.safe_load(path.read_text())["spec"]
        for path in written.glob("*/*/*/samples/*.yaml")
    }
    assert samples.keys() == {"check-environment", *shipped.pipelines()}
    assert samples["smoke"]["pipelineRef"] == {"name": "smoke"}


def test_earlier_versions_and_the_id_of_the_repository_stay(written: Path) -> None:
    assert (written / "task/git-clone/0.1.0/git-clone.yaml").read_text() == "earlier"
    assert (written / "task/artifacthub-repo.yml").read_text() == "repositoryID: ours"
    assert "repositoryID" in (written / "pipeline/artifacthub-repo.yml").read_text()
