"""A component of GitLab CI/CD, as GitLab includes it, and its job as a runner runs it."""

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import yaml

COMPONENT = Path(__file__).parents[1] / "templates/execute-notebook/template.yml"


def inputs() -> dict[str, dict[str, Any]]:
    """Return what the component declares."""
    spec, _ = yaml.safe_load_all(COMPONENT.read_text(encoding="utf-8"))
    declared: dict[str, dict[str, Any]] = spec["spec"]["inputs"]
    return declared


def included(**given: Any) -> dict[str, Any]:
    """Return the job with inputs in its text, before it is read as YAML.

    Raises ValueError for a value that the declaration of its input refuses.
    """
    values = {}
    for name, declared in inputs().items():
        value = given.pop(name.replace("-", "_"), declared.get("default"))
        regex = declared.get("regex", "").replace(r"\z", r"\Z")  # RE2's spelling, and Python's
        if value is None or not re.search(regex, str(value)):
            raise ValueError(f"`{name}` input: {value!r}")
        if value not in declared.get("options", [value]):
            raise ValueError(f"`{name}` input: {value!r} is none of its options")
        values[name] = value if isinstance(value, str) else json.dumps(value)
    assert not given
    text = COMPONENT.read_text(encoding="utf-8").split("\n---\n")[1]
    job: dict[str, Any] = yaml.safe_load(
        re.sub(r"\$\[\[ inputs\.([\w-]+) \]\]", lambda found: values[found[1]], text)
    )
    return job


def run(job: dict[str, Any], checkout: Path, env: dict[str, str]) -> tuple[int, str]:
    """Run the script of a job in a POSIX shell; return its exit code and its log."""
    variables = {
        name: value if isinstance(value, str) else value["value"]
        for name, value in job["variables"].items()
    }
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GITHUB_")}
    done = subprocess.run(
        ["dash", "-e", "-c", "\n".join(job["script"])],
        cwd=checkout, env={**kept, "GITLAB_CI": "true", "CI": "true", **variables, **env},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, timeout=300,
    )  # fmt: skip
    return done.returncode, done.stdout.decode()  # with the carriage returns of sections
