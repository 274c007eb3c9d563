"""--resume lets steps of stepkit take what an earlier run proved, and says where it comes from."""

from pathlib import Path
from typing import Any

import pytest
from run_local.conftest import Local
from samples import write_notebook

from stepkit.errors import ConfigurationError, Reason
from stepkit.workspace import run_marker

STEPKIT = ("python", "-P", "-m", "stepkit")
AT = "$(workspaces.shared.path)/$(params.run)"


def pipeline(on_machine: Local, *, fails: bool) -> None:
    """Write a Pipeline: the run's directory, a page of a notebook that lies beside, and a check."""
    notebook = write_notebook(on_machine.directory / "n.ipynb", "1")
    prepare = [*STEPKIT, "prepare-workspace", f"--directory={AT}"]
    prepare += ["--directories", "artifacts", "reports"]
    convert = [*STEPKIT, "convert-notebook", f"--notebook={AT}/artifacts/n.ipynb"]
    convert += [f"--page={AT}/artifacts/n.html", f"--report={AT}/reports/convert.json"]
    convert += ["--result=message=$(results.message.path)"]
    spec: dict[str, Any] = {
        "params": [{"name": "run", "value": "$(context.pipelineRun.name)"}],
        "_params": [{"name": "run"}],
        "_workspaces": [{"name": "shared"}],
    }
    check = "exit 1" if fails else "true"
    on_machine.write(
        on_machine.task("prepare", *prepare, **spec),
        on_machine.task(
            "copy", f"cp {notebook} {AT}/artifacts/n.ipynb", runAfter=["prepare"], **spec
        ),
        on_machine.task("convert", *convert, runAfter=["copy"], _results=["message"], **spec),
        on_machine.task("check", check, runAfter=["convert"]),
    )


def mark(directory: Path) -> None:
    directory.mkdir(parents=True)
    run_marker.write(directory, run=directory.name, directories=())


def resume(on_machine: Local, run: str, resume: str, **options: Any) -> Any:
    return on_machine.run(options={"run": run, "resume": resume, **options})


def test_what_is_proven_is_reused_and_what_failed_runs_again(on_machine: Local) -> None:
    pipeline(on_machine, fails=True)
    with pytest.raises(Exception, match="task check failed"):
        on_machine.run(options={"run": "one"})
    pipeline(on_machine, fails=False)

    done = resume(on_machine, "two", "one")

    assert done.message == "4 of 4 tasks succeeded, 1 reused from one"
    assert {row["task"]: row["reused_from"] for row in done.tasks} == {
        "prepare": [], "copy": [], "convert": ["one"], "check": [],
    }  # fmt: skip
    table = [line.split(maxsplit=3) for line in on_machine.log.splitlines()]
    ends = [row[3:] for row in table if row[:2] == ["convert", "Succeeded"]]
    assert ends == [[], ["reused from one"]]  # in the first run, and in the second
    assert "convert: done in" in on_machine.log
    assert "reused from one: n.html: 0.3 MB" in on_machine.log
    page = on_machine.shared / "two/artifacts/n.html"
    assert page.read_bytes() == (on_machine.shared / "one/artifacts/n.html").read_bytes()


def test_the_plan_shows_which_run_it_resumes_and_which_steps_are_asked(
    on_machine: Local, tmp_path: Path
) -> None:
    pipeline(on_machine, fails=False)
    mark(on_machine.shared / "one")

    plan = resume(on_machine, "two", f"{tmp_path}/shared/one", dry_run=True).plan

    assert f"  resumes {tmp_path}/shared/one\n" in plan
    asked = [line for line in plan.splitlines() if f"--resume={tmp_path}/shared/one" in line]
    assert ["convert-notebook" in line for line in asked] == [True]


UNKNOWN = "there is no run at {place}, whose directory prepare-workspace would have marked"
SAME = "it is also the name of this run, which begins with an empty directory: choose another --run"


@pytest.mark.parametrize(
    ("run", "named", "why"),
    [
        ("two", "on", UNKNOWN.format(place="{shared}/on") + ": the last runs there are one"),
        ("two", "./empty", UNKNOWN.format(place="{here}/empty")),
        ("three", "./kept/three", SAME),
    ],
)
def test_a_run_that_cannot_be_resumed_is_refused_before_anything_starts(
    on_machine: Local, monkeypatch: pytest.MonkeyPatch, run: str, named: str, why: str
) -> None:
    pipeline(on_machine, fails=False)
    mark(on_machine.shared / "one")
    mark(on_machine.directory / "kept/three")
    (on_machine.directory / "empty").mkdir()
    monkeypatch.chdir(on_machine.directory)

    with pytest.raises(ConfigurationError) as refused:
        resume(on_machine, run, named)

    wanted = why.format(shared=on_machine.shared, here=on_machine.directory)
    assert f"--resume {named}: {wanted}" in str(refused.value)
    assert refused.value.reason in {Reason.NOT_FOUND, Reason.BAD_INPUT}
    assert not (on_machine.shared / "two").exists()
