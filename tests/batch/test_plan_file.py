import logging
from datetime import date
from pathlib import Path

import pytest
import yaml
from refusals import refusal

from stepkit.batch import plan_file as batch_plan_file
from stepkit.batch.planned_notebook import Planned, Settings
from stepkit.errors import ConfigurationError

TODAY = date(2026, 11, 22)


def read(tmp_path: Path, text: str, flags: Settings | None = None) -> list[Planned]:
    plan = tmp_path / "source/plan.yaml"
    plan.parent.mkdir(exist_ok=True)
    plan.write_text(text)
    return batch_plan_file.read(plan, flags or Settings(), today=TODAY)


def refused(tmp_path: Path, text: str) -> str:
    message = refusal(read, tmp_path, text)
    assert "plan.yaml" in message
    return message


FULL = """\
defaults:
  parameters: {n: 1, seed: 7}
  kernel: python3
  env: {OMP_NUM_THREADS: 4, MODE: quick}
  run-timeout: 30m
  tolerate: ["KeyError:pca"]
  inputs: [data.csv]
notebooks:
  - path: 01 load.ipynb
    outputs: [h5/a.h5ad]
  - path: deep/02.ipynb
    name: second
    needs: [01 load, 01 load]
    inputs: [h5/a.h5ad]
    parameters: {n: 2, when: 2026-01-01, ratio: 1.0e+22}
    env: {MODE: full}
    cwd: .
    rules: rules.yaml
    variant: lite
    execution-timeout: 90
    run-timeout: 2h
    tolerate: ["ValueError:.*"]
"""


def test_a_notebook_has_the_defaults_and_its_own_settings(tmp_path: Path) -> None:
    first, second = read(tmp_path, FULL)
    source = tmp_path / "source"

    assert (first.name, first.path) == ("01 load", source / "01 load.ipynb")
    assert first.settings.parameters == {"n": 1, "seed": 7}
    assert first.settings.run_timeout == 1800
    assert first.cwd == source
    assert first.outputs == ("h5/a.h5ad",)

    assert (second.name, second.path) == ("second", source / "deep/02.ipynb")
    assert second.needs == ("01 load",)
    assert second.inputs == ("data.csv", "h5/a.h5ad")
    assert second.settings.parameters == {"n": 2, "seed": 7, "when": "2026-01-01", "ratio": 1e22}
    assert second.settings.env == {"OMP_NUM_THREADS": "4", "MODE": "full"}
    assert second.settings.tolerate == ("KeyError:pca", "ValueError:.*")
    assert (second.settings.execution_timeout, second.settings.run_timeout) == (90, 7200)
    assert second.settings.rules == source / "rules.yaml"
    assert (second.settings.kernel, second.settings.variant) == ("python3", "lite")
    assert second.place("h5/a.h5ad") == source / "h5/a.h5ad"


def test_flags_win_over_the_file_and_lists_are_joined(tmp_path: Path) -> None:
    flags = Settings(given=("n=9",), kernel="other", run_timeout=0.0, tolerate=("E:x",))

    first, second = read(tmp_path, FULL, flags)

    assert first.settings.given == ("n=9",)
    assert {one.settings.kernel for one in (first, second)} == {"other"}
    assert {one.settings.run_timeout for one in (first, second)} == {0.0}
    assert second.settings.variant == "lite"
    assert first.settings.tolerate == ("KeyError:pca", "E:x")


def test_an_exemption_holds_through_its_last_day(tmp_path: Path) -> None:
    plan = "notebooks: [{path: a.ipynb, enabled: false, reason: 'UCX\n  dies', until: 2026-11-22}]"

    (one,) = read(tmp_path, plan)

    assert (one.exempt, one.until) == ("UCX dies", "2026-11-22")


def test_after_its_exemption_a_notebook_runs_again_and_the_log_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    plan = "notebooks: [{path: a.ipynb, enabled: false, reason: UCX, until: 2026-11-21}]"

    with caplog.at_level(logging.WARNING):
        (one,) = read(tmp_path, plan)

    assert (one.exempt, one.until) == ("", "")
    assert "a runs again: its exemption (UCX) ended on 2026-11-21" in caplog.text


def test_an_enabled_notebook_may_keep_its_old_reason(tmp_path: Path) -> None:
    (one,) = read(tmp_path, "notebooks: [{path: a.ipynb, enabled: true, reason: UCX}]")

    assert one.exempt == ""


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "the file must be a mapping, not null"),
        ("notebooks: []", "notebooks must not be empty"),
        ("notebooks: [{path: a.ipynb, output: [b]}]",
         "notebooks[0] has an unknown key 'output': did you mean outputs?"),
        ("notebook: [{path: a.ipynb}]",
         "the file has an unknown key 'notebook': did you mean notebooks? (and 1 more)"),
        ("notebooks: [{path: a}]\ndefaults: {needs: [x]}",
         "defaults has an unknown key 'needs'"),
        ("notebooks: [{name: a}]", "notebooks[0] needs path"),
        ("notebooks: [{path: a, enabled: false}]", "notebooks[0] needs reason"),
        ("notebooks: [{path: a, reason: x}]", "notebooks[0] has reason without enabled"),
        ("notebooks: [{path: a, enabled: false, reason: ' '}]", "notebooks[0].reason is empty"),
        ("notebooks: [{path: a, enabled: false, reason: x, until: soon}]",
         'line 1: notebooks[0].until cannot be "soon": write a date'),
        ("notebooks: [{path: a, enabled: true, until: 2026-02-30}]",
         "notebooks[0].until: 2026-02-30 is not a date"),
        ("notebooks: [{path: a, enabled: 'no'}]",
         'notebooks[0].enabled must be true or false, not "no"'),
        ("notebooks: [{path: a, needs: }]", "notebooks[0].needs must be a list, not null"),
        ("notebooks: [{path: a, run-timeout: 1e20}]",
         "notebooks[0].run-timeout: '1e+20' is not a duration"),
        ("defaults: {execution-timeout: 99999999999999999999}\nnotebooks: [{path: a}]",
         "defaults.execution-timeout: '99999999999999999999' is longer than a hundred years"),
        ("notebooks: [{path: a, run-timeout: soon}]",
         'notebooks[0].run-timeout cannot be "soon": write 90, 90s, 5m or 1h30m'),
        ("notebooks: [{path: a, env: {A-B: x}}]",
         'notebooks[0].env cannot have the key "A-B": a variable\'s name has letters'),
        ("notebooks: [{path: a, env: {A: true}}]",
         "notebooks[0].env.A must be text or a whole number, not true"),
        ("notebooks: [{path: a, env: {HF_TOKEN: x}}]", "HF_TOKEN looks like a secret"),
        ("notebooks: [{path: a}]\ndefaults: {env: {aws_secret_access_key: x}}",
         "defaults.env: aws_secret_access_key looks like a secret"),
        ("notebooks:\n - path: a\n   path: b", "line 3: the key 'path' is given twice"),
    ],
)  # fmt: skip
def test_a_mistake_is_reported_in_one_line(tmp_path: Path, text: str, problem: str) -> None:
    assert problem in refused(tmp_path, text)


def test_a_variable_that_only_sounds_like_a_secret_is_allowed(tmp_path: Path) -> None:
    plan = "notebooks: [{path: a, env: {TOKENIZERS_PARALLELISM: 'false', KEYBOARD: x}}]"

    (one,) = read(tmp_path, plan)

    assert one.settings.env == {"TOKENIZERS_PARALLELISM": "false", "KEYBOARD": "x"}


def test_for_a_missing_file_a_similar_name_is_suggested(tmp_path: Path) -> None:
    (tmp_path / "plan.yaml").write_text("")

    with pytest.raises(ConfigurationError, match=r"no file .*plam\.yaml \(did you mean plan\.y"):
        batch_plan_file.read(tmp_path / "plam.yaml", Settings(), today=TODAY)


def test_a_merged_mapping_is_not_a_duplicate(tmp_path: Path) -> None:
    plan = """\
notebooks:
  - &first {path: a.ipynb, kernel: k}
  - {<<: *first, path: b.ipynb}
"""
    assert [one.settings.kernel for one in read(tmp_path, plan)] == ["k", "k"]


def test_the_example_of_the_documentation_is_a_plan(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs/execute-notebooks.md").read_text()
    example = page.partition("```yaml\n")[2].partition("```")[0]

    plan = read(tmp_path, example)

    assert [one.name for one in plan] == ["01", "02_decoupler", "05_out_of_core"]
    assert plan[2].exempt
    assert {one.settings.run_timeout for one in plan} == {3600}


@pytest.mark.parametrize(
    ("plan", "place"),
    [
        ("defaults: {tolerate: [KeyError]}\nnotebooks: [{path: a.ipynb}]\n", "defaults.tolerate"),
        ("notebooks:\n  - {path: a.ipynb, tolerate: [KeyError]}\n", "notebooks[0].tolerate"),
    ],
)
def test_a_plan_of_the_notebooks_authors_does_not_excuse_their_errors(
    tmp_path: Path, plan: str, place: str
) -> None:
    (one,) = read(tmp_path, plan)  # as a plan of somebody else
    path = tmp_path / "source/plan.yaml"

    text = refusal(batch_plan_file.read, path, Settings(), today=TODAY, may_tolerate=False)

    assert one.settings.tolerate == ("KeyError",)
    assert text.startswith(f"{path}, line ")
    assert f"{place}: the notebooks' repository may change cells, but not excuse its own" in text


def test_a_plan_of_the_notebooks_authors_may_say_all_else(tmp_path: Path) -> None:
    read(tmp_path, "notebooks:\n  - {path: a.ipynb, rules: ci/rules.yaml}\n")
    path = tmp_path / "source/plan.yaml"

    (one,) = batch_plan_file.read(path, Settings(), today=TODAY, may_tolerate=False)

    assert one.settings.rules == tmp_path / "source/ci/rules.yaml"


def test_a_plan_names_notebooks_and_rules_of_other_repositories(tmp_path: Path) -> None:
    plan = tmp_path / "config/plan.yaml"
    for file in (plan, tmp_path / "source/nb/a.ipynb", tmp_path / "tests/rules.yaml"):
        file.parent.mkdir(parents=True)
        file.touch()
    entry = "{path: 'notebooks:nb/a.ipynb', rules: 'tests:rules.yaml'}"
    plan.write_text(f"notebooks:\n  - {entry}\n  - {{path: b.ipynb}}\n")

    one, other = batch_plan_file.read(plan, Settings(), today=TODAY, checkouts=tmp_path)

    assert (one.name, one.path) == ("a", tmp_path / "source/nb/a.ipynb")
    assert one.settings.rules == tmp_path / "tests/rules.yaml"
    assert other.path == tmp_path / "config/b.ipynb"


@pytest.mark.parametrize("key", ["path", "rules"])
@pytest.mark.parametrize("path", ["../../run-0/source/x", "/etc/passwd", "out/x", "out/../x"])
def test_a_plan_in_a_repository_names_nothing_outside_of_it(
    tmp_path: Path, key: str, path: str
) -> None:
    plan = tmp_path / "run-1/source/plan.yaml"
    for directory in (plan.parent, tmp_path / "run-0/source/in"):
        directory.mkdir(parents=True)
    (plan.parent / "out").symlink_to("../../run-0/source/in")
    entry = {"path": "a.ipynb", key: path}
    plan.write_text(yaml.safe_dump({"notebooks": [entry]}))

    text = refusal(
        batch_plan_file.read, plan, Settings(), today=TODAY, checkouts=tmp_path / "run-1"
    )

    assert text.startswith(f"{plan}, line 2: notebooks[0]: {path} leads out of its repository, to ")


def test_a_plan_of_the_workspace_names_what_it_wants(tmp_path: Path) -> None:
    plan = tmp_path / "plan.yaml"
    plan.write_text("notebooks: [{path: ../x/a.ipynb, rules: run-1/tests/rules.yaml}]")

    (one,) = batch_plan_file.read(plan, Settings(), today=TODAY, checkouts=tmp_path / "run-1")

    assert one.settings.rules == tmp_path / "run-1/tests/rules.yaml"
