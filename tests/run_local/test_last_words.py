"""run-local ends with the first cause, its evidence and the files to open, and repeats nothing."""

import json
import logging
import sys
from typing import Any

import pytest
from run_local.conftest import Local
from samples import Origin

from stepkit.errors import ConfigurationError, StepError, ToolError, UserCodeError
from stepkit.formats.plain_text import plain

W = "$(workspaces.shared.path)"
STEPKIT = (sys.executable, "-P", "-m", "stepkit")
COMMON = ["status", "reason", "message"]


def stepkit_task(on_machine: Local, name: str, *args: str, **fields: Any) -> dict[str, Any]:
    """Return a task that runs a stepkit command with its report and its results."""
    results = [*COMMON, *fields.pop("results", [])]
    files = [f"--result={result}=$(results.{result}.path)" for result in results]
    command = (*STEPKIT, *args, f"--report={W}/reports/{name}.json", *files)
    return on_machine.task(name, *command, _results=results, **fields)


def failing_clone(on_machine: Local, **fields: Any) -> dict[str, Any]:
    """Return a task that clones a repository whose branch leads to a missing commit."""
    origin = Origin(on_machine.directory / "repository")
    (origin.path / ".git/refs/heads/main").write_text("0123456789" * 4 + "\n")
    args = ["git-clone", f"--url={origin.url}", f"--destination={W}/source", "--attempts=1"]
    return stepkit_task(on_machine, "clone", *args, **fields)


def summary(on_machine: Local) -> dict[str, Any]:
    args = [f"--reports={W}/reports", f"--summary={W}/out/STEP_SUMMARY.md", "--enforce"]
    args += ["--expect=clone"]
    return stepkit_task(on_machine, "judge", "summarize", *args, results=["summary"])


def failed(on_machine: Local, *tasks: Any, **spec: Any) -> StepError:
    with pytest.raises(StepError) as caught:
        on_machine.run(*tasks, **spec)
    return caught.value


def test_the_task_that_decided_is_named_with_its_evidence_and_the_files_of_the_run(
    on_machine: Local,
) -> None:
    clone = failing_clone(on_machine, onError="continue")

    error = failed(on_machine, clone, **{"finally": [summary(on_machine)]})

    report = json.loads(on_machine.read("reports/clone.json"))
    assert type(error) is ConfigurationError
    assert error.reason == report["reason"]
    assert str(error) == f"task clone failed with exit code 2: {report['message']}"
    assert error.evidence
    assert list(error.evidence.output) == report["error"]["output"]
    assert report["error"]["output"]

    last = on_machine.log[on_machine.log.index("task   ") :]
    out = on_machine.shared / "out"
    parts = (
        "clone  Failed",
        "judge  Failed",
        "--- task clone ---",
        "last lines of its output:\n  | ",
        f"summary: {out / 'STEP_SUMMARY.md'}\n",
        f"record: {out / 'run.json'}\n",
        "what not-found means, and what to try: stepkit explain not-found",
    )
    assert [part for part in parts if part not in last] == []
    places = [last.index(part) for part in parts]
    assert places == sorted(places)
    assert "page: " not in last


@pytest.mark.parametrize("colours", ["", "1"])
def test_what_a_stepkit_command_says_twice_is_logged_once(
    on_machine: Local,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    colours: str,
) -> None:
    monkeypatch.setenv("FORCE_COLOR", colours)
    caplog.set_level(logging.DEBUG)

    failed(on_machine, failing_clone(on_machine))

    message = json.loads(on_machine.read("reports/clone.json"))["message"]
    shown = [one.getMessage() for one in caplog.records if one.levelno > logging.DEBUG]
    hidden = [plain(one.getMessage()) for one in caplog.records if one.levelno == logging.DEBUG]
    (line,) = (line for line in shown if message in line)
    assert line.startswith("clone: failed in ")
    assert "[clone] git-clone: started" in hidden
    assert f"[clone] message={message}" in hidden
    assert f"[clone] stepkit git-clone: error: {message} [not-found]" in hidden


def test_how_a_task_succeeded_is_its_own_message(on_machine: Local) -> None:
    args = ["prepare-workspace", f"--directory={W}/run", "--directories=out"]
    on_machine.run(stepkit_task(on_machine, "prepare", *args))

    report = json.loads(on_machine.read("reports/prepare.json"))
    (line,) = (line for line in on_machine.log.splitlines() if "prepare: succeeded in" in line)
    assert line.endswith(f" s: {report['message']}")


def test_what_another_program_prints_is_logged_as_it_is(on_machine: Local) -> None:
    on_machine.run(on_machine.task("t", "echo accuracy=0.9; echo stepkit greet: hello"))

    assert "[t] accuracy=0.9" in on_machine.log
    assert "[t] stepkit greet: hello" in on_machine.log


@pytest.mark.parametrize(
    "content", ["", "{", '{"schema": "stepkit.report/2"}', '{"error": {"output": 5}}', None]
)
def test_a_report_that_cannot_be_read_leaves_the_failure_as_it_is(
    on_machine: Local, content: str | None
) -> None:
    path = on_machine.shared / "r.json"
    path.parent.mkdir()
    if content is None:
        path.mkdir()
    else:
        path.write_text(content)

    error = failed(on_machine, on_machine.task("t", "sh", "-c", "exit 3", f"--report={path}"))

    assert type(error) is UserCodeError
    assert (str(error), error.evidence) == ("task t failed with exit code 3", None)


def test_the_report_of_an_earlier_run_is_not_evidence(on_machine: Local) -> None:
    failed(on_machine, failing_clone(on_machine))
    report = on_machine.shared / "reports/clone.json"

    error = failed(on_machine, on_machine.task("t", "sh", "-c", "exit 3", "--report", str(report)))

    assert error.evidence is None


def test_a_failure_in_finally_stays_the_cause_if_it_says_nothing_of_another(
    on_machine: Local,
) -> None:
    error = failed(
        on_machine,
        on_machine.task("bad", "echo error: first; exit 3", onError="continue"),
        **{"finally": [on_machine.task("publish", "echo error: no bucket; exit 4")]},
    )

    assert str(error) == "task publish failed with exit code 4: no bucket"


def says(on_machine: Local, name: str, reason: str, message: str, **fields: Any) -> dict[str, Any]:
    script = (
        f"printf '{reason}' > $(results.reason.path); "
        f"printf '{message}' > $(results.message.path); exit 4"
    )
    return on_machine.task(name, "sh", "-c", script, _results=["reason", "message"], **fields)


@pytest.mark.parametrize(
    ("reason", "message"),
    [
        ("killed", "execute: the pipeline says that it failed; it left no report"),
        ("disk-full", "cannot write judge.json: No space left on device"),
    ],
)
def test_a_full_disk_is_the_reason_also_where_it_left_no_room_for_a_report(
    on_machine: Local, reason: str, message: str
) -> None:
    full = "cannot write out.ipynb: No space left on device"
    execute = says(on_machine, "execute", "disk-full", full, onError="continue")

    error = failed(on_machine, execute, **{"finally": [says(on_machine, "judge", reason, message)]})

    assert (type(error), error.reason) == (ToolError, "disk-full")
    assert str(error) == f"task execute failed with exit code 4: {full}"
    assert on_machine.log.splitlines()[-1].endswith("stepkit explain disk-full")
