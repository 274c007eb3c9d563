"""Small documents without a fault, and the problems that one fault makes."""

import copy
from typing import Any

import yaml
from tasks.catalog_checks import check_catalog
from tasks.manifests import ROOT, Library, Manifest
from tasks.pipeline_checks import check_pipeline, check_run
from tasks.task_checks import check_task
from tasks.tekton_checks import check_tekton

from stepkit import __version__

COLLECT = yaml.safe_load((ROOT / "collect-artifacts.yaml").read_text())
TASK = yaml.safe_load((ROOT / "convert-notebook.yaml").read_text())

PIPELINE = yaml.safe_load("""
apiVersion: tekton.dev/v1
kind: Pipeline
metadata:
  name: two
  annotations: {tekton.dev/pipelines.minVersion: "1.0.0", tekton.dev/displayName: two}
spec:
  description: Convert, then list.
  params:
    - {name: image, description: Image., default: "stepkit:0.1.0"}
    - {name: names, description: Names., type: array}
  workspaces: [{name: files, description: Files.}]
  results: [{name: page, description: Page., value: $(tasks.convert.results.page)}]
  tasks:
    - name: convert
      taskRef: {name: convert-notebook}
      timeout: 30m
      params:
        - {name: image, value: $(params.image)}
        - {name: report, value: $(context.pipelineRun.name)/reports/convert.json}
      workspaces: [{name: shared, workspace: files}]
    - name: collect
      taskRef: {name: collect-artifacts}
      params:
        - {name: files, value: ["$(tasks.convert.results.page)", "$(params.names[*])"]}
      workspaces: [{name: shared, workspace: files}]
  finally:
    - name: list-all
      taskRef: {name: collect-artifacts}
      params: [{name: exclude, value: ["convert=$(tasks.convert.status)"]}]
      workspaces: [{name: shared, workspace: files}]
""")
PIPELINE["metadata"]["labels"] = {"app.kubernetes.io/version": __version__}

RUN = yaml.safe_load("""
apiVersion: tekton.dev/v1
kind: PipelineRun
metadata: {generateName: two-}
spec:
  pipelineRef: {name: two}
  params: [{name: names, value: [a]}]
  timeouts: {pipeline: 2h0m0s, tasks: 1h30m0s, finally: 30m0s}
  workspaces: [{name: files, persistentVolumeClaim: {claimName: one}}]
  taskRunSpecs:
    - pipelineTaskName: convert
      stepSpecs: [{name: convert-notebook, computeResources: {requests: {memory: 1Gi}}}]
""")

DOCUMENTS = {"Task": TASK, "Pipeline": PIPELINE, "PipelineRun": RUN}
CHECKS = (check_tekton, check_catalog, check_task, check_pipeline, check_run)


def at(document: Any, path: str) -> Any:
    for key in path.split("/") if path else ():
        document = document[int(key) if key.isdigit() else key]
    return document


def problems(kind: str, path: str, value: Any) -> list[str]:
    """Change the good document of this kind in one place, and return what the checks find.

    ``path`` names a mapping's key to set, or, with ``+`` at its end, a list to add to.
    """
    document = copy.deepcopy(DOCUMENTS[kind])
    where, _, key = path.rpartition("/")
    if key == "+":
        at(document, where).append(value)
    elif value is None:
        del at(document, where)[int(key) if key.isdigit() else key]
    else:
        at(document, where)[int(key) if key.isdigit() else key] = value
    known = [Manifest(ROOT / "x.yaml", one) for one in (TASK, COLLECT, PIPELINE)]
    name = DOCUMENTS[kind]["metadata"].get("name", "run")
    manifest = Manifest(ROOT / f"{name}.yaml", document)
    return [problem for check in CHECKS for problem in check(manifest, Library(known))]
