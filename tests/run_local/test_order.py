"""Tasks run in the order of the graph, side by side where it allows."""

import pytest
from run_local.conftest import Local

from stepkit.errors import ConfigurationError, ToolError

W = "$(workspaces.shared.path)"


def test_a_task_starts_after_those_it_runs_after_and_those_whose_results_it_reads(
    on_machine: Local,
) -> None:
    outputs = on_machine.run(
        on_machine.task(
            "third",
            f"echo third $(params.x) >> {W}/log",
            _params=[{"name": "x"}],
            params=[{"name": "x", "value": "$(tasks.second.results.r)"}],
        ),
        on_machine.task(
            "second",
            f"echo second >> {W}/log; printf two > $(results.r.path)",
            _results=["r"],
            runAfter=["first"],
        ),
        on_machine.task("first", f"sleep 0.2; echo first >> {W}/log"),
    )
    assert on_machine.read("log") == "first\nsecond\nthird two\n"
    assert outputs.message == "3 of 3 tasks succeeded"
    assert [row["task"] for row in outputs.tasks] == ["first", "second", "third"]
    assert "third: started" in on_machine.log
    assert "second: succeeded in" in on_machine.log
    assert "(r=two)" in on_machine.log


def test_independent_tasks_overlap(on_machine: Local) -> None:
    meet = f"touch {W}/$(params.me); for i in $(params.n); do test -e {W}/$(params.you) && exit 0; "
    meet += "sleep 0.1; done; exit 1"
    tasks = [
        on_machine.task(
            me,
            meet.replace("$(params.me)", me)
            .replace("$(params.you)", you)
            .replace("$(params.n)", " ".join("0123456789" * 10)),
        )
        for me, you in (("one", "two"), ("two", "one"))
    ]
    outputs = on_machine.run(*tasks, options={"jobs": 2})
    assert on_machine.statuses(outputs) == {"one": "Succeeded", "two": "Succeeded"}


def test_with_one_job_tasks_never_overlap(on_machine: Local) -> None:
    alone = f"mkdir {W}/lock && sleep 0.1 && rmdir {W}/lock"
    tasks = [on_machine.task(name, alone) for name in ("a", "b", "c")]
    outputs = on_machine.run(*tasks, options={"jobs": 1})
    assert outputs.message == "3 of 3 tasks succeeded"


def test_the_steps_of_a_task_run_one_after_another(on_machine: Local) -> None:
    steps = [
        on_machine.step(f"sleep 0.1; echo one >> {W}/log") | {"name": "one"},
        on_machine.step(f"echo two >> {W}/log") | {"name": "two"},
    ]
    on_machine.run(on_machine.task("t", _steps=steps))
    assert on_machine.read("log") == "one\ntwo\n"


def test_after_a_failure_nothing_new_starts_but_running_tasks_end(on_machine: Local) -> None:
    with pytest.raises(ToolError) as caught:
        on_machine.run(
            on_machine.task("bad", f"while test ! -e {W}/on; do sleep 0.05; done; exit 1"),
            on_machine.task("slow", f"touch {W}/on; sleep 0.5; touch {W}/slow-ended"),
            on_machine.task("after-slow", f"touch {W}/never", runAfter=["slow"]),
            on_machine.task("after-bad", f"touch {W}/never", runAfter=["bad"]),
            options={"jobs": 2},
        )
    assert on_machine.statuses(caught.value.outputs) == {
        "bad": "Failed",
        "slow": "Succeeded",
        "after-slow": "Skipped",
        "after-bad": "Skipped",
    }
    assert (on_machine.shared / "slow-ended").exists()
    assert not (on_machine.shared / "never").exists()


def test_a_task_that_waits_for_a_free_place_does_not_start_after_a_failure(
    on_machine: Local,
) -> None:
    with pytest.raises(ToolError) as caught:
        on_machine.run(
            on_machine.task("bad", "exit 1"),
            on_machine.task("other", f"touch {W}/never"),
            options={"jobs": 1},
        )
    assert on_machine.statuses(caught.value.outputs) == {"bad": "Failed", "other": "Skipped"}
    assert not (on_machine.shared / "never").exists()


def test_tasks_that_wait_for_each_other_are_refused(on_machine: Local) -> None:
    with pytest.raises(ConfigurationError, match="these tasks wait for each other: a -> b -> a"):
        on_machine.run(
            on_machine.task("a", "true", runAfter=["b"]),
            on_machine.task("b", "true", runAfter=["a"]),
        )
    assert not on_machine.shared.exists()


def test_a_task_cannot_wait_for_one_that_does_not_exist(on_machine: Local) -> None:
    with pytest.raises(ConfigurationError, match="no task 'buildd': did you mean build") as caught:
        on_machine.run(
            on_machine.task("build", "true"), on_machine.task("test", "true", runAfter=["buildd"])
        )
    assert "Pipeline p: spec.tasks[1].runAfter[0]" in str(caught.value)


def test_a_condition_skips_a_task_and_what_needs_its_results_but_not_what_runs_after_it(
    on_machine: Local,
) -> None:
    never = [{"input": "a", "operator": "in", "values": ["b", "c"]}]
    outputs = on_machine.run(
        on_machine.task("skipped", "true", when=never, _results=["r"]),
        on_machine.task("ordered", "true", runAfter=["skipped"]),
        on_machine.task(
            "consumer",
            "true",
            _params=[{"name": "x"}],
            params=[{"name": "x", "value": "$(tasks.skipped.results.r)"}],
        ),
        on_machine.task("after-consumer", "true", runAfter=["consumer"]),
    )
    assert on_machine.statuses(outputs) == {
        "skipped": "Skipped",
        "ordered": "Succeeded",
        "consumer": "Skipped",
        "after-consumer": "Skipped",
    }
    assert outputs.message == "1 of 4 tasks succeeded, 3 skipped"


def test_conditions_compare_params_results_and_lists(on_machine: Local) -> None:
    def when(value: str, operator: str, values: list[str]) -> list[dict[str, object]]:
        return [{"input": value, "operator": operator, "values": values}]

    outputs = on_machine.run(
        on_machine.task("first", "printf yes > $(results.r.path)", _results=["r"]),
        on_machine.task("runs", "true", when=when("$(params.p)", "in", ["$(params.list[*])"])),
        on_machine.task("not", "true", when=when("$(params.p)", "notin", ["$(params.list[*])"])),
        on_machine.task("result", "true", when=when("$(tasks.first.results.r)", "in", ["yes"])),
        params=[{"name": "p"}, {"name": "list", "type": "array"}],
        options={"param": ("p=b", 'list=["a", "b"]')},
    )
    assert on_machine.statuses(outputs) == {
        "first": "Succeeded",
        "runs": "Succeeded",
        "not": "Skipped",
        "result": "Succeeded",
    }
