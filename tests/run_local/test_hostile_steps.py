"""Steps with strange files and documents with strange values end the run with one line."""

import json
import os
import sys
from typing import Any

import pytest
from run_local.conftest import Command, Local

from stepkit.errors import ConfigurationError, Reason, StepError, ToolError

R = "$(results.r.path)"


def failed(on_machine: Local, *tasks: Any, **spec: Any) -> StepError:
    with pytest.raises(StepError) as caught:
        on_machine.run(*tasks, **spec)
    assert "\n" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        (f"mkfifo {R}", "cannot read the result r: r is not a regular file"),
        (f"ln -s /dev/zero {R}", "cannot read the result r: r is not a regular file"),
        (f"ln -s r {R}", "cannot read the result r: Too many levels of symbolic links"),
        (
            f"d=$(dirname {R}); rmdir $d; touch $d".replace("$(dirname", "$$(dirname"),
            "cannot read the result r: Not a directory",
        ),
    ],
)
def test_a_result_that_is_not_a_file_fails_its_task(
    on_machine: Local, command: str, problem: str
) -> None:
    error = failed(on_machine, on_machine.task("t", command, _results=["r"]))
    assert type(error) is ToolError
    assert str(error) == f"task t: {problem}"
    assert error.reason == Reason.TASK_FAILED


def test_a_failed_task_with_a_pipe_as_a_result_says_how_it_failed(on_machine: Local) -> None:
    error = failed(on_machine, on_machine.task("t", f"mkfifo {R}; exit 3", _results=["r"]))
    assert str(error) == "task t failed with exit code 3"


def test_a_huge_result_is_measured_and_not_read(on_machine: Local) -> None:
    error = failed(on_machine, on_machine.task("t", f"truncate -s 20G {R}", _results=["r"]))
    assert f"its results take {20 * 2**30 // 10**8}" in str(error)
    assert "Tekton has room for 4096" in str(error)


@pytest.mark.parametrize(
    "command",
    [
        "rm -r $(dirname $(dirname $(steps.step-only.exitCode.path)))",
        "rm -r $(dirname $(results.r.path))",
        "mkfifo $(steps.step-only.exitCode.path)",
    ],
)
def test_a_step_may_remove_its_directories(on_machine: Local, command: str) -> None:
    outputs = on_machine.run(on_machine.task("t", command.replace("$(d", "$$(d"), _results=["r"]))
    assert on_machine.statuses(outputs) == {"t": "Succeeded"}


def test_a_result_that_names_an_impossible_directory_fails_the_next_task(
    on_machine: Local,
) -> None:
    first = on_machine.task("a", rf"printf 'x\000y' > {R}", _results=["r"])
    binding = {"name": "shared", "workspace": "shared", "subPath": "$(tasks.a.results.r)"}
    error = failed(on_machine, first, on_machine.task("b", "true", workspaces=[binding]))
    assert type(error) is ConfigurationError
    assert r"x\x00y" in str(error)


def test_a_result_nested_too_deeply_is_not_a_list(on_machine: Local) -> None:
    script = f"open('{R}', 'w').write('[' * 3000)"
    result = {"name": "r", "type": "array"}
    task = on_machine.task("t", sys.executable, "-c", script, _results=[result])
    assert "not an array of strings in JSON" in str(failed(on_machine, task))


def secret_step(on_machine: Local, value: str, *command: str) -> dict[str, Any]:
    keys = on_machine.directory / "keys"
    keys.mkdir()
    (keys / "k").write_text(value)
    variable = {"name": "K", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}
    return on_machine.step(*command, env=[variable])


def test_a_secret_taken_for_a_program_is_not_shown(on_machine: Local) -> None:
    step = secret_step(on_machine, "p@ssw0rd", "$(K)", "x")
    options = {"secret": (f"s={on_machine.directory}/keys",)}
    error = failed(on_machine, on_machine.task("t", _steps=[step]), options=options)
    assert str(error) == "task t: cannot run ***: no program ***"
    assert "p@ss" not in on_machine.log + str(error.outputs)


def test_a_secret_is_masked_in_the_spellings_of_other_programs(on_machine: Local) -> None:
    value = 'p@"ss\\w0rd'
    script = "import os, json; k = os.environ['K']; print(json.dumps({'k': k}), repr(k))"
    step = secret_step(on_machine, value, sys.executable, "-c", script)
    options = {"secret": (f"s={on_machine.directory}/keys",)}
    on_machine.run(on_machine.task("t", _steps=[step]), options=options)
    assert """[t] {"k": "***"} '***'""" in on_machine.log


def test_a_long_secret_is_masked_before_a_result_is_shortened(on_machine: Local) -> None:
    step = secret_step(on_machine, "s3cret" * 10, "sh", "-c", f"printf %s $K > {R}")
    options = {"secret": (f"s={on_machine.directory}/keys",)}
    on_machine.run(on_machine.task("t", _steps=[step], _results=["r"]), options=options)
    assert "s3cret" not in on_machine.log
    assert "(r=***)" in on_machine.log


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (r'"a\0b"', "holds a NUL byte"),
        (r'"\ud800"', "half a character"),
        (r'"\UFFFFFFFF"', "not valid YAML"),
        ("[" * 5000, "nested too deeply"),
        ("[" * 80 + "]" * 80, "nested too deeply"),
        ("&a [*a]", "refers to itself"),
        ("0b_", "is not a number"),
        ("!!int abc", "is not a number"),
        ("!!int ''", "is not a number"),
        ("!!float x", "is not a number"),
        ("!!bool [x]", "expected a scalar node"),
        ("!!timestamp 2001-99-99", "is not allowed here"),
        ("!!binary aGk=", "is not allowed here"),
        ("!!set {a}", "is not allowed here"),
        ("0x" + "f" * 17, "more than 64 bits"),
    ],
    ids=range(15),
)
def test_a_strange_value_in_the_document_is_refused(
    on_machine: Local, value: str, problem: str
) -> None:
    text = on_machine.write(on_machine.task("t", "true"), description="HERE").read_text()
    on_machine.file.write_text(text.replace("HERE", value))
    error = failed(on_machine, options={"dry_run": True})
    assert type(error) is ConfigurationError
    assert str(error).startswith(str(on_machine.file))
    assert problem in str(error)


def test_aliases_that_multiply_are_refused_soon(on_machine: Local) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    on_machine.file.write_text("\n".join(lines))
    assert "more than 100000 values" in str(failed(on_machine, options={"dry_run": True}))


@pytest.mark.parametrize("value", ["[" * 5000, '["a\\u0000b"]', '["\\ud800"]'])
def test_a_strange_param_is_refused(on_machine: Local, value: str) -> None:
    on_machine.write(on_machine.task("t", "true"), params=[{"name": "c", "type": "array"}])
    error = failed(on_machine, options={"param": (f"c={value}",)})
    assert str(error).startswith("--param c: ")
    assert not on_machine.shared.exists()


def test_the_command_ends_with_a_pipe_as_a_result(
    on_machine: Local, command: type[Command]
) -> None:
    on_machine.write(on_machine.task("t", f"mkfifo {R}", _results=["r"]))
    report = on_machine.directory / "report.json"
    args = ("--workspace", f"shared={on_machine.shared}", "--report", str(report))
    code, _, stderr = command(on_machine.directory, os.fspath(on_machine.file), *args).end()
    assert code == 4
    assert "Traceback" not in stderr
    assert json.loads(report.read_text())["reason"] == "task-failed"
