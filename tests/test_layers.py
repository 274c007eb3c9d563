"""The layers and rooms of the package: what the import linter refuses, and what it cannot see."""

import ast
import shutil
import subprocess
from pathlib import Path

import commands
import grimp
import pytest

ROOT = Path(__file__).parents[1]

# Who imports a library: nobody else may.
OWNERS = {
    "PIL": {"golden.image_difference"},
    "apprise": {"notify.apprise"},
    "coverage": {"test_suite.coverage"},
    "defusedxml": {"artifacts.content_types", "test_suite.coverage", "test_suite.junit"},
    "git": {"git.commands"},
    "jinja2": {"html.exporter", "html.nbconvert", "report.page.page_template"},
    "jsonschema": {"formats.json_schema"},
    "jupyter_client": {"engine.kernel_process", "notebook.kernelspecs"},
    "markupsafe": {"report.page.page_template"},
    "nbclient": {
        "engine.cell_outputs",
        "engine.client",
        "engine.papermill_engine",
        "engine.run",
    },
    "nbconvert": {"html.exporter", "html.markdown", "html.nbconvert"},
    "nbformat": {
        "engine.papermill_metadata",
        "html.nbconvert",
        "notebook.ipynb",
        "rules.working_copy",
    },
    "obstore": {
        "artifacts.gs_access",
        "artifacts.s3",
        "artifacts.s3_access",
        "artifacts.stored_object",
    },
    "pytest": {
        "pytest_plugin",
        "pytest_plugin.collect_notebooks",
        "pytest_plugin.plugin_options",
    },
    "papermill": {
        "engine.papermill_engine",
        "engine.papermill_metadata",
        "engine.run_cells",
        "notebook.parameters",
    },
    "psutil": {"system.process_tree", "kernel.launcher"},
    "pynvml": {"system.nvml_library"},
    "subprocess": {"system.process"},
    "tenacity": {"datasets.download", "system.retry"},
    "urllib3": {"http.connection"},
    "yaml": {"formats.strict_yaml", "formats.yaml_files", "notebook.parameters"},
}
# Who reads the environment: an option of a step is declared with FromEnv instead.
READ_THE_ENVIRONMENT = {
    "cli/commands/config.py",
    "cli/log.py",
    "cli/main.py",
    "cli/resume/packages.py",
    "cli/terminal.py",
    "engine/kernel_process.py",
    "git/environment.py",
    "http/post.py",
    "kernel/children/sitecustomize.py",
    "kernel/gpu_memory/__init__.py",
    "kernel/gpu_memory/cuda_errors.py",
    "kernel/launcher.py",
    "kernel/probe_script.py",
    "notebook/kernelspecs.py",
    "pytest_plugin/plugin_options.py",
    "run_local/task_run.py",
    "system/stepkit_process.py",
    "test_suite/pytest.py",
    "test_suite/venv.py",
}


def lint_imports(directory: Path) -> subprocess.CompletedProcess[str]:
    command = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    env = {"PYTHONPATH": str(directory), "PATH": "/usr/bin:/bin"}
    return commands.python("-c", command, "--no-cache", "--no-logo", cwd=directory, env=env)


@pytest.mark.parametrize(
    ("module", "line", "chain"),
    [
        ("steps/bad_step.py", "from stepkit.cli import run_step", "steps.bad_step -> stepkit.cli"),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in (
                ("git/bad.py", "from stepkit.steps import git_clone", "git.bad -> stepkit.steps"),
                ("git/bad.py", "from stepkit.http import get\nfrom stepkit import html", "git.bad"),
                ("system/bad.py", "from stepkit.http import get", "system.bad -> stepkit.http.get"),
            )
        ),
    ],
)
def test_an_import_across_rooms_or_up_the_layers_is_refused(
    tmp_path: Path, module: str, line: str, chain: str
) -> None:
    shutil.copytree(ROOT / "stepkit", tmp_path / "stepkit")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "stepkit" / module).write_text(line + "\n")

    done = lint_imports(tmp_path)

    assert done.returncode == 1, done.stdout + done.stderr
    assert chain in done.stdout


def test_each_library_is_imported_by_its_owners_alone() -> None:
    graph = grimp.build_graph("stepkit", include_external_packages=True, cache_dir=None)

    found = {
        library: {
            name.removeprefix("stepkit.")
            for name in graph.find_modules_that_directly_import(library)
        }
        for library in OWNERS
        if library in graph.modules
    }
    assert found == {library: OWNERS[library] for library in found}


def test_the_environment_is_read_where_children_and_the_command_line_need_it() -> None:
    package = ROOT / "stepkit"
    found = {
        str(path.relative_to(package))
        for path in package.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and ast.unparse(node) == "os.environ"
    }

    assert found == READ_THE_ENVIRONMENT


def _length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    docstring = ast.get_docstring(function, clean=False) or ""
    return (function.end_lineno or 0) - function.lineno - docstring.count("\n")


@pytest.mark.parametrize("path", sorted(ROOT.glob("stepkit/**/*.py")), ids=lambda p: p.stem)
def test_modules_and_functions_stay_small(path: Path) -> None:
    text = path.read_text()
    tree = ast.parse(text)
    functions = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]

    too_long = [f.name for f in functions if _length(f) > 80]
    assert too_long == []
    assert len(text.splitlines()) <= 300
