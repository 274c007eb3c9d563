"""The guides for a cluster, English and Chinese, name only what exists."""

import re
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import yaml

from stepkit.errors import Reason

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "docs/tekton.md", ROOT / "docs/zh/tekton.md"]
KINDS = ("params", "results", "workspaces")

# Names of Tekton and of Kubernetes.
FOREIGN = """
    enable-api-fields feature-flags keep-pod-on-cancel results-from set-security-context
    termination-message
"""


@pytest.fixture(params=PAGES, ids=["en", "zh"])
def page(request: pytest.FixtureRequest) -> Path:
    return Path(request.param)


@cache
def text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@cache
def objects(pattern: str) -> dict[str, dict[str, Any]]:
    """The objects of tasks/ by their name, or by that of their file."""
    found = [
        (path, document)
        for path in sorted(ROOT.glob(f"tasks/{pattern}"))
        for document in yaml.safe_load_all(path.read_text(encoding="utf-8"))
    ]
    return {one.get("metadata", {}).get("name", path.name): one for path, one in found}


def specs() -> dict[str, dict[str, Any]]:
    found = objects("*.yaml") | pipelines()
    return {name: one["spec"] for name, one in found.items() if "spec" in one}


def pipelines() -> dict[str, dict[str, Any]]:
    return objects("pipelines/*.yaml")


def written(path: Path) -> str:
    """The page without the table of reasons, which is generated in English, grouped in Chinese."""
    table_of_reasons = r"(?:^\|.*\n)*^\| `bad-input`(?:.*\n\|)*.*$|^<!--.*-->$"
    return re.sub(table_of_reasons, "", text(path), flags=re.MULTILINE)


def prose(path: Path) -> str:
    return re.sub(r"^ *```.*?^ *```$", "", written(path), flags=re.DOTALL | re.MULTILINE)


def quoted(path: Path) -> list[str]:
    return re.findall(r"`([^`\n]+)`", prose(path))


def table(path: Path, contains: str) -> list[list[str]]:
    """The rows of the table in which ``contains`` begins a row."""
    rows = re.findall(r"((?:^\|.*\n)+)", text(path), flags=re.MULTILINE)
    (found,) = (one for one in rows if f"\n| {contains}" in one)
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in found.splitlines()[2:]]


def known() -> set[str]:
    """All names that the YAML of tasks/ has."""
    entries = chain.from_iterable(spec.get(kind, []) for spec in specs().values() for kind in KINDS)
    tasks = chain.from_iterable(
        [*one["spec"]["tasks"], *one["spec"].get("finally", [])] for one in pipelines().values()
    )
    rest = chain.from_iterable(objects(f"{where}/*.yaml") for where in ("triggers", "cluster/base"))
    places = (path.name for path in ROOT.glob("tasks/cluster/*/*"))
    named = {one["name"]: one for one in (*entries, *tasks)}
    defaults = (one.get("default") for one in named.values())
    secrets = re.findall(r"secretName: ([\w-]+)", text(ROOT / "tasks/triggers/event-listener.yaml"))
    texts = (default for default in defaults if isinstance(default, str))
    return {*specs(), *named, *texts, *rest, *places, *secrets}


def test_every_name_is_ours_or_declared_as_foreign(page: Path) -> None:
    names = {one for one in quoted(page) if re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+", one)}

    others = set(FOREIGN.split())
    assert names - known() - others - set(Reason) == set()
    assert others <= names


def test_every_file_and_make_target_is_there(page: Path) -> None:
    makefile = text(ROOT / "Makefile")
    for target in re.findall(r"(?:`|^ *)make ([a-z][a-z-]+)", text(page), flags=re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), target
    for path in re.findall(r"\b(?:tasks|docs|images)/[\w./-]*[\w]", text(page)):
        assert (ROOT / path).exists(), path
    for name in re.findall(r"`([\w-]+\.yaml)`", text(page)):
        assert (ROOT / "tasks/pipelines/runs" / name).exists(), name


def test_every_reason_has_a_row_that_helps(page: Path) -> None:
    rows = table(page, "`bad-input`")
    documented = [name for row in rows for name in re.findall(r"`([\w-]+)`", row[0])]

    assert sorted(documented) == sorted(set(Reason) - {Reason.OK})
    assert all(row[2] for row in rows)


def test_sizes_are_those_of_the_examples(page: Path) -> None:
    rows = [row for row in table(page, "lite") if "notebook-ci" in row[3]]

    assert len(rows) == 5
    for row in rows:
        (name,) = re.findall(r"`([\w-]+\.yaml)`", row[3])
        run = yaml.safe_load(text(ROOT / "tasks/pipelines/runs" / name))["spec"]
        (task,) = run["taskRunSpecs"]
        (step,) = task["stepSpecs"]
        assert step["computeResources"]["limits"]["memory"] == row[2]
        params = {one["name"]: one["value"] for one in run["params"]}
        for param in re.findall(r"`((?:rmm|on|run)-[\w-]+)`", row[3]):
            assert params.get(param, "respect") in row[3]


def test_timeouts_are_those_of_the_pipelines(page: Path) -> None:
    spec = pipelines()["notebook-ci"]["spec"]
    timeouts: dict[str, set[str]] = {}
    for used in (*spec["tasks"], *spec["finally"]):
        short = re.sub(r"(?<=[hm])0[ms](0s)?", "", used["timeout"])
        timeouts.setdefault(used["taskRef"]["name"], set()).add(short)

    documented: dict[str, set[str]] = {}
    for names, limits, *_ in table(page, "`prepare-workspace` | 5m"):
        groups, values = re.split(r"[;\uff1b]", names), re.split(r"[;\uff1b]", limits)
        for group, value in zip(groups, values, strict=True):
            for name in re.findall(r"`([\w-]+)`", group):
                documented[name] = set(re.findall(r"\d+[hm]", value))
    assert documented.keys() == timeouts.keys()
    assert {name: documented[name] - {"4h"} for name in documented} == timeouts
    matrix = pipelines()["notebook-matrix"]["spec"]["tasks"]
    (notebooks,) = (one for one in matrix if one["name"] == "execute-notebook")
    assert notebooks["timeout"] == "4h0m0s"


def test_cache_of_datasets_is_one_directory_for_all(page: Path) -> None:
    found = {
        f"{name}: {param['name']}": param.get("default")
        for name, spec in specs().items()
        for param in spec.get("params", [])
        if param["name"] in {"cache", "dataset-cache"}
    }

    (directory,) = set(found.values())
    assert directory in quoted(page)


def test_pod_that_shows_the_files_is_one_that_a_restricted_namespace_takes() -> None:
    validator = pytest.importorskip("kubernetes_validate")
    (found,) = re.findall(r"<<POD\n(.*?)POD\n", text(PAGES[0]), flags=re.DOTALL)
    pod = yaml.safe_load(found.replace("$REGISTRY", "registry.example.com"))

    validator.validate(pod, "1.32", strict=True)
    (container,) = pod["spec"]["containers"]
    assert pod["spec"]["securityContext"]["runAsNonRoot"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
    }
    (claim,) = (one["persistentVolumeClaim"]["claimName"] for one in pod["spec"]["volumes"])
    assert claim in objects("cluster/base/*.yaml")
