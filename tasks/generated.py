"""Write every file that names all steps, from the steps and their Tasks.

These are the table of commands in README.md, tasks/kustomization.yaml, tasks/stepactions/ and the
variables of secrets in stepkit/cli/secret_variables.py.

For example:

    python -m tasks.generated            write what is stale
    python -m tasks.generated --check    name what is stale, and exit with 1
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from stepkit.cli import commands
from stepkit.options import declared
from stepkit.steps import MODULES, STEPS
from tasks import stepactions

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOT: Final = Path(__file__).parents[1]

# Their Tasks belong to a Pipeline of ours; the others are also StepActions, for any Task.
WITHOUT_STEP_ACTION: Final = frozenset(
    {"prepare-workspace", "execute-notebooks", "clean-workspace"}
)

_BEGIN: Final = "<!-- made by `make generated` from the first line of each command's help -->\n"
_END: Final = "<!-- end of what is made -->\n"

_KUSTOMIZATION: Final = """\
# All Tasks, StepActions and Pipelines, for the namespace that you name:
#     kubectl apply --server-side -n stepkit -k tasks
# Made by `make generated`.
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources:
"""

_VARIABLES_MODULE: Final = '''\
"""The environment variables of all steps' secrets, which no child inherits.

Made by `make generated` from the options of the steps: change those.
"""

from __future__ import annotations

from typing import Final

SECRET_VARIABLES: Final = frozenset(
    {
'''


def wanted(root: Path = ROOT) -> dict[Path, str]:
    """Return the text of every generated file in the tree at ``root``, by its path."""
    tasks = root / "tasks"
    actions = {
        tasks / "stepactions" / f"{name}.yaml": stepactions.text(tasks / f"{name}.yaml")
        for name in MODULES
        if name not in WITHOUT_STEP_ACTION
    }
    pipelines = sorted(tasks.glob("pipelines/*.yaml"))
    listed = [*(tasks / f"{name}.yaml" for name in sorted(MODULES)), *pipelines, *sorted(actions)]
    resources = "".join(f"  - {path.relative_to(tasks)}\n" for path in listed)
    secrets = {
        option.secret.variable
        for step in STEPS.values()
        for option in declared(step.Options)
        if option.secret and not option.secret.shared
    }
    variables = "".join(f'        "{variable}",\n' for variable in sorted(secrets))
    return {
        **actions,
        tasks / "kustomization.yaml": _KUSTOMIZATION + resources,
        root / "stepkit/cli/secret_variables.py": f"{_VARIABLES_MODULE}{variables}    }}\n)\n",
        root / "README.md": _readme(root),
    }


def stale(root: Path = ROOT) -> dict[Path, str | None]:
    """Return the generated files that are not as they must be, None for one that must go."""
    files: dict[Path, str | None] = dict(wanted(root))
    files |= {path: None for path in root.glob("tasks/stepactions/*.yaml") if path not in files}
    return {
        path: text
        for path, text in files.items()
        if text != (path.read_text(encoding="utf-8") if path.exists() else None)
    }


def main(root: Path = ROOT) -> int:
    """Write the files, or with ``--check`` name those that are stale (exit code 1)."""
    parser = argparse.ArgumentParser(prog="python -m tasks.generated", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if any differs")
    check = parser.parse_args().check
    found = stale(root)
    for path, text in sorted(found.items()):
        if check:
            print(f"{path.relative_to(root)} is stale: run `make generated`", file=sys.stderr)
        elif text is None:
            path.unlink()
        else:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
    return int(check and bool(found))


def _readme(root: Path) -> str:
    before, begin, rest = (root / "README.md").read_text(encoding="utf-8").partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not (begin and end):
        raise ValueError(f"README.md needs the lines {_BEGIN!r} and {_END!r}")
    table = _table(root, "step", MODULES) + "\n" + _table(root, "other command", commands.MODULES)
    return f"{before}{begin}{table}{end}{after}"


def _table(root: Path, title: str, names: Iterable[str]) -> str:
    lines = [f"| {title} | does |", "|---|---|"]
    for name in names:
        does = commands.COMMANDS.summary(name).rstrip(".")
        page = f"docs/{name}.md"
        more = f" ([more]({page}))" if (root / page).exists() else ""
        lines.append(f"| `{name}` | {does}{more} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
