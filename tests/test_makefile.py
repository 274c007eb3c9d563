"""What `make` says and does on a machine where something is missing."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import commands
import pytest

ROOT = Path(__file__).parent.parent
PROGRAMS = ("echo", "env", "git", "make", "sed", "sh", "touch")


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """Return a PATH on which there are these programs alone, and this Python."""
    directory = tmp_path / "bin"
    directory.mkdir()
    for name in PROGRAMS:
        found = shutil.which(name)
        assert found
        (directory / name).symlink_to(found)
    (directory / "python3").symlink_to(sys.executable)
    return directory


@pytest.fixture
def project(tmp_path: Path) -> Path:
    directory = tmp_path / "project"
    directory.mkdir()
    for name in ("Makefile", "pyproject.toml", "uv.lock"):
        shutil.copy(ROOT / name, directory)
    return directory


def make(project: Path, programs: Path, *args: str) -> subprocess.CompletedProcess[str]:
    return commands.run(programs / "make", *args, cwd=project, env={"PATH": os.fspath(programs)})


def executable(path: Path, script: str) -> None:
    path.unlink(missing_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def refused(project: Path, programs: Path, *args: str) -> str:
    done = make(project, programs, "test", *args)
    assert done.returncode == 2
    assert not list(project.glob(".venv*"))
    return done.stderr.partition("\n")[0]


def test_make_alone_lists_what_there_is(project: Path, programs: Path) -> None:
    done = make(project, programs)
    assert done.returncode == 0
    targets = ("demo", "test", "test-slow", "test-gpu", "test-images", "images", "lint", "types")
    for target in (*targets, "docs", "release-check", "sbom", "audit", "clean"):
        assert f"make {target} " in done.stdout
    assert not list(project.glob(".venv*"))


def test_without_git_make_says_what_to_install(project: Path, programs: Path) -> None:
    (programs / "git").unlink()
    assert refused(project, programs) == "make: there is no git: apt-get install git"


def test_without_python_make_says_what_to_install(project: Path, programs: Path) -> None:
    (programs / "python3").unlink()
    advice = "make: there is no python3: apt-get install python3, or name another"
    assert refused(project, programs).startswith(advice)


def test_a_python_that_is_not_there_is_named(project: Path, programs: Path) -> None:
    message = refused(project, programs, "PYTHON=python3.12")
    assert message.startswith("make: there is no python3.12: ")


def test_a_python_that_is_too_old_is_named_with_its_version(project: Path, programs: Path) -> None:
    executable(programs / "python3", 'test "$1" = -V && echo Python 3.9.2 && exit; exit 1')
    assert refused(project, programs) == (
        "make: python3 is Python 3.9.2, which is too old or too new: "
        "install Python 3.11, 3.12 or 3.13 and name it: make PYTHON=python3.12"
    )


def test_without_venv_make_says_what_to_install(project: Path, programs: Path) -> None:
    blocked = "import sys; sys.modules['ensurepip'] = None; exec(sys.argv[1])"
    runs = f'test "$1" = -c && exec {sys.executable} -c "{blocked}" "$2"; exit 1'
    executable(programs / "python3", runs)
    advice = "make: python3 cannot make environments: apt-get install python3-venv"
    assert refused(project, programs) == advice


def test_a_ready_environment_is_used_as_it_is(project: Path, programs: Path) -> None:
    (project / ".venv").mkdir()
    (project / ".venv/.ready").touch()
    (project / ".venv/.testable").touch()
    done = make(project, programs, "-n", "test", "PYTEST_ARGS=-k clone", "JOBS=7")
    assert done.stdout == (
        '.venv/bin/python -m pytest -m "not slow and not long and not gpu and not images '
        'and not faults" -n 7 -k clone\n'
    )


def test_a_changed_lock_makes_the_environment_anew(project: Path, programs: Path) -> None:
    (project / ".venv").mkdir()
    (project / ".venv/.ready").touch()
    os.utime(project / ".venv/.ready", (0, 0))
    assert "uv sync" in make(project, programs, "-n", "lint").stdout


def test_gpu_targets_bring_the_compiler_of_the_cuda_that_is_asked_for(
    project: Path, programs: Path
) -> None:
    for target in ("test-gpu", "bench-gpu", "gpu-verify"):
        planned = make(project, programs, "-n", target).stdout
        assert "--extra cuda12 --extra test-gpu\n" in planned
        planned = make(project, programs, "-n", target, "CUDA=13").stdout
        assert "--extra cuda13 --extra test-gpu-cuda13\n" in planned


def test_an_environment_for_cuda_13_is_not_one_for_the_other_tests(
    project: Path, programs: Path
) -> None:
    (project / ".venv/bin").mkdir(parents=True)
    (project / ".venv/.testable").touch()
    executable(project / ".venv/bin/python", "exit 0")
    executable(programs / "uv", "exit 0")
    (programs / "rm").symlink_to(shutil.which("rm") or "/bin/rm")
    (programs / "test").symlink_to(shutil.which("test") or "/usr/bin/test")

    done = make(project, programs, "test-gpu", "CUDA=13")
    assert done.returncode == 0, done.stderr
    stamps = {path.name for path in (project / ".venv").glob(".[a-z]*")}
    assert stamps == {".ready", ".gpu-cuda13"}

    assert make(project, programs, "test-gpu").returncode == 0
    stamps = {path.name for path in (project / ".venv").glob(".[a-z]*")}
    assert stamps == {".ready", ".testable", ".gpu-cuda12"}


def test_a_gpu_can_be_required(project: Path, programs: Path) -> None:
    planned = make(project, programs, "-n", "test-gpu", "bench-gpu", "REQUIRE_GPU=1").stdout
    assert "STEPKIT_REQUIRE_GPU=1 .venv/bin/python -m pytest -m gpu" in planned
    assert "-m benchmarks.gpu --require-gpu" in planned


def test_another_python_gets_a_separate_environment(project: Path, programs: Path) -> None:
    planned = make(project, programs, "-n", "test", "PYTHON=/opt/bin/python3.12").stdout
    assert "\n.venv-python3.12/bin/python -m pytest" in planned
    planned = make(project, programs, "-n", "test", "PYTHON=python3.12", "VENV=.venv-3.12").stdout
    assert "\n.venv-3.12/bin/python -m pytest" in planned
