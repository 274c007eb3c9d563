"""``--dry-run`` prints what would run, and changes nothing."""

import os
import sys
from pathlib import Path

import pytest
from run_local.conftest import Local

from stepkit.cli.main import main
from stepkit.errors import ConfigurationError

W = "$(workspaces.shared.path)"


def everything(on_machine: Local) -> None:
    env = [
        {"name": "HOME", "value": "/tekton/home"},
        {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "git-token", "key": "token"}}},
        {"name": "BOTH", "value": "$(HOME)/$(TOKEN)"},
    ]
    on_machine.write_task(
        "clone",
        params=[{"name": "url"}, {"name": "more", "type": "array"}],
        workspaces=[{"name": "w"}],
        results=[{"name": "commit"}],
        volumes=[{"name": "shm", "emptyDir": {"medium": "Memory"}}],
        steps=[
            on_machine.step(
                *("python", "-m", "clone", "$(params.url)", "$(params.more[*])"),
                env=env,
                args=["--out=$(workspaces.w.path)", "$(results.commit.path)"],
                securityContext={"runAsNonRoot": True},
                computeResources={"limits": {"nvidia.com/gpu": "1"}},
                volumeMounts=[{"name": "shm", "mountPath": "/dev/shm"}],
                timeout="5m",
            )
        ],
    )
    on_machine.write(
        {
            "name": "clone",
            "taskRef": {"name": "clone"},
            "params": [
                {"name": "url", "value": "$(params.url)"},
                {"name": "more", "value": ["a b", "$(params.none[*])"]},
            ],
            "workspaces": [{"name": "w", "workspace": "shared", "subPath": "sub"}],
            "timeout": "1h",
            "retries": 2,
        },
        on_machine.task(
            "use",
            "echo $(params.c)",
            _params=[{"name": "c"}],
            params=[{"name": "c", "value": "<$(tasks.clone.results.commit)>"}],
            when=[{"input": "$(tasks.clone.results.commit)", "operator": "notin", "values": [""]}],
        ),
        params=[{"name": "url"}, {"name": "none", "default": []}],
        **{
            "finally": [
                on_machine.task(
                    "last",
                    "echo $(params.s)",
                    _params=[{"name": "s"}],
                    params=[{"name": "s", "value": "$(tasks.use.status)"}],
                )
            ]
        },
    )


def snapshot(directory: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in directory.rglob("*")}


def test_the_plan_shows_commands_needs_and_results_and_no_secret(
    on_machine: Local, monkeypatch: pytest.MonkeyPatch
) -> None:
    everything(on_machine)
    keys = on_machine.directory / "keys"
    keys.mkdir()
    (keys / "token").write_text("s3cret-value")
    before = snapshot(on_machine.directory)
    temporary = on_machine.directory.parent / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    outputs = on_machine.run(
        options={
            "param": ("url=https://x/y z",),
            "secret": (f"git-token={keys}",),
            "dry_run": True,
        }
    )
    plan = outputs.plan
    home, shared = str(Path.home()), on_machine.shared
    for line in (
        "Pipeline p, run r",
        "  param url = 'https://x/y z'",
        f"  workspace shared = {shared}",
        "wave 1",
        f"  clone (Task clone, {on_machine.directory}/clone.yaml)",
        "    timeout: 3600 s",
        "    retries: 2",
        f"    needs: params more, url; workspace w ({shared}/sub); secret git-token/token",
        (
            f"    step only: {sys.executable} -m clone 'https://x/y z' 'a b' --out={shared}/sub "
            "'$(results.commit.path)'"
        ),
        f"      HOME={home} (yours, instead of /tekton/home)",
        "      TOKEN from secret git-token/token",
        f"      BOTH='{home}/$(TOKEN)'",
        "      timeout: 300 s",
        "    leaves: results commit",
        "    not applied here: image, securityContext, computeResources, volumes (/dev/shm)",
        "wave 2",
        "    after: clone",
        '    when: $(tasks.clone.results.commit) notin [""]',
        "    needs: params c; results clone.commit",
        "    step only: sh -c 'echo <$(tasks.clone.results.commit)>'",
        "finally, whatever happened before",
        "    step only: sh -c 'echo $(tasks.use.status)'",
    ):
        assert line in plan.splitlines()
    assert "s3cret-value" not in plan
    assert outputs.message == "a plan of 3 tasks: nothing was run"
    assert snapshot(on_machine.directory) == before
    assert list(temporary.iterdir()) == []


def test_a_dry_run_refuses_what_a_run_refuses(on_machine: Local) -> None:
    everything(on_machine)
    with pytest.raises(ConfigurationError, match="add --secret git-token=DIR"):
        on_machine.run(options={"param": ("url=x",), "dry_run": True})


def test_the_plan_names_each_combination_of_a_matrix(on_machine: Local) -> None:
    matrix = {"params": [{"name": "a", "value": ["1", "2"]}]}
    listed = {"params": [{"name": "a", "value": "$(tasks.l.results.r[*])"}]}
    params = [{"name": "a"}]
    outputs = on_machine.run(
        on_machine.task("l", "true", _results=[{"name": "r", "type": "array"}]),
        on_machine.task("m", "echo $(params.a)", _params=params, matrix=matrix),
        on_machine.task("of-list", "echo $(params.a)", _params=params, matrix=listed),
        options={"dry_run": True},
    )
    plan = outputs.plan
    assert "    m-1: a=2\n    step only: sh -c 'echo 2'" in plan
    assert "    of-list-0: a=$(tasks.l.results.r[*])\n" in plan


def test_the_command_line_prints_the_plan_and_nothing_runs(
    on_machine: Local, capsys: pytest.CaptureFixture[str]
) -> None:
    on_machine.write(on_machine.task("t", f"touch {W}/ran"), params=[{"name": "p"}])
    code = main(["run-local", str(on_machine.file), "--workspace", f"shared={on_machine.shared}",
                 "--param", "p=1", "--dry-run", "--run", "night-1"])  # fmt: skip
    shown = capsys.readouterr()
    assert code == 0
    assert shown.out.startswith("Pipeline p, run night-1\n")
    assert "run=night-1\n" in shown.out
    assert "a plan of 1 tasks: nothing was run" in shown.err
    assert not on_machine.shared.exists()


def test_the_command_line_says_in_one_line_what_is_wrong(
    on_machine: Local, capsys: pytest.CaptureFixture[str]
) -> None:
    on_machine.write(on_machine.task("t", "true", retires=1))
    code = main(["run-local", os.fspath(on_machine.file)])
    assert code == 2
    assert (
        capsys.readouterr().err.splitlines()[-1]
        == f"stepkit run-local: error: {on_machine.file}: Pipeline p: spec.tasks[0]: "
        "unknown field 'retires': did you mean retries? [bad-input]"
    )
