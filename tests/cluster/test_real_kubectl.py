"""The real kubectl asks a small API server: its requests and its error messages."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import loopback
import pytest
from cluster import kubeconfigs

from tasks.cluster.tool import run_namespace
from tasks.cluster.tool.kubectl import (
    AbsentError,
    CannotAskError,
    ForbiddenError,
    Kubectl,
    UnknownKindError,
)

WHERE = "--namespace=stepkit"
KINDS = {"configmaps": "ConfigMap", "namespaces": "Namespace", "nodes": "Node", "secrets": "Secret"}


def discovery() -> dict[str, Any]:
    resources = [
        {
            "name": name,
            "singularName": kind.lower(),
            "kind": kind,
            "namespaced": name in {"configmaps", "secrets"},
            "verbs": ["get", "list"],
        }
        for name, kind in KINDS.items()
    ]
    return {"kind": "APIResourceList", "groupVersion": "v1", "resources": resources}


ANSWERS: dict[str, dict[str, Any]] = {
    "/version": {"gitVersion": "v1.31.2", "major": "1", "minor": "31"},
    "/api": {"kind": "APIVersions", "versions": ["v1"]},
    "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": []},
    "/api/v1": discovery(),
    "/api/v1/namespaces/stepkit/secrets": {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "columnDefinitions": [
            {"name": "Name", "type": "string"},
            {"name": "Type", "type": "string"},
        ],
        "rows": [{"cells": ["git-token", "Opaque"]}, {"cells": ["notify", "Opaque"]}],
    },
}
REFUSALS = {
    "/api/v1/nodes": (
        403,
        "Forbidden",
        'nodes is forbidden: User "eve" cannot list resource "nodes"',
    ),
    "/api/v1/namespaces/stepkit": (401, "Unauthorized", "Unauthorized"),
}


class ApiServer(loopback.Handler):
    asked: list[tuple[str, str]]

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        self.asked.append((path, self.headers.get("Accept", "")))
        code, answer = 200, ANSWERS.get(path)
        if answer is None:
            code, reason, message = REFUSALS.get(path, (404, "NotFound", f'"{path}" not found'))
            answer = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code}
            answer |= {"reason": reason, "message": message}
        self.answer(code, json.dumps(answer).encode(), {"Content-Type": "application/json"})


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, str]]]:
    """Yield paths and accepted types of what kubectl asks its server for."""
    ApiServer.asked = []
    with kubeconfigs.served(ApiServer, tmp_path) as config:
        monkeypatch.setenv("KUBECONFIG", str(config))
        monkeypatch.setenv("HOME", str(tmp_path))
        yield ApiServer.asked


def test_of_secrets_only_a_table_of_names_is_asked_for(asked: list[tuple[str, str]]) -> None:
    assert run_namespace.secret_names(Kubectl(), WHERE) == {"git-token", "notify"}

    (accepted,) = [accept for path, accept in asked if path.endswith("/secrets")]
    assert accepted.startswith("application/json;as=Table")


@pytest.mark.usefixtures("asked")
@pytest.mark.parametrize(
    ("question", "refusal", "words"),
    [
        (("nodes",), ForbiddenError, "nodes is forbidden"),
        (("configmap", "feature-flags", WHERE), AbsentError, "NotFound"),
        (("tasks.tekton.dev", WHERE), UnknownKindError, "doesn't have a resource type"),
        (("namespace", "stepkit"), CannotAskError, "You must be logged in to the server"),
    ],
)
def test_complaints_of_kubectl_are_understood(
    question: tuple[str, ...], refusal: type[Exception], words: str
) -> None:
    with pytest.raises(refusal, match=words) as raised:
        Kubectl().object(*question)

    assert type(raised.value) is refusal
    assert "\n" not in str(raised.value)


def test_versions_are_those_of_kubectl_and_of_the_server(asked: list[tuple[str, str]]) -> None:
    versions = Kubectl().versions()

    assert versions["serverVersion"]["gitVersion"] == "v1.31.2"
    assert versions["clientVersion"]["gitVersion"]
    assert {path for path, _ in asked} == {"/version"}


def test_a_missing_context_is_reported(asked: list[tuple[str, str]]) -> None:
    with pytest.raises(CannotAskError, match='context "nope" does not exist'):
        Kubectl(context="nope").versions()

    assert asked == []


@pytest.mark.usefixtures("asked")
def test_a_server_that_does_not_run_cannot_be_asked(tmp_path: Path) -> None:
    config = json.loads((tmp_path / "config").read_text())
    config["clusters"][0]["cluster"]["server"] = "http://127.0.0.1:1"
    (tmp_path / "config").write_text(json.dumps(config))

    with pytest.raises(CannotAskError, match=r"connection to the server 127.0.0.1:1 was refused"):
        Kubectl().versions()
