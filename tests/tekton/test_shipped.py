"""The Tasks and Pipelines of this version are found in a checkout and in a wheel."""

from pathlib import Path

import pytest

from stepkit.tekton import shipped


def test_a_checkout_has_them_beside_the_package() -> None:
    assert shipped.directory() == Path(__file__).parents[2] / "tasks"
    assert list(shipped.pipelines()) == ["dataset-warm", "notebook-ci", "notebook-matrix", "smoke"]
    assert {"git-clone", "execute-notebook"} < set(shipped.tasks())
    assert "kustomization" not in shipped.tasks()


def test_a_wheel_has_them_in_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipped, "_PACKAGE", tmp_path / "stepkit")
    for place in ("tasks/beside.yaml", "stepkit/tasks/within.yaml"):
        (tmp_path / place).parent.mkdir(parents=True)
        (tmp_path / place).touch()

    assert shipped.tasks() == {"within": tmp_path / "stepkit/tasks/within.yaml"}
