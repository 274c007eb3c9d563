"""Pipelines of a few shell commands, written as YAML and run for real."""

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from stepkit.cli.commands import run_local


class Local:
    """A directory with a Pipeline, and the options of a run."""

    def __init__(self, directory: Path, log: pytest.LogCaptureFixture) -> None:
        self.directory = directory
        self.shared = directory / "shared"
        self.file = directory / "pipeline.yaml"
        self._log = log

    @property
    def log(self) -> str:
        return "\n".join(record.getMessage() for record in self._log.records)

    @staticmethod
    def step(*command: str, **fields: Any) -> dict[str, Any]:
        shell = ["sh", "-c", command[0]] if len(command) == 1 else list(command)
        return {"name": "only", "image": "i", "command": shell, **fields}

    def task(self, name: str, *command: str, **fields: Any) -> dict[str, Any]:
        """Make a task with a taskSpec; a field with an underscore goes into the taskSpec."""
        spec = {key[1:]: fields.pop(key) for key in list(fields) if key.startswith("_")}
        results = [{"name": r} if isinstance(r, str) else r for r in spec.pop("results", [])]
        return {
            "name": name,
            "taskSpec": {"steps": [self.step(*command)], "results": results, **spec},
            **fields,
        }

    def write(self, *tasks: Mapping[str, Any], **spec: Any) -> Path:
        """Write a Pipeline with the workspace ``shared``."""
        content = {
            "apiVersion": "tekton.dev/v1",
            "kind": "Pipeline",
            "metadata": {"name": "p"},
            "spec": {"workspaces": [{"name": "shared"}], "tasks": list(tasks), **spec},
        }
        self.file.write_text(yaml.safe_dump(content, sort_keys=False))
        return self.file

    def write_task(self, name: str, file: str = "", **spec: Any) -> Path:
        """Write a separate Task beside the Pipeline."""
        content = {
            "apiVersion": "tekton.dev/v1",
            "kind": "Task",
            "metadata": {"name": name},
            "spec": {"steps": [self.step("true")], **spec},
        }
        path = self.directory / (file or f"{name}.yaml")
        path.write_text(yaml.safe_dump(content, sort_keys=False))
        return path

    def options(self, **options: Any) -> run_local.Options:
        values = {"pipeline": self.file, "workspace": (f"shared={self.shared}",), "run": "r"}
        return run_local.Options(**{**values, **options})

    def run(self, *tasks: Mapping[str, Any], options: Any = None, **spec: Any) -> run_local.Outputs:
        if tasks:
            self.write(*tasks, **spec)
        return run_local.run(self.options(**(options or {})))

    def statuses(self, outputs: Any) -> dict[str, str]:
        return {row["task"]: row["status"] for row in outputs.tasks}

    def read(self, name: str) -> str:
        return (self.shared / name).read_text()


class Command:
    """``stepkit run-local`` as a separate process."""

    def __init__(self, directory: Path, *args: str, env: Mapping[str, str] | None = None) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "stepkit", "run-local", *args],
            cwd=directory,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **(env or {})},
        )

    def stop(self, signum: int = signal.SIGINT) -> None:
        self.process.send_signal(signum)

    def end(self) -> tuple[int, str, str]:
        stdout, stderr = self.process.communicate(timeout=60)
        return self.process.returncode, stdout, stderr


@pytest.fixture
def on_machine(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Local:
    caplog.set_level(logging.INFO)
    return Local(tmp_path, caplog)


@pytest.fixture
def command() -> type[Command]:
    return Command
