"""What users of the older system look for is in the guides, and the guides name what exists."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from test_docs_tekton import KINDS, prose, specs, table, text

from stepkit.cli import commands, flags
from stepkit.cli.commands import run_local
from stepkit.errors import ConfigurationError

ROOT = Path(__file__).parents[1]
TROUBLESHOOTING = ROOT / "docs/troubleshooting.md"
OLDER_SYSTEM = [ROOT / "docs/from-the-older-system.md", ROOT / "docs/zh/from-the-older-system.md"]
FROM_ACTIONS = ROOT / "docs/from-github-actions.md"
PAGES = [TROUBLESHOOTING, FROM_ACTIONS, OLDER_SYSTEM[0]]
OLDER: dict[str, dict[str, Any]] = tomllib.loads(
    text(Path(__file__).with_name("older_system.toml"))
)
# Flags of kubectl, pytest and stepkit's own command line.
FOREIGN = {"--short", "--dry-run", "--server-side", "--from-file", "--markers", "--json",
           "--version", "--workspace", "--param", "--gpus", "--report", "--log-level"}  # fmt: skip


@pytest.mark.parametrize("case", OLDER["cases"])
def test_each_case_of_the_older_guides_is_found_by_its_symptom(case: str) -> None:
    found = [
        line
        for line in text(TROUBLESHOOTING).splitlines()
        if OLDER["cases"][case] in line and line.startswith(("|", "#", "Each"))
    ]

    assert found
    assert all(line.count("|") == 4 for line in found if line.startswith("|"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_a_page_names_exists(page: Path) -> None:
    known = set(FOREIGN).union(*(flags.spellings(s.Options) for s in commands.COMMANDS.values()))
    assert set(re.findall(r"(?<![\w-])--[a-z][\w-]*", text(page))) <= known
    for name in re.findall(r"`stepkit ([a-z][a-z-]+)", text(page)):
        assert name in commands.COMMANDS, name
    makefile = text(ROOT / "Makefile")
    for name in re.findall(r"`make ([a-z-]+)", text(page)):
        assert re.search(rf"^{name}\b.*:", makefile, flags=re.MULTILINE), name
    for path in re.findall(r"\b(?:tasks|images)/[\w./-]*\w", text(page)):
        assert (ROOT / path).exists(), path


TASK = """\
apiVersion: tekton.dev/v1
kind: Task
metadata: {name: t}
spec:
  params: [{name: gpu-count, type: string, default: "1"}]
  steps:
    - name: s
      image: busybox
      command: [echo]
      %s
---
apiVersion: tekton.dev/v1
kind: Pipeline
metadata: {name: p}
spec: {tasks: [{name: t, taskRef: {name: t}}]}
"""


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("resources: {limits: {cpu: 1}}", "resources: run-local refuses this: .* computeResources"),
        (
            "computeResources: {limits: {nvidia.com/gpu: $(params.gpu-count)}}",
            r"spec.steps\[0\].computeResources: Tekton replaces no variables here",
        ),
        ("script: |\n        python3 <<X\n    import json\n        X", r"line \d+: not valid YAML"),
    ],
    ids=["T4", "T5", "T6"],
)
def test_a_task_of_a_users_own_is_refused_with_its_place_as_the_page_says(
    tmp_path: Path, written: str, message: str
) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(TASK % written)

    with pytest.raises(ConfigurationError, match=f"own.yaml.*{message}"):
        run_local.run(run_local.Options(pipeline=path, dry_run=True))


@pytest.mark.parametrize("page", OLDER_SYSTEM, ids=["en", "zh"])
def test_every_param_and_result_is_one_of_its_task(page: Path) -> None:
    pairs = re.findall(r"`([\w-]+)`(?:: |\uff1a)(`[\w-]+`(?:(?:, |\u3001)`[\w-]+`)*)", prose(page))
    documented = {
        (task, name) for task, names in pairs for name in re.findall(r"`([\w-]+)`", names)
    }

    assert len(documented) > 20
    for task, name in documented:
        if task in specs():
            has = {one["name"] for kind in KINDS for one in specs()[task].get(kind, [])}
            assert name in has, f"{task} has no {name}"
        else:
            assert task.endswith("yaml"), task


@pytest.mark.parametrize("page", OLDER_SYSTEM, ids=["en", "zh"])
def test_older_names_that_still_work_are_documented(page: Path) -> None:
    for task, spec in specs().items():
        older = {
            result["name"]: match[1]
            for result in spec.get("results", [])
            if (match := re.fullmatch(r"Older name of ([\w-]+)\.", result["description"]))
        }
        for name, new in older.items():
            (row,) = (row for row in table(page, "`commit-sha`") if f"`{name}`" in row[0])
            assert row[1].startswith(f"`{task}`")
            assert f"`{new}`" in row[1]


@pytest.mark.parametrize("page", OLDER_SYSTEM, ids=["en", "zh"])
@pytest.mark.parametrize("kind", OLDER["names"])
def test_each_name_of_the_older_system_has_a_row(page: Path, kind: str) -> None:
    rows = re.findall(r"^\| (.+?) \| (.+) \|$", text(page), flags=re.MULTILINE)
    older = {name for first, _ in rows for name in re.findall(r"`([^` :]+)[^`]*`", first)}

    assert set(OLDER["names"][kind].split()) - older == set()
    assert all(now.strip(" -") for _, now in rows)


def test_the_lists_of_older_names_have_all_that_the_page_has() -> None:
    listed = {name for names in OLDER["names"].values() for name in names.split()}
    before, _, _ = text(OLDER_SYSTEM[0]).partition("## What behaves differently")
    firsts = re.findall(r"^\| (`.+?) \|", before, flags=re.MULTILINE)

    named = {name for first in firsts for name in re.findall(r"`([^` :]+)[^`]*`", first)}

    assert named - listed - {"/workspace/shared", "notebook-ci"} == set()
