"""Fill the templates of the files that ``stepkit init`` writes."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from stepkit.formats import yaml_files

if TYPE_CHECKING:
    from stepkit.cli.starter.scan_repository import Found

Service = Literal["github", "gitlab", "tekton"]

# Where each service looks for its file; a cluster is given one by its path.
CI_FILES: Final[dict[Service, str]] = {
    "github": ".github/workflows/notebooks.yml",
    "gitlab": ".gitlab-ci.yml",
    "tekton": "notebook-run.yaml",
}
_TEMPLATES: Final = Path(__file__).with_name("templates")
_MOST_NAMED: Final = 20  # notebooks; of more, the patterns of their directories are written
_LONGEST: Final = 400  # characters of the parameters of a notebook that are shown
_PLAIN: Final = re.compile(r"[A-Za-z0-9_./][\w./ -]*[\w./-]|\w", re.ASCII)


def config(found: Found) -> str:
    """Return ``stepkit.yaml``."""
    names = found.notebooks
    if len(names) > _MOST_NAMED:
        patterns = ((Path(name).parent / "*.ipynb").as_posix() for name in names)
        names = tuple(dict.fromkeys(patterns))
    shown = {name: yaml_files.dump(given).strip() for name, given in found.parameters.items()}
    lines = [
        f"#   {_scalar(name)}: {text}"
        for name, text in shown.items()
        if len(text) <= _LONGEST and "\n" not in text
    ]
    return _fill(
        "stepkit.yaml",
        NOTEBOOKS="\n".join(f"  - {_scalar(name)}" for name in names),
        PARAMETERS="\n".join(["# parameters:", *(lines or ["#   notebooks/a.ipynb: {n: 5}"])]),
        TESTS="tests: ." if found.has_tests else "# tests: .",
    )


def rules() -> str:
    """Return the file of rules."""
    return _fill("stepkit-rules.yaml")


def ci(service: Service, found: Found, requirement: str) -> str:
    """Return the file of a CI service; ``requirement`` is what pip installs as stepkit."""
    tests, steps = "", "execute-notebooks"
    command = (
        "stepkit run-tests --artifacts out --inputs out/*.html --report out/reports/run-tests.json"
    )
    if found.has_tests:
        steps += " run-tests"
        tests = {
            "github": f"      - if: ${{{{ !cancelled() }}}}\n        run: {command}",
            "gitlab": f"    - {command} || true",
            "tekton": f"    - name: tests-url\n      value: {_scalar(_url(found))}",
        }[service]
    install = f"pip install {shlex.quote(requirement)}"
    if found.has_requirements:
        install += " -r requirements.txt"
    if ": " in install or " #" in install:
        install = json.dumps(install)
    name = {"github": "github.yml", "gitlab": "gitlab.yml", "tekton": "tekton.yaml"}[service]
    return _fill(
        name,
        INSTALL=install,
        TESTS=tests,
        STEPS=steps,
        FILE=CI_FILES[service],
        URL=_scalar(_url(found)),
        NOTEBOOK=_scalar(found.notebooks[0]),
    )


def _url(found: Found) -> str:
    return found.url or "https://github.com/you/notebooks"


def _fill(name: str, **values: str) -> str:
    """Return a template with its words between ``@``; a line with nothing but an empty one goes."""
    lines = []
    for line in (_TEMPLATES / name).read_text(encoding="utf-8").splitlines():
        filled = re.sub(r"@([A-Z]+)@", lambda word: values[word[1]], line)
        if filled or not line.startswith("@"):
            lines.append(filled)
    return "\n".join(lines) + "\n"


def _scalar(text: str) -> str:
    """Write a text as YAML: in quotes where a reader could take it for something else."""
    safe = _PLAIN.fullmatch(text) and not re.fullmatch(r"[\d._+-]+", text)
    return text if safe or text.startswith("https://") else json.dumps(text, ensure_ascii=False)
