"""A Pipeline that cannot run here as on a cluster is refused in one line, before it runs."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from run_local.conftest import Local

from stepkit.cli.commands import run_local
from stepkit.errors import ConfigurationError

W = "$(workspaces.shared.path)"
V1 = "apiVersion: tekton.dev/v1\nkind: "
RAN = ["sh", "-c", f"touch {W}/ran"]


def refused(on_machine: Local, **options: Any) -> str:
    """Run the Pipeline on disk; return the error, and assert that nothing was written."""
    before = sorted(on_machine.directory.rglob("*"))
    with pytest.raises(ConfigurationError) as caught:
        on_machine.run(options=options)
    assert sorted(on_machine.directory.rglob("*")) == before
    message = str(caught.value)
    assert "\n" not in message
    assert str(on_machine.directory) in message
    return message


STEP_FIELDS = [
    ("script", "echo hi", "write a command and its args"),
    ("ref", {"name": "x"}, "StepActions are not run here"),
    ("params", [], "they belong to a StepAction"),
    ("results", [], "write a result of the Task"),
    ("when", [], "put the condition on the Pipeline's task"),
    ("envFrom", [], "name each variable under env"),
    ("stdoutConfig", {"path": "x"}, "alpha"),
    ("stderrConfig", {"path": "x"}, "alpha"),
    ("volumeDevices", [], "needs a cluster"),
    ("livenessProbe", {}, "needs a cluster"),
    ("ports", [], "needs a cluster"),
    ("resources", {}, "computeResources"),
]


@pytest.mark.parametrize(("field", "value", "why"), STEP_FIELDS)
def test_a_steps_field_is_refused(on_machine: Local, field: str, value: Any, why: str) -> None:
    step = {"name": "s", "image": "i", "command": RAN, field: value}
    if field in {"script", "ref"}:
        del step["command"]
    on_machine.write(on_machine.task("t", _steps=[step]))
    message = refused(on_machine)
    assert f"Pipeline p: spec.tasks[0].taskSpec.steps[0].{field}: run-local refuses" in message
    assert why in message


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"script": "x"}, "either a script or a command, not both"),
        ({"command": None}, "the command is missing"),
        ({"command": []}, "the command is missing"),
        ({"command": "true"}, "command: must be a list, not a string"),
        ({"command": ["$(params.none[*])"]}, "the command is empty"),
        ({"image": None}, "the field 'image' is missing"),
        ({"comand": ["x"]}, "unknown field 'comand': did you mean command?"),
        ({"args": [1]}, "args[0]: must be a string, not a number"),
        ({"name": "Not A Label"}, "is not a valid name"),
        ({"workingDir": "relative"}, "is relative"),
        ({"timeout": "10"}, "'10' is not a duration"),
        ({"timeout": "$(params.p)"}, "is not a duration"),
        ({"onError": "ignore"}, "none of continue, stopAndFail"),
        ({"onError": "$(params.p)"}, "none of continue, stopAndFail"),
        ({"computeResources": {"limits": {"nvidia.com/gpu": "$(params.p)"}}}, "no variables here"),
        ({"env": [{"name": "A", "value": 1}]}, "must be a string, not a number: put it in quotes"),
        ({"env": [{"name": "A"}, {"name": "A"}]}, "the name 'A' is used twice"),
        ({"env": [{"name": "A=B"}]}, "not the name of an environment variable"),
        ({"env": [{"name": "A", "value": "x", "valueFrom": {}}]}, "both a value and a valueFrom"),
        ({"env": [{"name": "A", "valueFrom": {"configMapKeyRef": {}}}]}, "configMapKeyRef: run"),
        ({"env": [{"name": "A", "valueFrom": {"fieldRef": {}}}]}, "fieldRef: run-local refuses"),
        ({"env": [{"name": "A", "valueFrom": {}}]}, "the field 'secretKeyRef' is missing"),
        ({"volumeMounts": [{"name": "v", "mountPath": "/x"}]}, "there is no volume 'v'"),
        ({"workspaces": [{"name": "w"}]}, "there is no workspace 'w'"),
        ({"args": ["$(params.nope)"]}, "there is no variable $(params.nope)"),
        ({"args": ["$(params.pp)"]}, "did you mean p?"),
        ({"args": ["$(params.list)"]}, "is an array and does not fit into a string"),
        ({"args": ["x$(params.list[*])"]}, "is an array and does not fit into a string"),
        ({"args": ["$(params.list[9])"]}, "there are only 1 items"),
        ({"args": ["$(params.p[*])"]}, "is a string: write it without [*]"),
        ({"args": ["$(params)"]}, None),
        ({"args": ["$(params.)"]}, "is not a variable"),
        ({"args": ["$(workspaces.nope.path)"]}, "there is no variable $(workspaces.nope.path)"),
        ({"args": ["$(workspaces.shared.claim)"]}, "there is no variable"),
        ({"args": ["$(workspaces.shared)"]}, "is not a variable"),
        ({"args": ["$(results.nope.path)"]}, "there is no variable $(results.nope.path)"),
        ({"args": ["$(context.pipelineRun.name)"]}, "there is no variable"),
        ({"args": ["$(tasks.t.status)"]}, "there is no variable $(tasks.t.status)"),
        ({"args": ["$(steps.step-x.exitCode.path)"]}, "there is no variable"),
        ({"args": ["$(step.artifacts.path)"]}, "there is no variable"),
        ({"image": "$(params.imagee)"}, "image: there is no variable $(params.imagee)"),
    ],
)  # fmt: skip
def test_a_wrong_step_is_refused(
    on_machine: Local, change: dict[str, Any], problem: str | None
) -> None:
    step = {"name": "s", "image": "i", "command": RAN, **change}
    on_machine.write(
        on_machine.task("t", _steps=[step]),
        params=[
            {"name": "p", "default": "x"},
            {"name": "list", "default": ["a"]},
            {"name": "none", "default": []},
        ],
    )
    if problem is None:  # the shell may have it
        assert on_machine.run().message == "1 of 1 tasks succeeded"
        return
    assert problem in refused(on_machine)


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        ({"sidecars": []}, "sidecars: run-local refuses this"),
        ({"steps": []}, "a Task needs a step"),
        ({"stepps": []}, "unknown field 'stepps': did you mean steps?"),
        ({"steps": [{"name": "s", "image": "i", "command": RAN}] * 2}, "'s' is used twice"),
        ({"volumes": [{"name": "v", "configMap": {}}]}, "of kind configMap: only emptyDir"),
        ({"volumes": [{"name": "v", "persistentVolumeClaim": {}}]}, "persistentVolumeClaim"),
        ({"volumes": [{"name": "v", "emptyDir": {"sise": "1"}}]}, "unknown field 'sise'"),
        ({"stepTemplate": {"script": "x"}}, "stepTemplate.script: run-local refuses this"),
        ({"params": [{"name": "a"}, {"name": "a"}]}, "the name 'a' is used twice"),
        ({"params": [{"name": "a", "type": "int"}]}, "'int' is none of string, array, object"),
        ({"params": [{"name": "a", "type": "object"}]}, "needs properties"),
        ({"params": [{"name": "a", "enum": ["x"]}]}, "enum: run-local refuses this"),
        ({"params": [{"name": "a", "default": [1]}]}, "must be a string, not a number"),
        ({"params": [{"name": "a"}]}, "the param 'a' of the Task t is not given"),
        ({"params": [{"name": "a", "default": "$(params.b)"},
                     {"name": "b", "default": "$(params.a)"}]}, "name each other in a circle"),
        ({"results": [{"name": "r"}, {"name": "r"}]}, "the name 'r' is used twice"),
        ({"results": [{"name": "r", "value": "x"}]}, "value: run-local refuses this"),
        ({"results": [{"name": "r", "type": "object"}]}, "needs properties"),
        ({"workspaces": [{"name": "w"}]}, "the workspace 'w' of the Task t is not given"),
        ({"workspaces": [{"name": "shared", "mountPath": "/x"}]}, "mountPath: run-local refuses"),
        ({"spec": {}}, "custom tasks need their controller"),
        ({"kind": "Wait"}, "custom tasks need their controller"),
    ],
)  # fmt: skip
def test_a_wrong_task_spec_is_refused(
    on_machine: Local, spec: dict[str, Any], problem: str
) -> None:
    task = on_machine.task("t", *RAN)
    task["taskSpec"] |= spec
    on_machine.write(task)
    assert problem in refused(on_machine)


def test_mounts_below_tekton_are_refused_but_for_its_home(on_machine: Local) -> None:
    def write(path: str) -> None:
        step = on_machine.step("true", volumeMounts=[{"name": "v", "mountPath": path}])
        volumes = [{"name": "v", "emptyDir": {"medium": "Memory", "sizeLimit": "1Gi"}}]
        on_machine.write(on_machine.task("t", _steps=[step], _volumes=volumes))

    write("/tekton/results")
    assert "Tekton allows no mounts below /tekton/" in refused(on_machine)
    write("/tekton/home/.cache")
    assert on_machine.run().message == "1 of 1 tasks succeeded"


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"pipelineRef": {"name": "x"}}, "pipelineRef: run-local refuses this"),
        ({"pipelineSpec": {}}, "pipelineSpec: run-local refuses this"),
        ({"conditions": []}, "conditions: run-local refuses this"),
        ({"taskRef": {"name": "x"}}, "needs either a taskRef or a taskSpec"),
        ({"taskSpec": None}, "needs either a taskRef or a taskSpec"),
        ({"retires": 1}, "unknown field 'retires': did you mean retries?"),
        ({"retries": -1}, "must be a whole number"),
        ({"retries": "1"}, "must be a whole number"),
        ({"timeout": "soon"}, "'soon' is not a duration"),
        ({"onError": "continue", "retries": 1}, "no onError: continue together with retries"),
        ({"name": None}, "the field 'name' is missing"),
        ({"when": [{"cel": "true"}]}, "cel: run-local refuses this"),
        ({"when": [{"input": "a", "operator": "eq", "values": ["a"]}]}, "none of in, notin"),
        ({"when": [{"input": "a", "operator": "in", "values": []}]}, "needs at least one value"),
        ({"when": [{"input": "$(params.x)", "operator": "in", "values": ["a"]}]}, "no variable"),
        ({"when": [{"input": "$(tasks.t2.status)", "operator": "in", "values": ["a"]}]},
         "only tasks in finally know how other tasks ended"),
        ({"params": [{"name": "a", "value": "1"}, {"name": "a", "value": "2"}]}, "used twice"),
        ({"params": [{"name": "a"}]}, "the field 'value' is missing"),
        ({"params": [{"name": "a", "value": "$(tasks.nope.results.r)"}]}, "no variable"),
        ({"params": [{"name": "a", "value": "$(tasks.t2.results.nope)"}]}, "no variable"),
        ({"params": [{"name": "a", "value": "$(tasks.last.results.r)"}]}, "no variable"),
        ({"workspaces": [{"name": "shared", "workspace": "nope"}]}, "has no workspace 'nope'"),
        ({"workspaces": [{"name": "shared", "subPath": "../up"}]}, "leads out of the workspace"),
        ({"workspaces": [{"name": "shared", "emptyDir": {}}]}, "unknown field 'emptyDir'"),
    ],
)  # fmt: skip
def test_a_wrong_task_of_the_pipeline_is_refused(
    on_machine: Local, fields: dict[str, Any], problem: str
) -> None:
    on_machine.write(
        {**on_machine.task("t", *RAN), **fields},
        on_machine.task("t2", "true", _results=["r"]),
        **{"finally": [on_machine.task("last", "true", _results=["r"])]},
    )
    assert problem in refused(on_machine)


@pytest.mark.parametrize(
    ("ref", "problem"),
    [
        ({"resolver": "git"}, "resolver: run-local refuses this"),
        ({"name": "echo", "bundle": "x"}, "bundle: run-local refuses this"),
        ({"name": "echo", "kind": "ClusterTask"}, "refuses tekton.dev/v1 ClusterTask"),
        ({"name": "echo", "apiVersion": "example.com/v1", "kind": "Wait"}, "example.com/v1 Wait"),
        ({"name": "$(params.x)"}, "replaces no variables in a Task's name"),
        ({"name": "ehco"}, "there is no Task 'ehco' in"),
        ({"name": "ehco"}, "did you mean echo?"),
        ({"name": "old"}, "reads tekton.dev/v1, not tekton.dev/v1beta1"),
        ({"name": "twice"}, "is also defined in"),
        ({"name": "strict"}, "the param 'x' of the Task strict is not given"),
    ],
)
def test_a_wrong_reference_is_refused(on_machine: Local, ref: dict[str, str], problem: str) -> None:
    on_machine.write_task("echo")
    on_machine.write_task("twice")
    on_machine.write_task("twice", file="again.yaml")
    on_machine.write_task("strict", params=[{"name": "x"}])
    old = on_machine.write_task("old")
    old.write_text(old.read_text().replace("/v1", "/v1beta1"))
    on_machine.write({"name": "t", "taskRef": ref})
    assert problem in refused(on_machine)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"params": [{"name": "z", "value": "a"}]}, "has no param 'z'"),
        ({"params": [{"name": "x", "value": ["a"]}]}, "of type string, and this is of type array"),
        ({"params": [{"name": "x", "value": "$(tasks.a.results.l[*])"}]}, "this is of type array"),
        ({"params": [{"name": "l", "value": "a"}]}, "of type array, and this is of type string"),
        ({"workspaces": [{"name": "v", "workspace": "shared"}]}, "has no workspace 'v'"),
        ({"workspaces": []}, "the workspace 'w' of the Task typed is not given"),
        ({"workspaces": [{"name": "w", "workspace": "maybe"}]}, "cannot do without 'w'"),
        ({"params": [{"name": "x", "value": "$(params.q)"}]}, "no variable $(params.q)"),
    ],
)  # fmt: skip
def test_task_and_pipeline_must_fit(
    on_machine: Local, fields: dict[str, Any], problem: str
) -> None:
    on_machine.write_task(
        "typed",
        params=[{"name": "x", "default": ""}, {"name": "l", "type": "array", "default": []}],
        workspaces=[{"name": "w"}],
    )
    bound = [{"name": "w", "workspace": "shared"}]
    on_machine.write(
        on_machine.task("a", *RAN, _results=[{"name": "l", "type": "array"}]),
        {"name": "t", "taskRef": {"name": "typed"}, "workspaces": bound, **fields},
        workspaces=[{"name": "shared"}, {"name": "maybe", "optional": True}],
    )
    assert problem in refused(on_machine)


def test_a_referenced_task_does_not_see_the_pipelines_params(on_machine: Local) -> None:
    on_machine.write_task("blind", steps=[on_machine.step("echo $(params.p)")])
    on_machine.write(
        {"name": "t", "taskRef": {"name": "blind"}}, params=[{"name": "p", "default": "x"}]
    )
    message = refused(on_machine)
    assert f"{on_machine.directory}/blind.yaml: Task blind: spec.steps[0]" in message
    assert "there is no variable $(params.p)" in message


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        ({"taskz": []}, "unknown field 'taskz': did you mean tasks?"),
        ({"tasks": []}, "a Pipeline needs a task"),
        ({"params": [{"name": "a"}, {"name": "a"}]}, "the name 'a' is used twice"),
        ({"workspaces": [{"name": "shared"}, {"name": "shared"}]}, "used twice"),
        ({"results": [{"name": "r", "value": "$(tasks.t.results.nope)"}]}, "no variable"),
        ({"results": [{"name": "r", "value": "a"}, {"name": "r", "value": "b"}]}, "used twice"),
    ],
)
def test_a_wrong_pipeline_is_refused(on_machine: Local, spec: dict[str, Any], problem: str) -> None:
    content = yaml.safe_load(on_machine.write(on_machine.task("t", *RAN)).read_text())
    content["spec"] |= spec
    on_machine.file.write_text(yaml.safe_dump(content))
    assert problem in refused(on_machine)


def test_names_of_tasks_are_unique_over_tasks_and_finally(on_machine: Local) -> None:
    on_machine.write(on_machine.task("t", *RAN), **{"finally": [on_machine.task("t", *RAN)]})
    assert "spec.finally[0] (t): the name 't' is used twice" in refused(on_machine)


def test_tasks_in_finally_have_no_order(on_machine: Local) -> None:
    last = [on_machine.task("a", *RAN), on_machine.task("b", *RAN, runAfter=["a"])]
    on_machine.write(on_machine.task("t", *RAN), **{"finally": last})
    assert "tasks in finally have no order" in refused(on_machine)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: 1\nb: [", "line 2: not valid YAML"),
        ("a: 1\na: 2", "'a' is given twice"),
        ("1: a", "the key '1' is not text"),
        ("- a", "must be a mapping, not a list"),
        ("kind: Pipeline", "no kind or no apiVersion"),
        (f"{V1}Pipeline", "a Pipeline has no metadata"),
        (f"{V1}Pipeline\nmetadata: {{}}", "'name' is missing"),
        (f"{V1}Pipeline\nmetadata: {{name: n}}", "not a boolean"),
        (f"{V1}Pipeline\nmetadata: {{name: p, uid: x}}", "'uid'"),
        (f"{V1}Pipeline\nmetadata: {{name: p}}", "'spec' is missing"),
        (f"{V1}Pipeline\nmetadata: {{name: p}}".replace("/v1", "/v1beta1"), "not tekton.dev/v1b"),
        (
            f"{V1}PipelineRun\nmetadata: {{name: p}}",
            "it is a PipelineRun: give a file with its Pipeline, and its params by --param",
        ),
        (
            f"{V1}PipelineRun\nspec: {{pipelineRef: {{name: notebook-ci}}}}",
            "it is a PipelineRun: give its Pipeline, notebook-ci, and its params by --param",
        ),
        (f"{V1}TaskRun\nmetadata: {{name: p}}", "refuses the TaskRun"),
        (f"{V1}Task\nmetadata: {{name: p}}", "there is no Pipeline in it"),
        ("", "there is no Pipeline in it"),
        ("x: \x01", "not valid YAML"),
    ],
)  # fmt: skip
def test_a_file_that_is_not_a_pipeline_is_refused(
    on_machine: Local, text: str, problem: str
) -> None:
    on_machine.file.write_text(text)
    assert problem in refused(on_machine)


@pytest.mark.parametrize(
    ("directory", "file", "pipeline"),
    [
        ("tasks", "pipelines/runs/notebook-ci-lite.yaml", "pipelines/notebook-ci.yaml"),
        ("tasks/pipelines/runs", "notebook-ci.yaml", "../notebook-ci.yaml"),
    ],
)
def test_a_pipeline_run_is_answered_with_the_file_of_its_pipeline(
    on_machine: Local, monkeypatch: pytest.MonkeyPatch, directory: str, file: str, pipeline: str
) -> None:
    monkeypatch.chdir(Path(__file__).parents[2] / directory)

    with pytest.raises(ConfigurationError) as caught:
        run_local.run(on_machine.options(pipeline=Path(file)))

    assert str(caught.value) == (
        f"{file}: it is a PipelineRun: give its Pipeline, {pipeline}, and its params by --param"
    )
    assert not on_machine.shared.exists()


@pytest.mark.parametrize(
    ("given", "answer"),
    [
        ("tasks/pipelines/notebook-ci.yaml", ": did you mean notebook-ci?"),
        ("notbook-ci", ": did you mean notebook-ci?"),
        ("x", " (known: dataset-warm, notebook-ci, notebook-matrix, smoke)"),
    ],
)
def test_a_missing_file_is_answered_with_the_pipelines_that_come_with_stepkit(
    on_machine: Local, monkeypatch: pytest.MonkeyPatch, given: str, answer: str
) -> None:
    monkeypatch.chdir(on_machine.directory)

    with pytest.raises(ConfigurationError) as caught:
        run_local.run(on_machine.options(pipeline=Path(given)))

    why = f"there is no file {given}, and no Pipeline of stepkit has that name{answer}"
    assert (str(caught.value), caught.value.reason) == (why, "not-found")
    assert not on_machine.shared.exists()


def test_a_task_that_comes_with_stepkit_is_missed_with_how_to_write_it(on_machine: Local) -> None:
    on_machine.write({"name": "clone", "taskRef": {"name": "git-clone"}})

    assert "(stepkit tasks --out DIR writes it)" in refused(on_machine)


def test_a_missing_file_and_a_binary_one_are_refused(on_machine: Local) -> None:
    assert "there is no file" in refused(on_machine)
    on_machine.file.write_bytes(b"\xff\xfe")
    assert "not UTF-8 text" in refused(on_machine)


def test_two_pipelines_in_one_file_are_refused(on_machine: Local) -> None:
    text = on_machine.write(on_machine.task("t", *RAN)).read_text()
    on_machine.file.write_text(f"{text}---\n{text}")
    assert "2 Pipelines" in refused(on_machine)


def test_tasks_come_from_the_same_file_its_directory_the_one_above_or_the_option(
    on_machine: Local, tmp_path: Path
) -> None:
    def say(word: str) -> dict[str, Any]:
        step = on_machine.step(f"echo {word} >> {W}/said")
        return {"workspaces": [{"name": "shared"}], "steps": [step]}

    text = on_machine.write_task("same", **say("same")).read_text()
    (on_machine.directory / "same.yaml").unlink()
    on_machine.write_task("beside", **say("above"))
    on_machine.write_task("above", **say("above"))
    below, given = tmp_path / "below", tmp_path / "given"
    below.mkdir()
    given.mkdir()
    (below / "broken.yaml").write_text("a: [")
    on_machine.file = below / "pipeline.yaml"
    bound = [{"name": "shared"}]
    names = ("same", "above", "beside")
    tasks = [{"name": n, "taskRef": {"name": n}, "workspaces": bound} for n in names]
    on_machine.write(*tasks)
    on_machine.file.write_text(f"{on_machine.file.read_text()}---\n{text}")
    on_machine.directory = below
    on_machine.write_task("beside", **say("beside"))
    on_machine.run()
    assert sorted(on_machine.read("said").split()) == ["above", "beside", "same"]
    message = refused(on_machine, tasks=(given,))
    assert f"there is no Task 'above' in {on_machine.file}, {given}" in message
    (given / "broken.yaml").write_text("a: [")
    assert "unreadable there" in refused(on_machine, tasks=(given,))
