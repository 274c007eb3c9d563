"""What a notebook's process had imported: packages with their versions, Python and CUDA."""

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cuda_driver import fake_cuda
from runs import execute, statuses

from stepkit import kernel
from stepkit.engine.read_kernel_facts import KernelFacts

SCRIPT = Path(kernel.__file__).with_name("kernel_facts.py")

PLUMBING = {"ipykernel", "ipython", "pyzmq", "traitlets", "jupyter_client", "tornado", "debugpy",
            "stack-data", "executing", "asttokens", "pure-eval"}  # fmt: skip


def facts(directory: Path, *cells: str, **options: Any) -> KernelFacts:
    found = execute(directory, *cells, **options).kernel_facts
    assert found
    return found


def test_a_run_knows_the_versions_of_what_the_notebook_imported(tmp_path: Path) -> None:
    outcome = execute(
        tmp_path,
        "import numpy as np\nfrom jinja2 import Template",
        "import os\nprint(os.environ.get('STEPKIT_KERNEL_FACTS'), np.__version__)",
        "{}['pca']",
    )
    found = outcome.kernel_facts

    assert statuses(outcome) == ["ok", "ok", "error"]
    assert found
    assert found.python == ".".join(map(str, sys.version_info[:3]))
    assert f"'None {found.packages['numpy']}\\n'" in str(outcome.notebook.cells)
    assert list(found.packages) == ["Jinja2", "numpy", "MarkupSafe"]  # the last by jinja2
    assert not PLUMBING & {name.lower() for name in found.packages}


def test_what_a_killed_kernel_had_before_its_last_cell_is_known(tmp_path: Path) -> None:
    found = facts(
        tmp_path, "import yaml", "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)"
    )

    assert list(found.packages) == ["PyYAML"]


@pytest.mark.slow
def test_libraries_of_cuda_that_are_loaded_say_their_version(tmp_path: Path) -> None:
    env = fake_cuda(tmp_path, FAKE_CUDA_INIT="999")  # nothing may initialise it
    loading = "import ctypes\ncuda = ctypes.CDLL('libcuda.so.1')"

    assert facts(tmp_path, "1", env=env).cuda_driver == ""
    assert facts(tmp_path, loading, env=env).cuda_driver == "13.0"
    assert facts(tmp_path, "import cupy", env=env).cuda_runtime.startswith("12.")


@pytest.mark.slow
def test_another_kernel_than_pythons_has_no_facts(tmp_path: Path) -> None:
    assert execute(tmp_path, "import os\nos._exit(1)").kernel_facts is None


def site_packages(directory: Path, **distributions: str) -> None:
    """Make a distribution of each name, with these files in it."""
    for name, files in distributions.items():
        info = directory / f"{name}-1.5.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.5\n")
        lines = ["../../bin/tool,,", *(f"{file},sha256=x,1" for file in files.split())]
        (info / "RECORD").write_text("\n".join(lines) + "\n")
        for file in files.split():
            (directory / file).parent.mkdir(parents=True, exist_ok=True)
            (directory / file).write_text("")


def packages(directory: Path, code: str) -> Any:
    """Return what the script writes after ``code``, in a Python that has only ``directory``."""
    program = f"""
import sys
sys.path.insert(0, {str(SCRIPT.parent)!r})
import kernel_facts
sys.path[0] = {str(directory)!r}
names = {{}}
writer = kernel_facts.KernelFactsWriter({str(directory / "facts.json")!r}, names)
exec({code!r}, names)
imported = set(sys.modules)
writer._packages(kernel_facts._modules_named(names))  # its errors are not suppressed
assert set(sys.modules) == imported, set(sys.modules) - imported
writer.cell_ended()
"""
    subprocess.run([sys.executable, "-S", "-c", program], check=True)
    return json.loads((directory / "facts.json").read_text())["packages"]


def test_a_distribution_is_found_by_name_and_by_what_it_holds(tmp_path: Path) -> None:
    site_packages(tmp_path, by_name="by_name.py", **{"lib-cu12": "lib/__init__.py lib/a.py"})
    site_packages(tmp_path, setuptooled="")
    (tmp_path / "setuptooled-1.5.dist-info/top_level.txt").write_text("tooled\n")
    (tmp_path / "tooled.py").write_text("")
    (tmp_path / "bare.py").write_text("")

    found = packages(tmp_path, "import by_name, lib.a, tooled, bare")

    assert found == {"by_name": "1.5", "lib-cu12": "1.5", "setuptooled": "1.5"}


def test_a_namespace_is_named_for_the_distributions_that_were_imported(tmp_path: Path) -> None:
    site_packages(
        tmp_path,
        nsone="space/one/__init__.py",
        nstwo="space/deep/two/__init__.py",
        nsthree="space/three.py",
    )

    assert packages(tmp_path, "import space.one, space.deep.two") == {
        "nsone": "1.5",
        "nstwo": "1.5",
    }


def test_what_the_notebook_has_a_name_for_comes_first(tmp_path: Path) -> None:
    site_packages(tmp_path, a="a.py", b="b.py", c="c/__init__.py c/d.py", e="e.py")
    (tmp_path / "c/d.py").write_text("class Used: pass")
    (tmp_path / "b.py").write_text("import a")
    (tmp_path / "e.py").write_text("def used(): pass")

    found = packages(tmp_path, "import b\nfrom c.d import Used\nfrom e import used")

    assert list(found) == ["b", "c", "e", "a"]


def test_a_module_that_lies_about_its_file_is_left_out(tmp_path: Path) -> None:
    site_packages(tmp_path, true="true.py", lazy="lazy.py", liar="liar.py", odd="odd.py")
    code = f"""
import importlib.util, sys, types
import true
class Path:
    def __fspath__(self): raise SystemExit
for name, file in (("odd", Path()), ("liar", {str(tmp_path / "true.py")!r}), ("x.y", None)):
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__file__ = file
sys.modules["object"] = object()
sys.modules["none"] = None
sys.modules[3] = types.ModuleType("three")
spec = importlib.util.find_spec("lazy")
spec.loader = importlib.util.LazyLoader(spec.loader)
lazy = importlib.util.module_from_spec(spec)
sys.modules["lazy"] = lazy
spec.loader.exec_module(lazy)
"""
    (tmp_path / "lazy.py").write_text("raise SystemExit('it was loaded')")

    assert packages(tmp_path, code) == {"lazy": "1.5", "true": "1.5"}


def test_each_of_thousands_of_modules_leads_to_its_distribution(tmp_path: Path) -> None:
    files = [f"m{number}.py" for number in range(2000)]
    site_packages(tmp_path, even=" ".join(files[::2]), odd=" ".join(files[1::2]))
    code = "import importlib\nfor n in range(2000): importlib.import_module(f'm{n}')"

    assert packages(tmp_path, code) == {"even": "1.5", "odd": "1.5"}


def test_a_cupy_that_cannot_say_its_version_loses_nothing_else(tmp_path: Path) -> None:
    site_packages(tmp_path, a="a.py")
    code = "import a, sys\nsys.modules['cupy_backends.cuda.api.runtime'] = a"

    assert packages(tmp_path, code) == {"a": "1.5"}


def test_a_package_that_was_installed_between_two_cells_is_found(tmp_path: Path) -> None:
    code = f"""
from pathlib import Path
writer = __import__("__main__").writer
import old
writer.cell_ended()
new = Path({str(tmp_path)!r}, "new-2.0.dist-info")
new.mkdir()
new.joinpath("METADATA").write_text("Name: new\\nVersion: 2.0\\n")
import new as module
"""
    site_packages(tmp_path, old="old.py")
    (tmp_path / "new.py").write_text("")

    assert packages(tmp_path, code) == {"new": "2.0", "old": "1.5"}


def test_distributions_without_metadata_have_the_version_of_their_directory(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.py").write_text("")
    (tmp_path / "a-1.0.dist-info").mkdir()
    (tmp_path / "b-2.0-py3.11.egg-info").mkdir()
    (tmp_path / "b-2.0-py3.11.egg-info/PKG-INFO").write_bytes(b"Name: B\nVersion: 2.0\n\xff")

    found = packages(tmp_path, "import a, b")

    assert list(found.items()) == [("a", "1.0"), ("B", "2.0")]


def test_a_directory_that_is_gone_is_left_out(tmp_path: Path) -> None:
    site_packages(tmp_path, a="a.py")
    site_packages(tmp_path / "gone", b="b.py")
    gone = str(tmp_path / "gone")
    code = f"import a, shutil, sys\nsys.path.append({gone!r})\nimport b\nshutil.rmtree({gone!r})"

    assert packages(tmp_path, code) == {"a": "1.5"}


def test_the_script_is_valid_python_3_9() -> None:
    ast.parse(SCRIPT.read_text(), feature_version=(3, 9))
