"""The wheel is whole: what it holds works in an environment without a clone."""

import email
import json
import os
import re
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import commands
import pytest
from packaging.requirements import Requirement

from release import distributions
from stepkit import __version__

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel of this tree."""
    place = tmp_path_factory.mktemp("wheel")
    done = commands.python("-m", "hatchling", "build", "-t", "wheel", "-d", place, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    (built,) = place.glob("stepkit-*.whl")
    return built


def requirements(wheel: Path, extra: str) -> set[str]:
    """Return the packages that the wheel needs, and those that they need."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith("/METADATA"))
        lines = email.message_from_bytes(archive.read(name)).get_all("Requires-Dist", [])
    found: set[str] = set()
    waiting = [(line, each) for line in lines for each in ("", extra)]
    while waiting:
        line, asked = waiting.pop()
        wanted = Requirement(line)
        if wanted.marker is None or wanted.marker.evaluate({"extra": asked}):
            needs = metadata.requires(wanted.name) or [] if wanted.name not in found else []
            waiting += [(need, each) for need in needs for each in ("", *wanted.extras)]
            found.add(wanted.name)
    return found


def make_environment(wheel: Path, place: Path, extra: str = "") -> Path:
    """Make an environment of the wheel and what it needs, and return its Python.

    The files of dependencies are links to those of the tests' own environment.
    """
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", place], check=True)
    (site,) = place.glob("lib/python*/site-packages")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    for name in requirements(wheel, extra):
        distribution = metadata.distribution(name)
        for file in distribution.files or ():
            shared = "share" in file.parts  # nbconvert's templates, ipykernel's kernelspec
            link = site / (file if shared else file.parts[0])
            if (shared or file.parts[0] not in {"..", "__pycache__"}) and not link.exists():
                link = Path(os.path.normpath(link))
                link.parent.mkdir(parents=True, exist_ok=True)
                found = distribution.locate_file(file if shared else file.parts[0])
                link.symlink_to(Path(str(found)).absolute())
    return place / "bin/python"


@pytest.fixture(scope="session")
def bare(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the Python of an environment with the wheel, without pytest."""
    return make_environment(wheel, tmp_path_factory.mktemp("bare"))


@pytest.fixture(scope="session")
def with_tests(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the Python of an environment with the wheel and its extra ``tests``."""
    return make_environment(wheel, tmp_path_factory.mktemp("with-tests"), "tests")


def stepkit(python: Path, *args: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a command of the wheel without a network, where this machine allows that."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    alone = ["unshare", "--map-root-user", "--net"]
    offline = alone if commands.run(*alone, "true").returncode == 0 else []
    return commands.run(*offline, python, "-m", "stepkit", *args, cwd=cwd, env=env)


def test_the_wheel_holds_all_files_of_the_package_and_the_yaml_of_the_tasks(wheel: Path) -> None:
    listed = commands.run("git", "ls-files", "stepkit", "tasks", cwd=ROOT).stdout.splitlines()
    if not listed:
        pytest.skip("this tree is of an sdist: there is no list of git's")
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}

    package = {name for name in listed if name.startswith("stepkit/") and (ROOT / name).exists()}
    yaml = {name for name in listed if name.startswith("tasks/") and not name.endswith(".py")}
    assert not package - held
    assert {name for name in held if name.startswith("stepkit/tasks/")} == {
        f"stepkit/{name}" for name in yaml
    }


def test_pypi_shows_the_readme_with_all_its_links_and_pictures(wheel: Path) -> None:
    page = distributions.page(wheel)

    assert distributions.broken_links(page) == []
    assert f"/v{__version__}/docs/report-failed.png" in page
    assert "pip install 'stepkit[tests]'" in page


@pytest.mark.slow
def test_a_pipeline_is_found_by_its_name_without_a_clone(bare: Path, tmp_path: Path) -> None:
    args = ("run-local", "smoke", "--dry-run", "--workspace", "shared=work")
    done = stepkit(bare, *args, cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    assert "execute-notebook" in done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_demo_passes_without_a_clone_and_without_a_network(
    with_tests: Path, tmp_path: Path
) -> None:
    done = stepkit(with_tests, "demo", cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    (run,) = (tmp_path / "stepkit-demo").glob("notebook-ci-*")
    record = json.loads((run / "artifacts/run.json").read_text())
    assert record["verdict"] == "passed"
    assert [(suite["passed"], suite["total"]) for suite in record["tests"]] == [(3, 3)]
    report = (run / "artifacts/report.html").as_uri()
    assert done.stderr.splitlines()[-1].endswith(f"; open {report}")
    page = (run / "artifacts/output_analysis.html").read_text()
    assert re.search(r'<img [^>]*src="data:image/svg', page)


@pytest.mark.slow
def test_the_failing_demo_shows_the_failed_line_and_what_to_open(
    bare: Path, tmp_path: Path
) -> None:
    done = stepkit(bare, "demo", "--failing", "--directory", "here", cwd=tmp_path)

    assert done.returncode == 3
    assert "no tests: pytest is not installed (pip install 'stepkit[tests]')" in done.stderr
    (run,) = (tmp_path / "here").glob("notebook-ci-*")
    record = json.loads((run / "artifacts/run.json").read_text())
    assert (record["verdict"], record["cause"]["reason"]) == ("failed", "cell-error")
    assert record["tests"] == []
    assert "linear_regression(hours, logarithms)" in done.stderr
    (repository,) = record["repositories"]
    assert Path(repository["url"].removeprefix("file://"), "HEAD").is_file()  # to run it again
    assert f"; open {(run / 'artifacts/report.html').as_uri()}" in done.stderr.splitlines()[-1]
    assert f"report={run}/artifacts/report.html" in done.stdout
