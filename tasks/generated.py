"""Write every file that names all steps, from the steps and their Tasks.

These are the images and the version in the YAML of tasks/, the version in the documentation and in
images/, the reference of commands in docs/cli.md and their pages in mkdocs.yml, the tables of
reasons in docs/, tasks/kustomization.yaml, tasks/stepactions/, the variables of secrets in
stepkit/cli/secret_variables.py, and the names and signatures of the Python API in
stepkit/__init__.py and __init__.pyi; and, from uv.lock, the versions of pytest and its plugins that
run-tests adds, in stepkit/test_suite/plugin_versions.txt; Grafana's dashboard of the component
monitoring; and what completes command lines in a shell, in stepkit/cli/completion.

For example:

    python -m tasks.generated            write what is stale
    python -m tasks.generated --check    name what is stale, and exit with 1
"""

from __future__ import annotations

import argparse
import re
import sys
import tomllib
from pathlib import Path
from typing import Final

import stepkit
from stepkit.errors import Reason
from stepkit.options import declared
from stepkit.report import reason_texts
from stepkit.steps import MODULES, STEPS
from stepkit.tekton import image_names
from tasks import cli_reference, completion_scripts, grafana_dashboard, python_stub, stepactions

ROOT: Final = Path(__file__).parents[1]

# Their Tasks belong to a Pipeline of ours; the others are also StepActions, for any Task.
WITHOUT_STEP_ACTION: Final = frozenset(
    {"prepare-workspace", "execute-notebooks", "clean-workspace"}
)

_FROM_HELP: Final = "<!-- made by `make generated` from the first line of each command's help -->\n"
_FROM_PARSER: Final = (
    "<!-- made by `make generated` from the flags that the parser adds to each command -->\n"
)
_FROM_OPTIONS: Final = (
    "<!-- made by `make generated` from the options, secrets and outputs of each command -->\n"
)
_FROM_REASONS: Final = "<!-- made by `make generated` from stepkit/report/reason_texts.toml -->\n"
_END: Final = "<!-- end of what is made -->\n"
_PAGES: Final = "      # made by `make generated`: the pages of the commands, in their order\n"
_END_OF_PAGES: Final = "      # end of what is made\n"

_VERSION: Final = re.compile(r"(app\.kubernetes\.io/version: \"|--tasks-version=)[\w.]+")
_VERSION_IN_TEXT: Final = re.compile(
    r"(\bstepkit(?::| |==|\": \"|\[tests\]==)|\$IMAGE:|\?ref=v)\d+\.\d+\.\d+\b"
)

_KUSTOMIZATION: Final = """\
# All Tasks, StepActions and Pipelines, for the namespace that you name:
#     kubectl apply --server-side -n stepkit -k tasks
# Made by `make generated`.
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources:
"""

_VARIABLES_MODULE: Final = '''\
"""The environment variables of all steps' secrets.

No child inherits SECRET_VARIABLES. Notebooks may read data with SHARED_VARIABLES, which hold the
secrets of object storage; the name of a key is not one of them.

Made by `make generated` from the options of the steps: change those.
"""

from __future__ import annotations

from typing import Final
'''


def wanted(root: Path = ROOT) -> dict[Path, str]:
    """Return the text of every generated file in the tree at ``root``, by its path."""
    tasks = root / "tasks"
    actions = {
        tasks / "stepactions" / f"{name}.yaml": stepactions.text(
            name, _of_this_version((tasks / f"{name}.yaml").read_text(encoding="utf-8"))
        )
        for name in MODULES
        if name not in WITHOUT_STEP_ACTION
    }
    pipelines = sorted(tasks.glob("pipelines/*.yaml"))
    listed = [*(tasks / f"{name}.yaml" for name in sorted(MODULES)), *pipelines, *sorted(actions)]
    resources = "".join(f"  - {path.relative_to(tasks)}\n" for path in listed)
    written = [path for path in tasks.rglob("*.yaml") if path.parent.name != "stepactions"]
    written += root.glob("examples/*/run-*.yaml")
    files = {
        **{path: _of_this_version(path.read_text(encoding="utf-8")) for path in written},
        **actions,
        tasks / "kustomization.yaml": _KUSTOMIZATION + resources,
        tasks / grafana_dashboard.PLACE: grafana_dashboard.text(),
        root / "stepkit/__init__.py": python_stub.with_names(root / "stepkit/__init__.py"),
        root / "stepkit/__init__.pyi": python_stub.text(),
        root / "stepkit/cli/secret_variables.py": _variables_of_secrets(),
        **{
            root / f"stepkit/cli/completion/stepkit.{shell}": text
            for shell, text in completion_scripts.texts().items()
        },
        root / "stepkit/test_suite/plugin_versions.txt": _plugin_versions(root),
        root / "docs/cli.md": _with(
            root / "docs/cli.md",
            (_FROM_HELP, cli_reference.overview(root)),
            (_FROM_PARSER, cli_reference.common_options()),
            (_FROM_OPTIONS, cli_reference.options_of_each(root)),
        ),
        root / "mkdocs.yml": _with(
            root / "mkdocs.yml", (_PAGES, cli_reference.navigation(root)), end=_END_OF_PAGES
        ),
        **{
            path: _with(path, (_FROM_REASONS, table))
            for path, table in (
                (root / "docs/explain.md", _reasons_in_full()),
                (root / "docs/reports.md", _reasons_by_exit_code("exit code", "reasons")),
                (root / "docs/zh/reports.md", _reasons_by_exit_code("退出码", "reason")),
                (root / "docs/tekton.md", _reasons_in_short()),
            )
        },
    }
    for path in (
        *(root / name for name in ("README.md", "action.yml", "images/compose.yaml")),
        *root.glob("images/Containerfile*"),
        *root.glob("docs/**/*.md"),
    ):
        text = files.get(path) or path.read_text(encoding="utf-8")
        files[path] = _VERSION_IN_TEXT.sub(rf"\g<1>{stepkit.__version__}", text)
    return files


def _of_this_version(text: str) -> str:
    """Return YAML with the images of this version (stepkit/tekton/images.toml), and its number."""
    return image_names.fill(_VERSION.sub(rf"\g<1>{stepkit.__version__}", text))


def _variables_of_secrets() -> str:
    """Return the module that names the variables of all steps' secrets."""
    found = [
        option.secret
        for step in STEPS.values()
        for option in declared(step.Options)
        if option.secret and option.secret.variable != "AWS_ACCESS_KEY_ID"  # it names a key
    ]
    text = _VARIABLES_MODULE
    for name, shared in (("SECRET_VARIABLES", False), ("SHARED_VARIABLES", True)):
        variables = sorted({secret.variable for secret in found if secret.shared is shared})
        listed = "".join(f'        "{variable}",\n' for variable in variables)
        text += f"\n{name}: Final = frozenset(\n    {{\n{listed}    }}\n)\n"
    return text


def _plugin_versions(root: Path) -> str:
    """Return the locked versions of the extra ``tests``, and of what it needs, one a line."""
    lock = tomllib.loads((root / "uv.lock").read_text(encoding="utf-8"))
    packages = {package["name"]: package for package in lock["package"]}
    waiting = [entry["name"] for entry in packages["stepkit"]["optional-dependencies"]["tests"]]
    found: dict[str, str] = {}
    while waiting:
        package = packages[waiting.pop()]
        if package["name"] not in found:
            found[package["name"]] = package["version"]
            waiting += [entry["name"] for entry in package.get("dependencies", ())]
    return "".join(f"{name}=={version}\n" for name, version in sorted(found.items()))


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


def _with(path: Path, *parts: tuple[str, str], end: str = _END) -> str:
    """Return the text of ``path`` with each text between its line and ``end``."""
    text = path.read_text(encoding="utf-8")
    for begin, made in parts:
        before, begun, rest = text.partition(begin)
        _, ended, after = rest.partition(end)
        if not (begun and ended):
            raise ValueError(f"{path} needs the lines {begin!r} and {end!r}")
        text = f"{before}{begin}{made}{end}{after}"
    return text


def _reasons_in_full() -> str:
    lines = ["| reason | means | usual causes | try |", "|---|---|---|---|"]
    for one in reason_texts.every().values():
        causes = "<br>".join(f"· {cause}" for cause in one.causes)
        remedies = "<br>".join(f"· {remedy}" for remedy in one.remedies)
        more = f"<br>[more]({one.more})" if one.more else ""
        lines.append(f"| `{one.reason}` | {one.means} | {causes} | {remedies}{more} |")
    return "\n".join(lines) + "\n"


def _reasons_in_short() -> str:
    lines = ["| reason of a step | means | try |", "|---|---|---|"]
    for one in reason_texts.every().values():
        more = f" ([more]({one.more.removeprefix('tekton.md')}))" if one.more else ""
        lines.append(f"| `{one.reason}` | {one.means} | {'; '.join(one.remedies)}{more} |")
    return "\n".join(lines) + "\n"


def _reasons_by_exit_code(code_title: str, reasons_title: str) -> str:
    by_code: dict[int, list[str]] = {0: [Reason.OK]}
    for one in reason_texts.every().values():
        for code in one.exit_codes:
            by_code.setdefault(code, []).append(one.reason)
    codes: dict[str, list[str]] = {}
    for code, reasons in sorted(by_code.items()):
        codes.setdefault(", ".join(f"`{reason}`" for reason in reasons), []).append(str(code))
    lines = [f"| {code_title} | {reasons_title} |", "|---|---|"]
    lines += [f"| {', '.join(found)} | {reasons} |" for reasons, found in codes.items()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
