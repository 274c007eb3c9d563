"""Any value in the YAML runs or is refused in one line: never with a traceback."""

import copy
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from run_local.conftest import Local

from stepkit.errors import ConfigurationError

WRONG: list[Any] = [None, 0, "$(", "$(params.x)", [], [{}], {"a": None}, ["a", ["b"]]]

PIPELINE = """
apiVersion: tekton.dev/v1
kind: Pipeline
metadata: {name: p, labels: {a: b}}
spec:
  description: d
  params:
    - {name: x, default: v}
    - {name: l, type: array, default: [a]}
    - {name: o, type: object, properties: {k: {type: string}}, default: {k: v}}
  workspaces: [{name: shared}, {name: maybe, optional: true}]
  results: [{name: out, value: $(tasks.a.results.r)}]
  tasks:
    - name: a
      timeout: 1h
      retries: 1
      params: [{name: z, value: $(params.x)}, {name: l, value: ["$(params.l[*])"]}]
      workspaces: [{name: shared, subPath: s}]
      taskSpec:
        params: [{name: z}, {name: l, type: array}]
        workspaces: [{name: shared}]
        results: [{name: r}, {name: q, type: object, properties: {k: {}}}]
        volumes: [{name: v, emptyDir: {medium: Memory}}]
        stepTemplate:
          image: $(params.z)
          env: [{name: A, value: b}]
          securityContext: {runAsNonRoot: true}
        steps:
          - name: s
            command: [sh]
            args: [-c, "true", "$(params.l[*])"]
            workingDir: $(workspaces.shared.path)
            timeout: 5m
            onError: continue
            env:
              - {name: T, valueFrom: {secretKeyRef: {name: s, key: k, optional: true}}}
            volumeMounts: [{name: v, mountPath: /dev/shm}]
            workspaces: [{name: shared}]
            computeResources: {limits: {cpu: "1"}}
    - name: b
      runAfter: [a]
      onError: stopAndFail
      when: [{input: $(tasks.a.results.r), operator: in, values: [x]}]
      matrix:
        params: [{name: m, value: [x, w]}]
        include: [{name: i, params: [{name: m, value: z}]}]
      taskSpec:
        params: [{name: m}]
        steps: [{name: s, image: i, command: ["true"]}]
  finally:
    - name: f
      params: [{name: s, value: $(tasks.a.status)}]
      taskSpec:
        params: [{name: s}]
        steps: [{name: s, image: i, command: ["true"]}]
"""


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every value in the document."""
    if path:
        yield path
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from places(value[key], (*path, key))


def with_change(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    changed = copy.deepcopy(document)
    here = changed
    for key in path[:-1]:
        here = here[key]
    here[path[-1]] = value
    return changed


def test_the_document_itself_is_good(on_machine: Local) -> None:
    on_machine.file.write_text(PIPELINE)
    outputs = on_machine.run(options={"dry_run": True})
    assert outputs.message == "a plan of 3 tasks: nothing was run"
    assert "m=z" in outputs.plan


@pytest.mark.slow
@pytest.mark.parametrize("wrong", WRONG, ids=repr)
def test_a_wrong_value_anywhere_is_refused_or_runs(on_machine: Local, wrong: Any) -> None:
    document = yaml.safe_load(PIPELINE)
    refused = 0
    for path in places(document):
        on_machine.file.write_text(yaml.safe_dump(with_change(document, path, wrong)))
        try:
            on_machine.run(options={"dry_run": True})
        except ConfigurationError as error:
            refused += 1
            assert "\n" not in str(error)  # noqa: PT017 - most changes are refused, some are fine
    assert refused > 10
    assert not on_machine.shared.exists()
