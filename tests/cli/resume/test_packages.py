"""The digest of an environment changes with its packages, its kernels and its image."""

import json
import sys
from pathlib import Path

import pytest

from stepkit.cli.resume import packages


def add_package(environment: Path, name: str) -> None:
    (environment / f"lib/python3.12/site-packages/{name}.dist-info").mkdir(parents=True)


def test_a_package_changes_an_environment_and_none_has_no_digest(tmp_path: Path) -> None:
    assert packages.of_environment(tmp_path / "none") == ""
    add_package(tmp_path, "one-1.0")
    before = packages.of_environment(tmp_path)
    assert before == packages.of_environment(tmp_path) != ""

    add_package(tmp_path, "two-1.0")

    assert packages.of_environment(tmp_path) != before


def test_the_image_changes_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    before = packages.of_machine()
    assert packages.of_machine() == before

    monkeypatch.setenv("STEPKIT_IMAGE", "stepkit@sha256:0")

    assert packages.of_machine() != before


def test_a_package_of_this_python_changes_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = packages.of_machine()
    (tmp_path / "new-1.0.dist-info").mkdir()
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])

    assert packages.of_machine() != before


def test_a_kernel_and_the_packages_of_its_python_change_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    found = [packages.of_machine()]
    spec = tmp_path / "jupyter/kernels/other/kernel.json"
    spec.parent.mkdir(parents=True)
    add_package(tmp_path / "other", "one-1.0")
    spec.write_text(json.dumps({"argv": [f"{tmp_path}/other/bin/python", "-m", "ipykernel"]}))
    found.append(packages.of_machine())
    add_package(tmp_path / "other", "two-1.0")
    found.append(packages.of_machine())
    spec.write_text("torn")
    found.append(packages.of_machine())

    assert len(set(found)) == 4
