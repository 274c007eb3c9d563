"""What Tekton runs and run-local does not: the fields that it refuses, and why."""

from __future__ import annotations

from typing import Final

_NEEDS_CLUSTER: Final = "it needs a cluster"
_ALPHA: Final = "an alpha feature of the cluster"
_PIPELINE_IN_PIPELINE: Final = "a Pipeline in a Pipeline; list its tasks here"
_FETCHED: Final = "it fetches Tasks from elsewhere; name a Task of --tasks"
_CUSTOM_TASK: Final = "custom tasks need their controller"
_MOUNT: Final = "run-local cannot mount; use $(workspaces.NAME.path)"
_SIDECARS: Final = {"sidecars": f"{_NEEDS_CLUSTER}; run the service beside it yourself"}
_STEP: Final = {
    "script": "write a command and its args; a step has either a script or a command, not both",
    "ref": "StepActions are not run here; write the step into the Task",
    "params": "they belong to a StepAction",
    "results": "write a result of the Task",
    "when": "put the condition on the Pipeline's task",
    "envFrom": "name each variable under env",
    "stdoutConfig": _ALPHA,
    "stderrConfig": _ALPHA,
    "volumeDevices": _NEEDS_CLUSTER,
    "livenessProbe": _NEEDS_CLUSTER,
    "readinessProbe": _NEEDS_CLUSTER,
    "startupProbe": _NEEDS_CLUSTER,
    "lifecycle": _NEEDS_CLUSTER,
    "ports": _NEEDS_CLUSTER,
    "resources": "Tekton v1 calls it computeResources",
}
_VOLUMES: Final = (
    "configMap", "csi", "downwardAPI", "ephemeral", "hostPath", "image", "nfs",
    "persistentVolumeClaim", "projected", "secret",
)  # fmt: skip

_REASONS: Final[dict[str, dict[str, str]]] = {
    "PipelineTask": {
        "pipelineRef": _PIPELINE_IN_PIPELINE,
        "pipelineSpec": _PIPELINE_IN_PIPELINE,
        "conditions": "Tekton v1 calls it when",
        "resources": "Tekton v1 has no PipelineResources",
    },
    "TaskRef": {
        "resolver": _FETCHED,
        "params": "they belong to a resolver",
        "bundle": _FETCHED,
    },
    "When": {"cel": f"{_ALPHA}; use input, operator and values"},
    "TaskSpec": _SIDECARS,
    "EmbeddedTask": {
        **_SIDECARS,
        "apiVersion": _CUSTOM_TASK,
        "kind": _CUSTOM_TASK,
        "spec": _CUSTOM_TASK,
    },
    "Param": {"enum": _ALPHA},
    "TaskResult": {"value": "write the result's file instead of taking it from a step"},
    "TaskWorkspace": {"mountPath": _MOUNT},
    "StepWorkspace": {"mountPath": _MOUNT},
    "Step": _STEP,
    "StepTemplate": _STEP,
    "EnvSource": dict.fromkeys(
        ("configMapKeyRef", "fieldRef", "resourceFieldRef", "fileKeyRef"), _NEEDS_CLUSTER
    ),
    "Volume": {kind: f"a volume of kind {kind}: only emptyDir" for kind in _VOLUMES},
}

# By the types of stepkit/tekton/fields.json.
REFUSED_FIELDS: Final = {
    kind: {field: f"run-local refuses this: {reason}" for field, reason in fields.items()}
    for kind, fields in _REASONS.items()
}
