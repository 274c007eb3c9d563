"""The wheel is whole: what it holds works in an environment without a clone."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import commands
import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel of this tree."""
    place = tmp_path_factory.mktemp("wheel")
    done = commands.python("-m", "hatchling", "build", "-t", "wheel", "-d", place, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    (built,) = place.glob("stepkit-*.whl")
    return built


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel in an empty environment; its dependencies are those of the tests'."""
    place = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", place], check=True)
    (site,) = place.glob("lib/python*/site-packages")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    others = [path for path in sys.path if path.endswith("site-packages")]
    (site / "dependencies.pth").write_text("".join(f"{path}\n" for path in others))
    return place / "bin/python"


def test_the_wheel_holds_all_files_of_the_package_and_the_yaml_of_the_tasks(wheel: Path) -> None:
    listed = commands.run("git", "ls-files", "stepkit", "tasks", cwd=ROOT).stdout.splitlines()
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}

    package = {name for name in listed if name.startswith("stepkit/") and (ROOT / name).exists()}
    yaml = {name for name in listed if name.startswith("tasks/") and not name.endswith(".py")}
    assert not package - held
    assert {name for name in held if name.startswith("stepkit/tasks/")} == {
        f"stepkit/{name}" for name in yaml
    }


@pytest.mark.slow
def test_a_pipeline_is_found_by_its_name_without_a_clone(installed: Path, tmp_path: Path) -> None:
    command = ("-m", "stepkit", "run-local", "smoke", "--dry-run", "--workspace", "shared=work")
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = commands.run(installed, *command, cwd=tmp_path, env=env)

    assert done.returncode == 0, done.stderr
    assert "execute-notebook" in done.stdout
    assert list(tmp_path.iterdir()) == []
