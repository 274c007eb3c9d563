"""The filters of the triggers, evaluated on events as GitHub sends them."""

import re
from functools import cache
from typing import Any

import pytest
import yaml
from tasks.cel_expressions import outcome
from tasks.github_events import FORK, NO_COMMIT, REPOSITORY, commit, deletion, pull_request, push
from tasks.manifests import ROOT, manifests, named

DOCS = ROOT.parent / "docs/triggers.md"


def cel_params(trigger: dict[str, Any]) -> dict[str, Any]:
    (worth,) = [one for one in trigger["interceptors"] if one["ref"]["name"] == "cel"]
    return {name: param["value"] for name, param in named(worth["params"]).items()}


@cache
def triggers() -> dict[str, dict[str, Any]]:
    """Return the filter and the overlays of each trigger, that of the docs included."""
    (listener,) = manifests("EventListener")
    found = {one["name"]: cel_params(one) for one in listener.spec["triggers"]}
    block = re.search(r"```yaml\n(- name: github-fork\n.*?)```", DOCS.read_text(), re.DOTALL)
    assert block
    (fork,) = yaml.safe_load(block[1])
    return {**found, "github-fork": cel_params(fork)}


def filters() -> dict[str, str]:
    return {name: params["filter"] for name, params in triggers().items()}


NOTEBOOK = "notebooks/scrna.ipynb"
PUSHES = {
    "a notebook changed": (push(commit(modified=[NOTEBOOK])), True),
    "a notebook was added": (push(commit(added=[NOTEBOOK])), True),
    "[gpu] in the message": (push(commit("Correct it [gpu]")), True),
    "[Notebook] in the body of the message": (push(commit("Correct it\n\nRuns: [Notebook]")), True),
    "[notebook] in an older commit": (
        push(commit("Try [notebook]"), commit("Correct a word")),
        True,
    ),
    "a notebook changed in an older commit": (push(commit(modified=[NOTEBOOK]), commit()), True),
    "develop": (push(commit("[gpu]"), ref="refs/heads/develop"), True),
    "forced": (push(commit("[gpu]"), forced=True), True),
    "a new branch main": (push(commit("[gpu]"), created=True, before=NO_COMMIT), True),
    "only a word changed": (push(commit(modified=["README.md"])), False),
    "gpu without brackets": (push(commit("Correct the gpu notebook")), False),
    "half a mark": (push(commit("Correct gpu] axis")), False),
    "a notebook was only removed": (push(commit(removed=[NOTEBOOK])), False),
    "a directory of a like name": (push(commit(added=["old/notebooks/x", "notebooks.md"])), False),
    "another branch": (push(commit("[gpu]"), ref="refs/heads/release/main"), False),
    "a branch whose name begins so": (push(commit("[gpu]"), ref="refs/heads/main-2"), False),
    "a tag": (push(commit("[gpu]"), ref="refs/tags/main"), False),
    "no commits": (push(), False),
    "the branch was deleted": (deletion("refs/heads/main"), False),
    "the branch was deleted, whatever it lists": (
        push(commit("[gpu]"), after=NO_COMMIT, deleted=True),
        False,
    ),
    "another branch was deleted": (deletion("refs/heads/release/1"), False),
    "lists of files left out": (push({"id": "1", "message": "Correct it"}), False),
    "lists of files left out, [gpu]": (push({"id": "1", "message": "Correct it [gpu]"}), True),
}
PULL_REQUESTS = {
    "opened": (pull_request(), True),
    "synchronize": (pull_request("synchronize"), True),
    "reopened": (pull_request("reopened"), True),
    "to develop": (pull_request(base="develop"), True),
    "in a repository that is a fork itself": (
        pull_request(head_repository={**FORK, "full_name": REPOSITORY["full_name"]}),
        True,
    ),
    "to another branch": (pull_request(base="release/1"), False),
    "closed": (pull_request("closed"), False),
    "labeled": (pull_request("labeled", label={"name": "run-notebook"}), False),
    "edited": (pull_request("edited"), False),
    "from a fork": (pull_request(head_repository=FORK), False),
    "from a fork that is gone": (pull_request("synchronize", head_repository=None), False),
}
RUN_IT = {"name": "run-notebook"}
FORKS = {
    "labeled by us": (pull_request("labeled", head_repository=FORK, label=RUN_IT), True),
    "another label": (
        pull_request("labeled", head_repository=FORK, label={"name": "bug"}),
        False,
    ),
    "pushed to after the label": (
        pull_request("synchronize", head_repository=FORK, label=RUN_IT),
        False,
    ),
    "opened": (pull_request(head_repository=FORK), False),
    "to another branch": (
        pull_request("labeled", base="x", head_repository=FORK, label=RUN_IT),
        False,
    ),
}
EVENTS = {"github-push": PUSHES, "github-pull-request": PULL_REQUESTS, "github-fork": FORKS}
CASES = [
    pytest.param(trigger, event, expected, id=f"{trigger}: {name}")
    for trigger, events in EVENTS.items()
    for name, (event, expected) in events.items()
]


def test_every_trigger_has_its_events_here() -> None:
    assert filters().keys() == EVENTS.keys()


@pytest.mark.parametrize(("trigger", "event", "expected"), CASES)
def test_a_run_starts_for_just_these_events(
    trigger: str, event: dict[str, Any], *, expected: bool
) -> None:
    assert outcome(filters()[trigger], event) is expected


# What a filter may be shortened to by mistake, and what it is shortened by.
PARTS = {
    "github-push": [
        "body.ref in ['refs/heads/main', 'refs/heads/develop'] && ",
        "!body.deleted && ",
        "(?i)",
        r"\\[",
        " || (has(c.added) && c.added.exists(f, f.startsWith('notebooks/')))",
        " || (has(c.modified) && c.modified.exists(f, f.startsWith('notebooks/')))",
        "has(c.added) && ",
    ],
    "github-pull-request": [
        "body.action in ['opened', 'synchronize', 'reopened'] && ",
        "body.pull_request.base.ref in ['main', 'develop'] && ",
        "body.pull_request.head.repo != null && ",
        " && body.pull_request.head.repo.full_name == body.repository.full_name",
    ],
    "github-fork": [
        "body.action == 'labeled' && ",
        "body.label.name == 'run-notebook' && ",
        " && body.pull_request.base.ref in ['main', 'develop']",
    ],
}


@pytest.mark.parametrize(
    ("trigger", "part"), [(trigger, part) for trigger, parts in PARTS.items() for part in parts]
)
def test_each_part_of_a_filter_decides_some_event(trigger: str, part: str) -> None:
    whole = filters()[trigger]
    assert part in whole
    without = whole.replace(part, "")

    assert any(
        outcome(without, event) is not expected for event, expected in EVENTS[trigger].values()
    )


def test_a_field_that_an_event_lacks_is_an_error_and_not_a_refusal() -> None:
    assert "head_commit" not in filters()["github-push"]

    found = outcome("body.head_commit.message == ''", deletion("refs/heads/main"))

    assert found is not False


FULL = {"pipeline_version": "original", "suffix": ""}
LITE = {"pipeline_version": "lite", "suffix": "_lite"}
VARIANTS = {
    "a notebook changed": ("github-push", push(commit(modified=[NOTEBOOK])), LITE),
    "[notebook] in the message": ("github-push", push(commit("Correct it [notebook]")), LITE),
    "[gpu] in the message": ("github-push", push(commit("Correct it [gpu]")), FULL),
    "[GPU] in the body": ("github-push", push(commit("Correct it\n\n[GPU]")), FULL),
    "[gpu] in an older commit": ("github-push", push(commit("[gpu]"), commit("b")), FULL),
    "gpu without brackets": ("github-push", push(commit("gpu", added=[NOTEBOOK])), LITE),
    "both marks": ("github-push", push(commit("[notebook] [gpu]")), FULL),
    "a pull request": ("github-pull-request", pull_request(), LITE),
    "[gpu] in its title": ("github-pull-request", pull_request(title="Axis [GPU]"), FULL),
    "of a fork, [gpu] in its title": ("github-fork", pull_request(title="[gpu]"), LITE),
}


@pytest.mark.parametrize(("trigger", "event", "expected"), VARIANTS.values(), ids=VARIANTS.keys())
def test_a_message_chooses_the_variant(
    trigger: str, event: dict[str, Any], expected: dict[str, str]
) -> None:
    overlays = triggers()[trigger]["overlays"]

    assert {one["key"]: outcome(one["expression"], event) for one in overlays} == expected
