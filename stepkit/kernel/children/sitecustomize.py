"""Guard RMM in a process that a notebook started, then do what this file stands in front of.

Any Python may run it: nothing here needs a later one than 3.6.
"""

import importlib.machinery
import importlib.util
import os
import sys

_HERE = os.path.dirname(os.path.abspath(__file__))


def _guard() -> None:
    directory = os.path.join(os.path.dirname(_HERE), "gpu_memory")
    spec = importlib.util.spec_from_file_location(
        "stepkit_guard",
        os.path.join(directory, "__init__.py"),
        submodule_search_locations=[directory],
    )
    assert spec
    assert spec.loader
    guard = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = guard
    spec.loader.exec_module(guard)
    guard.install(child=True)


def _shadowed() -> None:
    """Run the sitecustomize that Python would have found without ours."""
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry) != _HERE]
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", sys.path)
    if spec is None or spec.loader is None:
        return
    module = importlib.util.module_from_spec(spec)
    sys.modules["sitecustomize"] = module
    spec.loader.exec_module(module)


def _guards_itself() -> bool:
    """Tell a notebook's kernel, of a run inside another one: it is no mere child of that."""
    launcher = os.path.join(os.path.dirname(_HERE), "launcher.py")
    started = getattr(sys, "orig_argv", ())[1:]
    return launcher in started or "stepkit.kernel" in started


if os.environ.get("STEPKIT_GUARD") and not _guards_itself():
    try:
        _guard()
    except Exception as error:  # the program is not to notice
        print(f"stepkit: no guard of RMM in this process: {error}", file=sys.stderr)
_shadowed()
