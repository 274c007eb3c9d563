"""A run ends as its tasks did: true verdicts, ``finally``, retries, timeouts, ignored failures."""

import sys
from typing import Any

import github_commands
import pytest
from run_local.conftest import Command, Local

from stepkit.errors import ConfigurationError, Reason, StepError, ToolError, UserCodeError
from stepkit.system import cgroup

W = "$(workspaces.shared.path)"
NEVER = [{"input": "a", "operator": "in", "values": ["b"]}]


def ended(on_machine: Local, *tasks: Any, **spec: Any) -> tuple[StepError, dict[str, str]]:
    with pytest.raises(StepError) as caught:
        on_machine.run(*tasks, **spec)
    return caught.value, on_machine.statuses(caught.value.outputs)


def given(task: dict[str, Any], **values: str) -> dict[str, Any]:
    """Pass params to a task, which writes them into the workspace."""
    task["params"] = [{"name": name, "value": value} for name, value in values.items()]
    task["taskSpec"]["params"] = [{"name": name} for name in values]
    text = " ".join(f"$(params.{name})" for name in values)
    task["taskSpec"]["steps"][0]["args"] = [text]
    return task


def writer(on_machine: Local, name: str, **fields: Any) -> dict[str, Any]:
    """Return a task that writes its first argument to a file of its name."""
    return on_machine.task(name, "sh", "-c", f'printf "%s" "$0" > {W}/{name}', **fields)


@pytest.mark.parametrize(("reason", "hinted"), [("auth", True), ("network", False)])
def test_a_task_that_lacks_access_names_the_secret_that_was_not_given(
    on_machine: Local, monkeypatch: pytest.MonkeyPatch, reason: str, *, hinted: bool
) -> None:
    monkeypatch.setenv("GIT_TOKEN", "of the shell")
    secret = {"secretKeyRef": {"name": "git-token", "key": "token", "optional": True}}
    step = on_machine.step(
        f'test -z "$GIT_TOKEN" && printf {reason} > $(results.reason.path); exit 2',
        env=[{"name": "GIT_TOKEN", "valueFrom": secret}],
    )

    error, _ = ended(on_machine, on_machine.task("t", _steps=[step], _results=["reason"]))

    assert error.reason == reason
    assert hinted == str(error).endswith(
        " (GIT_TOKEN comes from secret git-token/token, which is not given, and not from this "
        "shell: add --secret git-token=DIR, where DIR/token holds the value)"
    )


@pytest.mark.parametrize(
    ("command", "error", "reason", "message"),
    [
        ("exit 2", ConfigurationError, "task-failed", "task t failed with exit code 2"),
        ("exit 3", UserCodeError, "task-failed", "task t failed with exit code 3"),
        ("exit 1", ToolError, "task-failed", "task t failed with exit code 1"),
        ("kill -9 $$$$", ToolError, "killed", "task t was killed by signal 9"),
        (
            "echo error: old >&2; echo 'stepkit x: error: no GPU' >&2; echo bye; exit 4",
            ToolError,
            "task-failed",
            "task t failed with exit code 4: no GPU",
        ),
        (
            (
                "printf cell-error > $(results.reason.path); printf 'cell 3' "
                "> $(results.message.path); echo error: other >&2; exit 3"
            ),
            UserCodeError,
            "cell-error",
            "task t failed with exit code 3: cell 3",
        ),
        (
            "printf nonsense > $(results.reason.path); exit 3",
            UserCodeError,
            "task-failed",
            "task t failed with exit code 3",
        ),
    ],
)
def test_the_verdict_is_the_failed_tasks(
    on_machine: Local, command: str, error: type[StepError], reason: str, message: str
) -> None:
    caught, statuses = ended(
        on_machine, on_machine.task("t", command, _results=["reason", "message"])
    )
    assert type(caught) is error
    assert str(caught) == message
    assert caught.reason == reason
    assert statuses == {"t": "Failed"}


def test_a_program_that_does_not_exist_fails_the_task_and_not_stepkit(on_machine: Local) -> None:
    caught, statuses = ended(
        on_machine,
        on_machine.task("t", "no-such-program", "x"),
        **{"finally": [writer(on_machine, "last")]},
    )
    assert type(caught) is ConfigurationError
    assert str(caught) == "task t: cannot run no-such-program: no program no-such-program"
    assert statuses == {"t": "Failed", "last": "Succeeded"}


def test_of_several_failures_the_first_in_the_graph_is_the_verdict(on_machine: Local) -> None:
    caught, _ = ended(
        on_machine,
        on_machine.task("slow", f"touch {W}/on; sleep 0.4; exit 3"),
        on_machine.task("fast", f"while test ! -e {W}/on; do sleep 0.05; done; exit 2"),
        options={"jobs": 2},
    )
    assert str(caught) == "task slow failed with exit code 3"


def test_the_first_failed_step_ends_the_task(on_machine: Local) -> None:
    steps = [
        on_machine.step("exit 3") | {"name": "one"},
        on_machine.step(f"touch {W}/never") | {"name": "two"},
    ]
    ended(on_machine, on_machine.task("t", _steps=steps))
    assert not (on_machine.shared / "never").exists()


def test_a_step_may_fail_with_on_error_and_the_next_one_reads_its_code(
    on_machine: Local,
) -> None:
    ask = f"cat $(steps.step-one.exitCode.path) $(steps.step-two.exitCode.path) > {W}/codes"
    steps = [
        on_machine.step("exit 7", onError="continue") | {"name": "one"},
        on_machine.step("kill -9 $$$$", onError="continue") | {"name": "two"},
        on_machine.step(ask) | {"name": "three"},
    ]
    outputs = on_machine.run(on_machine.task("t", _steps=steps))
    assert on_machine.read("codes") == "7255"
    assert outputs.status == "succeeded"


def test_a_missing_program_is_not_covered_by_on_error(on_machine: Local) -> None:
    steps = [on_machine.step("no-such-program", "x", onError="continue")]
    caught, _ = ended(on_machine, on_machine.task("t", _steps=steps))
    assert "no program no-such-program" in str(caught)


def test_an_ignored_failure_does_not_fail_the_run_and_is_reported(on_machine: Local) -> None:
    outputs = on_machine.run(
        on_machine.task("bad", "exit 3", onError="continue"),
        on_machine.task("after", "true", runAfter=["bad"]),
        **{
            "finally": [
                given(writer(on_machine, "f"), s="$(tasks.bad.status)", all="$(tasks.status)")
            ]
        },
    )
    assert on_machine.statuses(outputs) == {
        "bad": "Failed",
        "after": "Succeeded",
        "f": "Succeeded",
    }
    assert on_machine.read("f") == "Failed Failed"
    assert outputs.status == "tolerated"
    assert outputs.message == ("2 of 3 tasks succeeded, 1 failed and ignored (onError: continue)")
    assert "failed, and the run went on (onError)" in on_machine.log


def test_a_task_that_says_flaky_makes_the_run_flaky(on_machine: Local) -> None:
    says = "printf %s flaky > $(results.status.path)"
    outputs = on_machine.run(on_machine.task("t", says, _results=[{"name": "status"}]))

    assert outputs.status == "flaky"
    assert outputs.message == "1 of 1 tasks succeeded, 1 flaky"


@pytest.mark.parametrize(
    ("verdict", "status"),
    [("flaky", "flaky"), ("passed with tolerated errors", "tolerated"), ("passed", "succeeded")],
)
def test_the_verdict_of_reused_files_is_that_of_the_run(
    on_machine: Local, verdict: str, status: str
) -> None:
    says = f"printf reused > $(results.status.path); printf '{verdict}' > $(results.verdict.path)"
    results = [{"name": "status"}, {"name": "verdict"}]
    outputs = on_machine.run(on_machine.task("t", says, _results=results))

    assert outputs.status == status
    assert outputs.message == "1 of 1 tasks succeeded"


def test_finally_knows_that_a_failure_was_ignored(on_machine: Local) -> None:
    on_machine.run(
        on_machine.task("bad", "exit 3", onError="continue"),
        **{
            "finally": [given(writer(on_machine, "f"), x="$(tasks.bad.status)-$(tasks.bad.reason)")]
        },
    )
    assert on_machine.read("f") == "Failed-FailureIgnored"


def test_finally_runs_after_a_failure_and_knows_how_tasks_ended(on_machine: Local) -> None:
    caught, statuses = ended(
        on_machine,
        on_machine.task("good", "true"),
        on_machine.task("bad", "exit 3", runAfter=["good"]),
        on_machine.task("never", "true", runAfter=["bad"]),
        **{
            "finally": [
                given(
                    writer(on_machine, "f"),
                    g="$(tasks.good.status)",
                    b="$(tasks.bad.status)-$(tasks.bad.reason)",
                    c="$(tasks.never.status)",
                    d="<$(tasks.never.reason)>",
                    e="$(tasks.status)",
                )
            ]
        },
    )
    assert on_machine.read("f") == "Succeeded Failed-StepFailed None <> Failed"
    assert str(caught) == "task bad failed with exit code 3"
    assert statuses == {"good": "Succeeded", "bad": "Failed", "never": "Skipped", "f": "Succeeded"}


def test_the_status_of_all_is_completed_when_a_condition_skipped_one(on_machine: Local) -> None:
    on_machine.run(
        on_machine.task("a", "true"),
        on_machine.task("b", "true", when=NEVER),
        **{"finally": [given(writer(on_machine, "f"), s="$(tasks.status)")]},
    )
    assert on_machine.read("f") == "Completed"


def test_a_finally_task_that_needs_a_missing_result_is_skipped(on_machine: Local) -> None:
    outputs = on_machine.run(
        on_machine.task("silent", "true", _results=["r"]),
        **{
            "finally": [
                given(writer(on_machine, "needs"), x="$(tasks.silent.results.r)"),
                writer(on_machine, "other"),
            ]
        },
    )
    assert on_machine.statuses(outputs) == {
        "silent": "Succeeded",
        "needs": "Skipped",
        "other": "Succeeded",
    }
    assert "needs: skipped: task silent did not emit the result r" in on_machine.log


def test_a_task_that_needs_a_missing_result_fails_the_run(on_machine: Local) -> None:
    caught, statuses = ended(
        on_machine,
        on_machine.task("silent", "true", _results=["r"]),
        given(writer(on_machine, "needs"), x="$(tasks.silent.results.r)"),
        **{
            "finally": [
                given(
                    writer(on_machine, "f"),
                    s="$(tasks.needs.status)",
                    r="<$(tasks.needs.reason)>",
                    a="$(tasks.status)",
                )
            ]
        },
    )
    assert str(caught) == "task needs cannot start: task silent did not emit the result r"
    assert statuses == {"silent": "Succeeded", "needs": "Failed", "f": "Succeeded"}
    assert on_machine.read("f") == "None <> Succeeded"  # it never became a TaskRun


def test_a_task_with_on_error_continue_that_needs_a_missing_result_is_skipped(
    on_machine: Local,
) -> None:
    outputs = on_machine.run(
        on_machine.task("silent", "true", _results=["r"]),
        given(writer(on_machine, "needs", onError="continue"), x="$(tasks.silent.results.r)"),
    )
    assert on_machine.statuses(outputs) == {"silent": "Succeeded", "needs": "Skipped"}


def test_results_written_before_a_failure_are_published(on_machine: Local) -> None:
    ended(
        on_machine,
        on_machine.task("bad", "printf half > $(results.r.path); exit 3", _results=["r"]),
        **{"finally": [given(writer(on_machine, "f"), x="$(tasks.bad.results.r)")]},
    )
    assert on_machine.read("f") == "half"


def test_a_failed_finally_task_fails_the_run_and_the_others_still_run(on_machine: Local) -> None:
    caught, statuses = ended(
        on_machine,
        on_machine.task("t", "true"),
        options={"jobs": 1},
        **{"finally": [on_machine.task("bad", "exit 3"), writer(on_machine, "other")]},
    )
    assert type(caught) is UserCodeError
    assert str(caught) == "task bad failed with exit code 3"
    assert statuses == {"t": "Succeeded", "bad": "Failed", "other": "Succeeded"}


def test_a_condition_can_keep_a_finally_task_from_running(on_machine: Local) -> None:
    only = [{"input": "$(tasks.status)", "operator": "in", "values": ["Failed"]}]
    outputs = on_machine.run(
        on_machine.task("t", "true"), **{"finally": [on_machine.task("f", "exit 1", when=only)]}
    )
    assert on_machine.statuses(outputs) == {"t": "Succeeded", "f": "Skipped"}


def test_a_retry_starts_over_in_the_workspace_as_it_was_left(on_machine: Local) -> None:
    count = f"echo $(context.task.retry-count) >> {W}/tries; test -e $(results.r.path) && exit 9; "
    count += f"printf r > $(results.r.path); test $(wc -l < {W}/tries) = 3"
    outputs = on_machine.run(on_machine.task("t", count, _results=["r"], retries=3))
    assert on_machine.read("tries") == "0\n1\n2\n"
    assert on_machine.statuses(outputs) == {"t": "Succeeded"}
    assert "attempt 2 of 4 failed: task t failed with exit code 1" in on_machine.log


def test_a_task_fails_when_its_retries_are_used_up(on_machine: Local) -> None:
    caught, _ = ended(on_machine, on_machine.task("t", f"echo x >> {W}/tries; exit 3", retries=1))
    assert on_machine.read("tries") == "x\nx\n"
    assert type(caught) is UserCodeError


def test_a_steps_timeout_kills_at_once_and_keeps_the_results(on_machine: Local) -> None:
    command = f"trap 'touch {W}/term' TERM; printf r > $(results.r.path); sleep 30 & wait"
    step = on_machine.step(command, timeout="500ms", onError="continue")
    caught, _ = ended(
        on_machine,
        on_machine.task("t", _steps=[step], _results=["r"]),
        **{"finally": [given(writer(on_machine, "f"), x="$(tasks.t.results.r)")]},
    )
    assert str(caught) == "task t was stopped: step only took over 0.5 s"
    assert caught.reason is Reason.TIMEOUT
    assert type(caught) is ToolError
    assert not (on_machine.shared / "term").exists()
    assert on_machine.read("f") == "r"


def test_a_tasks_timeout_sends_sigterm_first_and_loses_the_results(on_machine: Local) -> None:
    command = f"trap 'touch {W}/term; exit 0' TERM; printf r > $(results.r.path); sleep 30 & wait"
    caught, statuses = ended(
        on_machine,
        on_machine.task("t", command, _results=["r"], timeout="0.5s"),
        **{
            "finally": [
                given(writer(on_machine, "f"), x="$(tasks.t.results.r)"),
                given(writer(on_machine, "why"), x="$(tasks.t.reason)"),
            ]
        },
    )
    assert str(caught) == "task t was stopped: the task took over 0.5 s"
    assert caught.reason is Reason.TIMEOUT
    assert (on_machine.shared / "term").exists()
    assert statuses == {"t": "Failed", "f": "Skipped", "why": "Succeeded"}
    assert on_machine.read("why") == "TaskRunTimeout"


def test_a_tasks_timeout_covers_all_its_steps_and_a_retry_has_its_own(on_machine: Local) -> None:
    steps = [
        on_machine.step(f"echo x >> {W}/tries; sleep 0.4") | {"name": "one"},
        on_machine.step("sleep 0.4") | {"name": "two"},
    ]
    caught, _ = ended(on_machine, on_machine.task("t", _steps=steps, timeout="600ms", retries=1))
    assert caught.reason is Reason.TIMEOUT
    assert on_machine.read("tries") == "x\nx\n"


def test_background_processes_end_with_their_step(on_machine: Local) -> None:
    on_machine.run(on_machine.task("t", f"(sleep 0.6; touch {W}/late) & true"),
                   on_machine.task("u", "sleep 1", runAfter=["t"]))  # fmt: skip
    assert not (on_machine.shared / "late").exists()


def test_a_failed_pipeline_has_the_results_that_its_tasks_wrote(on_machine: Local) -> None:
    caught, statuses = ended(
        on_machine,
        on_machine.task("good", "printf g > $(results.r.path)", _results=["r"]),
        on_machine.task("bad", "printf b > $(results.r.path); exit 1", _results=["r", "late"]),
        on_machine.task("never", "true", _results=["r"], runAfter=["bad"]),
        results=[
            {"name": "good", "value": "$(tasks.good.results.r)"},
            {"name": "bad", "value": "$(tasks.bad.results.r)"},
            {"name": "unwritten", "value": "$(tasks.bad.results.late)"},
            {"name": "skipped", "value": "$(tasks.never.results.r)"},
            {"name": "last", "value": "$(finally.last.results.r)"},
        ],
        **{
            "finally": [
                on_machine.task("last", "printf l > $(results.r.path); exit 3", _results=["r"])
            ]
        },
    )
    assert str(caught) == "task bad failed with exit code 1"
    assert statuses["never"] == "Skipped"
    assert caught.outputs.results == {"good": "g", "bad": "b", "last": "l"}  # type: ignore[union-attr]


@pytest.mark.parametrize("command", ["kill -9 $$$$", "exit 137"])
def test_a_step_that_the_oom_killer_ended_is_out_of_memory(
    on_machine: Local, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    counts = iter((2, 3, 3, 3))  # before and after each step, since a test cannot cause an OOM kill
    monkeypatch.setattr(cgroup, "oom_kills", lambda: next(counts))
    caught, _ = ended(
        on_machine,
        on_machine.task("t", f"printf killed > $(results.reason.path); {command}",
                        _results=["reason"]),
        **{"finally": [given(writer(on_machine, "f"), x="$(tasks.t.reason)")]},
    )  # fmt: skip
    assert type(caught) is ToolError
    assert str(caught) == "task t was killed for memory: the OOM killer ended a process of it"
    assert caught.reason is Reason.OUT_OF_MEMORY
    assert on_machine.read("f") == "StepOOM"


def test_a_pipeline_result_that_a_good_task_did_not_write_fails_the_run(
    on_machine: Local,
) -> None:
    caught, statuses = ended(
        on_machine,
        on_machine.task("t", "true", _results=["r"]),
        results=[{"name": "out", "value": "$(tasks.t.results.r)"}],
    )
    assert "result out: task t did not emit the result r" in str(caught)
    assert statuses == {"t": "Succeeded"}


def test_the_table_at_the_end_names_every_task(on_machine: Local) -> None:
    ended(
        on_machine,
        on_machine.task("good", "true"),
        on_machine.task("bad", "exit 3", runAfter=["good"]),
        on_machine.task("never", "true", runAfter=["bad"]),
    )
    table = on_machine.log[on_machine.log.index("task   ") :].splitlines()
    assert [line.split()[:2] for line in table] == [
        ["task", "status"],
        ["good", "Succeeded"],
        ["bad", "Failed"],
        ["never", "Skipped"],
    ]
    assert table[1].endswith("0")
    assert table[2].endswith("exit code 3")
    assert table[3].endswith("bad failed")


def test_the_lines_of_a_task_are_no_annotations_on_github_but_its_end_is(
    on_machine: Local, command: type[Command]
) -> None:
    program = "echo ::stop-commands::x; echo 2026Z ERROR why; env; exit 3"
    stepkit = f"{sys.executable} -P -m stepkit collect-artifacts --artifacts /missing"
    on_machine.write(
        on_machine.task("bad", program), **{"finally": [on_machine.task("real", stepkit)]}
    )

    args = [str(on_machine.file), "--workspace", f"shared={on_machine.shared}", "--jobs=1"]
    code, stdout, stderr = command(
        on_machine.directory, *args, env={"GITHUB_ACTIONS": "true"}
    ).end()

    assert (code, github_commands.commands(stdout)) == (3, [])
    found = github_commands.commands(stderr)
    assert [each.name for each in found] == ["error", "error", "error"]
    assert found[0].text.startswith("bad: failed in ")
    assert found[1].text.startswith("real: failed in ")
    assert found[2].properties == {"title": "stepkit run-local"}
    assert "INFO [bad] ::stop-commands::x\n" in stderr
    assert "ERROR [bad] why\n" in stderr
    assert "INFO [bad] STEPKIT_LOG_FORMAT=plain\n" in stderr
    assert "INFO [real] stepkit collect-artifacts: error: " in stderr
