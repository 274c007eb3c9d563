"""Params, results, workspaces and variables have the values that Tekton gives them."""

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from run_local.conftest import Local

from stepkit.errors import ConfigurationError, ToolError
from stepkit.workspace import run_marker

W = "$(workspaces.shared.path)"
DUMP = "import json, sys; open(sys.argv[1], 'w').write(json.dumps(sys.argv[2:]))"


def dump(*args: str, file: str = "args") -> tuple[str, ...]:
    """Return a command that writes its arguments into the workspace."""
    return ("python", "-c", DUMP, f"{W}/{file}", *args)


def args(on_machine: Local, file: str = "args") -> Any:
    return json.loads(on_machine.read(file))


def passed(**values: object) -> list[dict[str, object]]:
    return [{"name": name, "value": value} for name, value in values.items()]


def test_arrays_expand_as_whole_arguments_and_an_empty_one_to_none(on_machine: Local) -> None:
    command = dump("--", "$(params.list[*])", "--", "$(params.none[*])", "--", "$(params.list[1])!")
    on_machine.run(
        on_machine.task("t", *command),
        params=[{"name": "list", "type": "array"}, {"name": "none", "type": "array"}],
        options={"param": ('list=["a 1", "b=\\"2\\""]', "none=[]")},
    )
    assert args(on_machine) == ["--", "a 1", 'b="2"', "--", "--", 'b="2"!']


def test_a_plain_string_is_the_only_item_of_an_array(on_machine: Local) -> None:
    on_machine.run(
        on_machine.task("t", *dump("$(params.list[*])")),
        params=[{"name": "list", "type": "array"}],
        options={"param": ("list=a b",)},
    )
    assert args(on_machine) == ["a b"]


def test_objects_and_bracket_notation_and_defaults_of_defaults(on_machine: Local) -> None:
    on_machine.run(
        on_machine.task("t", *dump("$(params.o.key)", "$(params['a.b'])", '$(params["copy"])')),
        params=[
            {"name": "o", "type": "object", "properties": {"key": {"type": "string"}}},
            {"name": "copy", "default": "<$(params['a.b'])>"},
            {"name": "a.b", "default": "dots"},
        ],
        options={"param": ('o={"key": "v"}',)},
    )
    assert args(on_machine) == ["v", "dots", "<dots>"]


def test_an_object_needs_every_key_that_its_default_does_not_have(on_machine: Local) -> None:
    declared = {"name": "o", "type": "object", "properties": {"a": {}, "b": {}}}
    on_machine.write(
        on_machine.task("t", *dump("$(params.o.a)", "$(params.o.b)")),
        params=[{**declared, "default": {"a": "1", "b": "2"}}],
    )
    on_machine.run(options={"param": ('o={"b": "3"}',)})
    assert args(on_machine) == ["1", "3"]
    on_machine.write(on_machine.task("t", "true"), params=[declared])
    with pytest.raises(ConfigurationError, match="the object o lacks the key a"):
        on_machine.run(options={"param": ('o={"b": "3"}',)})


def test_numbers_and_booleans_in_yaml_become_strings(on_machine: Local) -> None:
    on_machine.run(
        on_machine.task("t", *dump("$(params.number)", "$(params.flag)")),
        params=[{"name": "number", "default": 3}, {"name": "flag", "default": True}],
    )
    assert args(on_machine) == ["3", "true"]


def test_a_referenced_task_gets_what_is_passed_and_its_own_defaults(on_machine: Local) -> None:
    on_machine.write_task(
        "echo",
        params=[{"name": "x"}, {"name": "other", "default": "other of $(params.x)"}],
        workspaces=[{"name": "w"}],
        steps=[
            on_machine.step("python", "-c", DUMP, "$(workspaces.w.path)/args", "$(params.other)"),
        ],
    )
    on_machine.run(
        {
            "name": "t",
            "taskRef": {"name": "echo"},
            "params": passed(x="$(params.p)!"),
            "workspaces": [{"name": "w", "workspace": "shared", "subPath": "below/$(params.p)"}],
        },
        params=[{"name": "p", "default": "P"}],
    )
    assert args(on_machine, "below/P/args") == ["other of P!"]


def test_a_pipelines_param_wins_over_the_default_of_a_taskspec_that_names_it(
    on_machine: Local,
) -> None:
    on_machine.run(
        on_machine.task("t", *dump("$(params.p)"), _params=[{"name": "p", "default": "task"}]),
        params=[{"name": "p", "default": "pipeline"}],
    )
    assert args(on_machine) == ["pipeline"]


def test_a_results_trailing_newline_stays(on_machine: Local) -> None:
    outputs = on_machine.run(
        on_machine.task("a", "printf 'one\\n' > $(results.r.path)", _results=["r"]),
        on_machine.task(
            "b",
            *dump("$(params.x)"),
            _params=[{"name": "x"}],
            params=passed(x="<$(tasks.a.results.r)>"),
        ),
        results=[{"name": "out", "value": "$(tasks.a.results.r)"}],
    )
    assert args(on_machine) == ["<one\n>"]
    assert outputs.results == {"out": "one\n"}


def test_array_and_object_results_go_from_task_to_task(on_machine: Local) -> None:
    write = """printf '["a", "b"]' > $(results.l.path); printf '{"k": "v"}' > $(results.o.path)"""
    outputs = on_machine.run(
        on_machine.task(
            "a",
            write,
            _results=[
                {"name": "l", "type": "array"},
                {"name": "o", "type": "object", "properties": {"k": {}}},
            ],
        ),
        on_machine.task(
            "b",
            *dump("$(params.l[*])", "$(params.one)", "$(params.k)"),
            _params=[{"name": "l", "type": "array"}, {"name": "one"}, {"name": "k"}],
            params=passed(
                l="$(tasks.a.results.l[*])",
                one="$(tasks.a.results.l[1])",
                k="$(tasks.a.results.o.k)",
            ),
        ),
        results=[
            {"name": "l", "value": "$(tasks.a.results.l[*])"},
            {"name": "o", "value": "$(tasks.a.results.o[*])"},
        ],
    )
    assert args(on_machine) == ["a", "b", "b", "v"]
    assert outputs.results == {"l": ["a", "b"], "o": {"k": "v"}}


@pytest.mark.parametrize(
    ("result", "written", "problem"),
    [
        ({"type": "array"}, "[1]", "not an array of strings"),
        ({"type": "array"}, "text", "not an array of strings"),
        ({"properties": {"k": {}}}, "[]", "not an object of strings"),
        ({"properties": {"k": {}}}, '{"j": "v"}', "lacks the key k"),
        ({"properties": {"k": {}}}, None, "of type object is missing"),
    ],
)
def test_a_result_of_another_type_fails_the_task(
    on_machine: Local, result: dict[str, Any], written: str | None, problem: str
) -> None:
    command = f"printf '{written}' > $(results.r.path)" if written is not None else "true"
    with pytest.raises(ToolError, match=problem) as caught:
        on_machine.run(on_machine.task("t", command, _results=[{"name": "r", **result}]))
    assert caught.value.outputs.tasks[0]["reason"] == "TaskRunValidationFailed"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("steps", "size", "fits"),
    [(1, 3900, True), (1, 4100, False), (3, 2200, True), (3, 2600, False)],
)
def test_results_for_which_tekton_has_no_room_fail_the_task(
    on_machine: Local, steps: int, size: int, *, fits: bool
) -> None:
    write = f"head -c {size} /dev/zero | tr '\\0' x > $(results.r.path)"
    task = on_machine.task(
        "t",
        _results=["r"],
        _steps=[on_machine.step(write) | {"name": f"s{number}"} for number in range(steps)],
    )
    if fits:
        assert on_machine.run(task).message == "1 of 1 tasks succeeded"
        return
    with pytest.raises(ToolError, match=r"its results take \d+ bytes, Tekton has room for"):
        on_machine.run(task)


def test_context_variables_name_run_pipeline_and_task(on_machine: Local) -> None:
    context = (
        "$(context.pipelineRun.name) $(context.pipelineRun.namespace) $(context.pipeline.name)"
    )
    on_machine.write_task(
        "named",
        params=[{"name": "x"}],
        workspaces=[{"name": "shared"}],
        steps=[
            on_machine.step(*dump("$(params.x)", "$(context.taskRun.name)", "$(context.task.name)"))
        ],
    )
    on_machine.run(
        {
            "name": "t",
            "taskRef": {"name": "named"},
            "params": passed(x=context),
            "workspaces": [{"name": "shared"}],
        },
        options={"run": "night-1"},
    )
    assert args(on_machine) == ["night-1 default p", "night-1-t", "named"]


def test_the_default_name_of_a_run_is_the_pipelines_with_the_time(on_machine: Local) -> None:
    outputs = on_machine.run(on_machine.task("t", "true"), options={"run": ""})
    assert re.fullmatch(r"p-\d{8}-\d{6}", outputs.run)


def test_an_optional_workspace_that_is_not_bound_has_an_empty_path(on_machine: Local) -> None:
    on_machine.run(
        on_machine.task(
            "t",
            *dump(
                "<$(workspaces.cache.path)>",
                "$(workspaces.cache.bound)",
                "$(workspaces.shared.bound)",
            ),
            _workspaces=[{"name": "cache", "optional": True}, {"name": "shared"}],
            workspaces=[{"name": "cache"}, {"name": "shared"}],
        ),
        workspaces=[{"name": "shared"}, {"name": "cache", "optional": True}],
    )
    assert args(on_machine) == ["<>", "false", "true"]


def test_a_relative_workspace_is_made_absolute_and_made(
    on_machine: Local, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(on_machine.directory)
    on_machine.run(
        on_machine.task("t", f"echo {W} > {W}/path"), options={"workspace": ("shared=a/b",)}
    )
    made = on_machine.directory / "a/b"
    assert (made / "path").read_text() == f"{made}\n"


def test_the_kubelet_expands_variables_after_tekton(on_machine: Local) -> None:
    env = [
        {"name": "A", "value": "a"},
        {"name": "B", "value": "$(A)b $(LATER) $$(A)"},
        {"name": "LATER", "value": "$(params.p)"},
    ]
    step = on_machine.step(*dump("$(B)", "$(LATER)", "$(NOT_THERE)", "$(date)"), env=env)
    on_machine.run(
        on_machine.task("t", _steps=[step]),
        params=[{"name": "p"}],
        options={"param": ("p=https://x/$(A)/y $$(HOME)",)},
    )
    assert args(on_machine) == [
        "ab $(LATER) $(A)",
        "https://x/a/y $(HOME)",
        "$(NOT_THERE)",
        "$(date)",
    ]


def test_python_is_this_python_and_home_is_the_callers(
    on_machine: Local, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OF_THE_CALLER", "yes")
    code = "import os, sys, json; json.dump([sys.executable, os.environ['HOME'], os.getcwd(), "
    code += f"os.environ['OF_THE_CALLER'], os.environ['PYTHONUNBUFFERED']], open('{W}/args', 'w'))"
    step = on_machine.step(
        "python3",
        "-c",
        code,
        env=[{"name": "HOME", "value": "/tekton/home"}],
        workingDir=f"{W}/made/for it",
    )
    on_machine.run(on_machine.task("t", _steps=[step]))
    directory = str(on_machine.shared / "made/for it")
    assert args(on_machine) == [sys.executable, str(Path.home()), directory, "yes", "1"]


def test_defaults_of_options_do_not_reach_a_step(
    on_machine: Local, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEPKIT_OPT_MARKER", "slow")
    (on_machine.shared / "here").mkdir(parents=True)
    (on_machine.shared / "here/stepkit.yaml").write_text("no such key: 1\n")
    code = "import json, os; from stepkit.cli import option_defaults; "
    code += "found = option_defaults.find(['run-tests'], os.environ).options; "
    code += "left = [name for name in os.environ if name.startswith('STEPKIT_OPT_')]; "
    code += f"json.dump([left, found], open('{W}/args', 'w'))"
    step = on_machine.step("python3", "-c", code, workingDir=f"{W}/here")

    on_machine.run(on_machine.task("t", _steps=[step]))

    assert args(on_machine) == [[], {}]


def test_a_step_inherits_from_the_step_template(on_machine: Local) -> None:
    template = {"image": "t", "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "1"}]}
    step: dict[str, Any] = {"name": "s", "command": ["sh", "-c", f"echo $A$B > {W}/out"]}
    step["env"] = [{"name": "B", "value": "2"}]
    on_machine.run(on_machine.task("t", _steps=[step], _stepTemplate=template))
    assert on_machine.read("out") == "12\n"


def test_secrets_reach_one_child_and_nothing_else(
    on_machine: Local, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTHER", "the caller's, not the secret")
    key = on_machine.directory / "keys/token"
    key.parent.mkdir()
    key.write_text("s3cret-value")
    secret = {"secretKeyRef": {"name": "$(params.s)", "key": "token"}}
    absent = {"secretKeyRef": {"name": "other", "key": "token", "optional": True}}
    command = f'printf %s "$GIT_TOKEN" > {W}/got; test -z ${{OTHER+set}} && echo says $GIT_TOKEN; '
    step = on_machine.step(
        command + "printf %s $GIT_TOKEN > $(results.r.path)",
        env=[{"name": "GIT_TOKEN", "valueFrom": secret}, {"name": "OTHER", "valueFrom": absent}],
    )
    outputs = on_machine.run(
        on_machine.task("t", _steps=[step], _results=["r"]),
        params=[{"name": "s", "default": "git-token"}],
        results=[{"name": "r", "value": "$(tasks.t.results.r)"}],
        options={"secret": (f"git-token={key.parent}",)},
    )
    assert on_machine.read("got") == "s3cret-value"
    assert "[t] says ***" in on_machine.log
    assert "s3cret-value" not in on_machine.log + str(outputs) + "".join(capsys.readouterr())
    assert "GIT_TOKEN" not in os.environ


def test_a_secret_that_is_needed_and_not_given_is_an_error(on_machine: Local) -> None:
    secret = {"secretKeyRef": {"name": "git-token", "key": "token"}}
    step = on_machine.step("true", env=[{"name": "T", "valueFrom": secret}])
    on_machine.write(on_machine.task("t", _steps=[step]))
    with pytest.raises(ConfigurationError, match="add --secret git-token=DIR"):
        on_machine.run()
    (on_machine.directory / "empty").mkdir()
    with pytest.raises(ConfigurationError, match=r"there is no file .*/empty/token"):
        on_machine.run(options={"secret": (f"git-token={on_machine.directory}/empty",)})
    assert not on_machine.shared.exists()


def test_a_directory_without_the_key_of_an_optional_secret_is_refused(on_machine: Local) -> None:
    secret = {"secretKeyRef": {"name": "git-token", "key": "token", "optional": True}}
    step = on_machine.step(f"touch {W}/ran", env=[{"name": "T", "valueFrom": secret}])
    on_machine.write(on_machine.task("t", _steps=[step]))
    directory = on_machine.directory / "secret"
    directory.mkdir()
    (directory / "tokn").write_text("s3cret")

    with pytest.raises(ConfigurationError) as caught:
        on_machine.run(options={"secret": (f"git-token={directory}",)})

    assert str(caught.value).startswith(f"--secret git-token: {directory} has no file token,")
    assert not on_machine.shared.exists()
    (directory / "tokn").rename(directory / "token")
    on_machine.run(options={"secret": (f"git-token={directory}",)})
    assert (on_machine.shared / "ran").exists()


def test_a_name_that_a_run_has_is_refused_before_anything_is_touched(on_machine: Local) -> None:
    on_machine.shared.mkdir()
    earlier = on_machine.shared / "job2a"
    earlier.mkdir()
    run_marker.write(earlier, run="job2a", directories=("artifacts",))
    on_machine.write(on_machine.task("t", f"touch {W}/ran"))

    with pytest.raises(ConfigurationError) as caught:
        on_machine.run(options={"run": "job2a"})

    assert str(caught.value) == (
        f"--run job2a: {earlier} is an earlier run, which stays as it is: "
        "choose another name, with --resume job2a to reuse what it proved"
    )
    assert not (on_machine.shared / "ran").exists()
    on_machine.run(options={"run": "job2b"})
    assert (on_machine.shared / "ran").exists()


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"param": ("nane=x",)}, "no such param: did you mean name"),
        ({"param": ("name",)}, "write --param NAME=VALUE"),
        ({"param": ("name=a", "name=b")}, "given twice"),
        ({}, "the Pipeline p needs --param name=VALUE"),
        ({"param": ("name=a", "list=[1]")}, "write strings as JSON"),
        ({"param": ("name=a", "list=[oops")}, "write strings as JSON"),
        ({"param": ("name=a", "o=text")}, "is of type object"),
        (
            {"param": ("name=a/$(params.list)/b",)},
            r"--param name: Tekton replaces \$\(params.list\)",
        ),
        (
            {"param": ("name=$$(context.pipelineRun.name)",)},
            r"replaces \$\(context.pipelineRun.name\)",
        ),
        (
            {"param": ("name=a", 'list=["b", "$(tasks.t.results.r)"]')},
            "--param list: Tekton replaces",
        ),
        ({"param": ("name=a", 'o={"k": "$(HOME)/b"}')}, r"--param o: .* write \$\$\(HOME\)"),
        ({"param": ("name=a",), "workspace": ("share=x",)}, "did you mean shared"),
        ({"param": ("name=a",), "workspace": ()}, "needs --workspace shared=DIR"),
        ({"param": ("name=a",), "workspace": ("shared=",)}, "the directory is empty"),
        ({"param": ("name=a",), "secret": ("s=/nonexistent",)}, "there is no directory"),
        ({"param": ("name=a",), "secret": ("s=/",)}, "--secret s: no task asks for it"),
        ({"param": ("name=a",), "tasks": (Path("/nonexistent"),)}, "there is no such directory"),
        ({"param": ("name=a",), "run": "Night 1"}, "use lower-case letters"),
        ({"param": ("name=a",), "jobs": 0}, "at least one task"),
    ],
)
def test_wrong_inputs_are_refused_before_anything_runs(
    on_machine: Local, options: dict[str, Any], problem: str
) -> None:
    on_machine.write(
        on_machine.task("t", f"touch {W}/ran"),
        params=[
            {"name": "name"},
            {"name": "list", "type": "array", "default": []},
            {"name": "o", "type": "object", "properties": {"k": {}}, "default": {"k": "v"}},
        ],
    )
    with pytest.raises(ConfigurationError, match=problem):
        on_machine.run(options=options)
    assert not on_machine.shared.exists()
