"""Rows T20 to T28: what goes wrong with the packages of a test suite, and what installs them."""

import json
import shutil
import sys
import sysconfig
from pathlib import Path
from typing import Any

import commands
import package_index
import pytest
import uv
from faults.harness import Ended, Fault, row
from faults.test_test_suites import OK, is_junit

ROOT = Path(__file__).parents[2]
PROJECT = """\
[project]
name = "sample"
version = "1"
requires-python = ">=3.11,<3.14"
dependencies = {dependencies}
[tool.poetry]
package-mode = false
[[tool.poetry.source]]
name = "local"
url = "{index}"
priority = "primary"
"""
FLAGS = ("--checkout=checkout", "--artifacts=artifacts", "--attempts=1",
         "--with-coverage=false", "--with-html=false")  # fmt: skip


def repository(fault: Fault, index: str, *dependencies: str, locked: bool = True) -> Path:
    """Write a poetry project with a test that needs tinydep, and lock it."""
    checkout = fault.directory / "checkout"
    (checkout / "tests").mkdir(parents=True, exist_ok=True)
    (checkout / "tests/test_x.py").write_text(f"import tinydep\n{OK}")
    listed = json.dumps(["tinydep<2", *dependencies])
    (checkout / "pyproject.toml").write_text(PROJECT.format(dependencies=listed, index=index))
    if locked:
        done = commands.python("-P", "-m", "poetry", "lock", cwd=checkout)
        assert done.returncode == 0, done.stdout + done.stderr
    return checkout


def run_tests(fault: Fault, *flags: str, **process: Any) -> Ended:
    fault.place("artifacts/pytest_results.xml", is_junit)
    return fault.run(*FLAGS, *flags, **process)


def without(fault: Fault, python: Path, *packages: str) -> dict[str, Any]:
    """Return how to run the step with ``python``, as if some packages were not installed."""
    site = fault.private / "site-packages"
    site.mkdir()
    for path in Path(sysconfig.get_path("purelib")).iterdir():
        if path.name.partition("-")[0] not in packages:
            (site / path.name).symlink_to(path)
    return {
        "command": (python, "-S", "-P", "-m", "stepkit"),
        "env": {"PYTHONPATH": f"{ROOT}:{site}", "PATH": "/usr/bin:/bin"},
    }


def base_python() -> Path:
    return Path(sys.base_prefix, "bin", f"python{sysconfig.get_python_version()}")


@row("T20")
def test_poetry_is_missing(fault: Fault, index: str) -> None:
    repository(fault, index)

    ended = run_tests(fault, **without(fault, base_python(), "poetry"))

    assert ended.report["outputs"]["installer"] == "pip"
    assert "poetry is not installed" in ended.report["outputs"]["installer-reason"]


@row("T21", "T22", "T23", "T24")
def test_a_lock_that_does_not_fit(fault: Fault, index: str) -> None:
    checkout = repository(fault, index, locked=fault.number in {"T22", "T24"})
    lock = checkout / "poetry.lock"
    if fault.number == "T22":
        repository(fault, index, "iniconfig", locked=False)
    elif fault.number == "T23":
        lock.write_text("<<<<<<< HEAD\n")
    elif fault.number == "T24":
        head, _, tail = lock.read_text().rpartition("sha256:")
        lock.write_text(f"{head}sha256:{'0' * 64}{tail[64:]}")
    before = lock.read_bytes() if lock.exists() else None

    run_tests(fault)

    assert (lock.read_bytes() if lock.exists() else None) == before


@row("T25", "T26")
@pytest.mark.usefixtures("index")
def test_an_index_that_lacks_what_is_needed(fault: Fault, wheels: Path, tmp_path: Path) -> None:
    package_index.write_small_wheel("tinydep", "1.0", tmp_path / "index/simple")
    lacks_pytest = fault.case == "not-in-the-index"
    with package_index.serve(tmp_path / "index" if lacks_pytest else wheels) as url:
        repository(fault, url)
        env = {"PIP_INDEX_URL": url, "UV_DEFAULT_INDEX": url}
        if fault.number == "T26":
            run_tests(fault, env=env)
    if fault.number == "T25":
        run_tests(fault, env=env)


@row("T27")
def test_a_project_that_is_no_package(fault: Fault, index: str) -> None:
    checkout = repository(fault, index)

    run_tests(fault)

    assert {path.name for path in checkout.iterdir()} == {"pyproject.toml", "poetry.lock", "tests"}


@row("T28")
@pytest.mark.usefixtures("index")
def test_pip_is_missing(fault: Fault) -> None:
    (fault.directory / "checkout").mkdir()
    (fault.directory / "checkout/requirements.txt").write_text("tinydep<2\n")
    (fault.directory / "checkout/test_x.py").write_text(f"import tinydep\n{OK}")
    python = python_without_ensurepip(fault.private / "python")

    process = without(fault, python, "uv")
    if fault.case == "uv":
        programs = fault.private / "programs"
        programs.mkdir()
        (programs / "uv").symlink_to(uv.find_uv_bin())
        process["env"]["PATH"] += f":{programs}"

    run_tests(fault, **process)


def python_without_ensurepip(root: Path) -> Path:
    """Copy the base Python without ensurepip, as Debian's python3 is."""
    library = Path(sysconfig.get_path("stdlib", vars={"base": sys.base_prefix}))
    copied = root / "lib" / library.name
    copied.mkdir(parents=True)
    for path in library.iterdir():
        if path.name not in {"ensurepip", "site-packages"}:
            (copied / path.name).symlink_to(path)
    (root / "bin").mkdir()
    python = shutil.copy(base_python(), root / "bin")
    if commands.run(python, "-c", "import ssl").returncode:
        pytest.skip("T28: needs a Python that runs from another directory")
    return Path(python)
