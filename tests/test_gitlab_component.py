"""The GitLab component: what GitLab makes of it, and its script, run as a runner does."""

import json
import os
import re
import sys
from pathlib import Path

import commands
import gitlab_pipeline
import nbformat
import pytest
import yaml
from samples import write_notebook

ENV = {
    "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    "CI_JOB_URL": "https://gitlab.example/you/notebooks/-/jobs/7",
    "STEPKIT_OPT_INSTALLER": "none",
}
TEST = """\
from pathlib import Path

def test_page():
    assert list(Path("input").glob("*.html"))
"""


def sections(log: str) -> list[str]:
    """Return the sections that GitLab folds; each must have ended before the next begins."""
    found = re.findall(r"\x1b\[0Ksection_(start|end):\d+:(\w+)(?:\[\S+\])?\r\x1b\[0K", log)
    names = [name for _, name in found[::2]]
    assert found == [(kind, name) for name in names for kind in ("start", "end")]
    return names


def test_no_input_is_written_into_the_script() -> None:
    script = "\n".join(gitlab_pipeline.included(install="none")["notebooks"]["script"])
    text = gitlab_pipeline.COMPONENT.read_text(encoding="utf-8")

    assert "inputs." not in text.partition("  script:\n")[2].partition("  artifacts:\n")[0]
    assert "execute-notebooks" in script


def test_the_page_lists_all_inputs_with_their_defaults() -> None:
    page = Path(__file__).parents[1] / "docs/gitlab.md"
    rows = re.findall(r"^\| (`.*?) \|.*\| (.*?) ?\|$", page.read_text(), flags=re.MULTILINE)
    defaults: dict[str, str] = {}
    for names, values in rows:
        several = names.split(", ")
        each = values.split(", ") if len(several) > 1 else [values]
        defaults |= zip((name.strip("`") for name in several), each, strict=True)
    declared = gitlab_pipeline.inputs()

    assert set(defaults) == set(declared)
    for name, given in declared.items():
        if given.get("default", "") != "":
            assert defaults[name].strip("`") == str(given["default"]), name


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"install": 'a"\nb: c'},
        {"install": "none", "parameters": 'n="5"'},
        {"install": "none", "notebooks": "a.ipynb\nscript: [touch owned]"},
        {"install": "none", "directory": "/etc"},
        {"install": "none", "gpu": "maybe"},
    ],
)
def test_gitlab_refuses_an_input_that_would_not_stay_a_value(given: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="input: "):
        gitlab_pipeline.included(**given)


@pytest.mark.slow
def test_the_job_is_what_gitlabs_schema_asks_for(tmp_path: Path) -> None:
    jobs = gitlab_pipeline.included(install="none", tags=["gpu"], jobs=2)
    (tmp_path / ".gitlab-ci.yml").write_text(yaml.safe_dump(jobs))
    schema = ["--builtin-schema", "vendor.gitlab-ci", "--data-transform", "gitlab-ci"]

    done = commands.python("-m", "check_jsonschema", *schema, tmp_path / ".gitlab-ci.yml")

    assert done.returncode == 0, done.stdout
    assert jobs["notebooks"]["tags"] == ["gpu"]


@pytest.mark.slow
@pytest.mark.parametrize(("source", "code"), [("print(text)", 0), ("1 / 0", 3)])
def test_the_job_ends_as_its_notebook_and_keeps_what_gitlab_shows(
    tmp_path: Path, source: str, code: int
) -> None:
    name = "$(touch owned) `touch owned` $HOME.ipynb"
    write_notebook(tmp_path / name, "text = ''", source, tags={0: ["parameters"]})
    (tmp_path / "test_page.py").write_text(TEST)
    given = {"notebooks": f"'{name}'", "parameters": "'text=$(touch owned) $HOME;'", "tests": "."}
    job = gitlab_pipeline.included(install="none", **given)["notebooks"]

    ended, log = gitlab_pipeline.run(job, tmp_path, ENV)

    assert ended == code, log
    assert sections(log) == ["stepkit_install", "stepkit_execute", "stepkit_tests"]
    out = tmp_path / "out"
    kept = {path.name for path in out.iterdir()}
    assert {"report.html", "run.json", "STEP_SUMMARY.md"} <= kept
    for pattern in job["artifacts"]["reports"]["junit"]:
        assert len(list(tmp_path.glob(pattern))) == 1, pattern
    link = json.loads((tmp_path / job["artifacts"]["reports"]["annotations"]).read_text())
    assert link["notebooks"][0]["external_link"]["url"].endswith(
        "/7/artifacts/file/out/report.html"
    )
    if code == 0:
        executed = nbformat.read(out / name, as_version=4)
        assert executed.cells[-1].outputs[0].text == "$(touch owned) $HOME;\n"
    assert not list(tmp_path.rglob("owned"))


def test_an_image_whose_python_is_too_old_is_named_before_pip_runs(tmp_path: Path) -> None:
    (tmp_path / "python").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "python").chmod(0o755)
    job = gitlab_pipeline.included(install="stepkit")["notebooks"]
    env = {**ENV, "PATH": f"{tmp_path}:{os.environ['PATH']}"}

    ended, log = gitlab_pipeline.run(job, tmp_path, env)

    assert ended == 2
    assert (
        log == "there is no Python 3.11 or later in this image: choose another by the input image\n"
    )
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["annotations.json"]
