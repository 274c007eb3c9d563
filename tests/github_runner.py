"""A composite action, run as GitHub's runner does it: with its expressions, defaults and files."""

import os
import re
import signal
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import waiting
import yaml

_CONTEXT = re.compile(r"\b(inputs|steps|strategy)\.([\w.-]+)")
_FILES = ("GITHUB_OUTPUT", "GITHUB_ENV", "GITHUB_PATH", "GITHUB_STEP_SUMMARY")


@dataclass(kw_only=True)
class ActionRun:
    """What a run of an action left; ``uploads`` are the inputs of the actions that it used."""

    failed: bool = False
    log: str = ""
    summary: str = ""
    outcomes: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)
    uploads: list[dict[str, str]] = field(default_factory=list)
    cancelled: bool = False


class Runner:
    """Runs the action in ``directory`` for a job whose checkout is ``workspace``."""

    def __init__(
        self, directory: Path, workspace: Path, scratch: Path, env: dict[str, str]
    ) -> None:
        self.action: dict[str, Any] = yaml.safe_load((directory / "action.yml").read_text())
        self.workspace, self.scratch = workspace, scratch
        self.strategy = {"job-index": "0", "job-total": "1"}
        self.cancel_at: Path | None = None  # the job is cancelled when this file appears
        kept = {name: value for name, value in os.environ.items() if not name.startswith("GITHUB_")}
        self.env = {
            **kept, "CI": "true", "GITHUB_ACTIONS": "true", "GITHUB_JOB": "analysis",
            "GITHUB_WORKSPACE": str(workspace), "GITHUB_ACTION_PATH": str(directory),
            "RUNNER_TEMP": str(scratch), **env,
        }  # fmt: skip

    def run(self, **inputs: str) -> ActionRun:
        given = {name.replace("_", "-"): value for name, value in inputs.items()}
        defaults = {n: str(each.get("default", "")) for n, each in self.action["inputs"].items()}
        assert set(given) <= set(defaults)
        context = {f"inputs.{name}": value for name, value in (defaults | given).items()}
        context |= {f"strategy.{name}": value for name, value in self.strategy.items()}
        run = ActionRun()
        for step in self.action["runs"]["steps"]:
            asked = step.get("if", "success()")
            if not _value(asked, context, run):
                run.outcomes[step["id"]] = context[f"steps.{step['id']}.outcome"] = "skipped"
                continue
            if "uses" in step:
                with_ = {name: _filled(text, context, run) for name, text in step["with"].items()}
                run.uploads.append(with_)
                code, outputs = 0, {"artifact-url": f"https://github.example/{len(run.uploads)}"}
            else:
                code, outputs = self._bash(step, context, run)
            outcome = "failure" if code else "success"
            run.failed |= bool(code)
            run.outcomes[step["id"]] = context[f"steps.{step['id']}.outcome"] = outcome
            context |= {f"steps.{step['id']}.outputs.{n}": value for n, value in outputs.items()}
        for name, each in self.action["outputs"].items():
            run.outputs[name] = _filled(each["value"], context, run)
        return run

    def _bash(
        self, step: dict[str, Any], context: dict[str, str], run: ActionRun
    ) -> tuple[int, dict[str, str]]:
        script = self.scratch / f"{step['id']}.sh"
        script.write_text(_filled(step["run"], context, run))
        files = {name: self.scratch / f"{step['id']}.{name}" for name in _FILES}
        for file in files.values():
            file.write_text("")
        env = self.env | {name: str(path) for name, path in files.items()}
        env |= {name: _filled(text, context, run) for name, text in step.get("env", {}).items()}
        log = self.scratch / f"{step['id']}.log"
        with log.open("wb") as output, subprocess.Popen(
            ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", script],
            cwd=self.workspace / _filled(step.get("working-directory", "."), context, run),
            env=env, stdout=output, stderr=subprocess.STDOUT,
        ) as shell:  # fmt: skip
            if (marker := self.cancel_at) and not run.cancelled:
                waiting.until(lambda: marker.exists() or shell.poll() is not None)
                if marker.exists():
                    run.cancelled = True
                    shell.send_signal(signal.SIGINT)  # the shell alone, not what it started
            code = shell.wait(60)
        run.log += log.read_text()
        run.summary += files["GITHUB_STEP_SUMMARY"].read_text()
        lines = files["GITHUB_OUTPUT"].read_text().splitlines()
        return code, dict(line.split("=", 1) for line in lines)


def _filled(text: Any, context: dict[str, str], run: ActionRun) -> str:
    def value(found: re.Match[str]) -> str:
        return str(_value(found[0], context, run))

    return re.sub(r"\$\{\{.*?\}\}", value, str(text) if text is not False else "false")


def _value(expression: str, context: dict[str, str], run: ActionRun) -> Any:
    inner = expression.removeprefix("${{").removesuffix("}}").strip()
    python = re.sub(r"!(?!=)", " not ", inner.replace("&&", " and ").replace("||", " or "))
    python = _CONTEXT.sub(lambda found: repr(context.get(f"{found[1]}.{found[2]}", "")), python)
    functions = {
        "always": lambda: True,
        "cancelled": lambda: run.cancelled,
        "success": lambda: not run.failed and not run.cancelled,
    }
    return eval(python, {"__builtins__": {}}, functions)
