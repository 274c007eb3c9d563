"""Pythons that cannot run the probe to its end, and the messages about them."""

from pathlib import Path
from typing import Literal

import pytest
from cuda_driver import BARE, check, fake_cuda

from stepkit.errors import ConfigurationError, Reason, StepError, ToolError
from stepkit.gpu.health import preflight, remedies, run_rapids_doctor


def python(directory: Path, *lines: str) -> str:
    path = directory / "python"
    path.write_text("\n".join(["#!/bin/sh", *lines]) + "\n")
    path.chmod(0o755)
    return str(path)


def library(directory: Path, name: str, source: str) -> dict[str, str]:
    """An environment with a GPU that answers, and a module of this ``source``."""
    (directory / "modules").mkdir()
    (directory / f"modules/{name}.py").write_text(source)
    env = fake_cuda(directory, FAKE_CUDA_INIT="0")
    return {**env, "PYTHONPATH": str(directory / "modules")}


@pytest.mark.parametrize("need", ["required", "none"])
@pytest.mark.parametrize(
    ("line", "error", "reason", "text"),
    [
        ("exit 0", ConfigurationError, Reason.BAD_INPUT, "it printed nothing"),
        ("exit 1", ConfigurationError, Reason.BAD_INPUT, "it printed nothing"),
        ("kill -SEGV $$", ConfigurationError, Reason.BAD_INPUT, "it ended (in start, by SIGSEGV)"),
        ("kill -KILL $$", ToolError, Reason.TOOL_FAILED, "it ended (in start, by SIGKILL)"),
        ("kill -39 $$", ConfigurationError, Reason.BAD_INPUT, "by signal 39"),
        ("sleep 60", ToolError, Reason.TIMEOUT, "did not begin to check anything within 1 s"),
    ],
)
def test_a_python_that_prints_no_answer_is_an_error(
    tmp_path: Path,
    need: Literal["required", "none"],
    line: str,
    error: type[StepError],
    reason: Reason,
    text: str,
) -> None:
    with pytest.raises(error) as caught:
        preflight.diagnose(python(tmp_path, line), need=need, timeout=1, tries=1)

    assert caught.value.reason is reason
    assert text in str(caught.value)


@pytest.mark.parametrize(
    ("source", "cause", "text"),
    [
        ("import os; os._exit(0)", remedies.PROBE_CRASHED, "in cupy: without a word, exit code 0"),
        ("import sys; sys.exit('no')", remedies.PROBE_CRASHED, "in cupy: no"),
        (
            "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
            remedies.PROBE_KILLED,
            "in cupy, by SIGKILL",
        ),
    ],
)
def test_a_probe_that_ends_early_has_found_no_gpu_that_can_be_used(
    tmp_path: Path, source: str, cause: remedies.Cause, text: str
) -> None:
    found = check(library(tmp_path, "cupy", source), tries=1)

    assert found.trouble is cause
    assert text in found.message
    assert found.error().exit_code == (4 if cause.transient else 2)


def test_lines_that_resemble_the_probes_are_ignored(tmp_path: Path) -> None:
    lines = ["5", "[1]", "{}", '{"stage": []}', '{"stage": "begin"}', "no JSON", '{"stage": "py']
    source = "".join(f"print('stepkit-probe {line}')\n" for line in lines)
    found = check(library(tmp_path, "sitecustomize", source + "print('noise', end='')"), tries=1)

    assert found.usable


def test_files_of_an_uninstalled_cupy_are_not_blamed_on_the_driver(tmp_path: Path) -> None:
    env = library(tmp_path, "nothing", "")
    (tmp_path / "modules/cupy").mkdir()  # it can be imported, and is empty
    found = check(env)

    assert found.trouble is remedies.PACKAGE_BROKEN
    assert "(cupy: AttributeError: module 'cupy' has no attribute 'cuda')" in found.message


@pytest.mark.parametrize(
    ("directory", "file", "content"),
    [
        ("rmm_cu12-26.10.dist-info", "METADATA", b"Name: rmm-cu12\nAuthor: \xff\n"),
        ("old.egg-info", "PKG-INFO", b"Name: old\nAuthor: \xff\n"),
    ],
)
def test_a_package_that_cannot_be_read_is_a_warning(
    tmp_path: Path, directory: str, file: str, content: bytes
) -> None:
    env = library(tmp_path, "nothing", "")
    broken = tmp_path / "modules" / directory
    broken.mkdir()
    (broken / file).write_bytes(content)
    found = check(env)

    assert found.usable
    assert [f.level for f in found.findings if f.text == f"{broken} cannot be read"] == ["warning"]


def test_entry_points_that_cannot_be_read_do_not_hide_others(tmp_path: Path) -> None:
    env = library(tmp_path, "checks", "def passes(): pass")
    points = {"broken": "no section\n[x]\nno value\n", "foreign": "[x]\n\xff = a:b\n"}
    points["checks"] = "[rapids_doctor_check]\npasses = checks:passes\n"
    for name, text in points.items():
        directory = tmp_path / f"modules/{name}-1.0.dist-info"
        directory.mkdir()
        (directory / "entry_points.txt").write_text(text, encoding="latin-1")
    found = check(env)

    assert found.usable
    assert found.facts["doctor"]["checks"] == ["passes"]
    (passed,) = run_rapids_doctor.findings(BARE, found.facts["doctor"], timeout=30, env=env)
    assert passed.text == "passed: passes"
