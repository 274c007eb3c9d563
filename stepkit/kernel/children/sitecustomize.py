"""Guard RMM in a process that a notebook started, then run the sitecustomize that this one hides.

Any Python may run it: nothing here needs a later one than 3.6.
"""

import importlib.machinery
import importlib.util
import os
import sys

_HERE = os.path.dirname(os.path.abspath(__file__))
_KERNEL = os.path.dirname(_HERE)


def _install_guard() -> None:
    directory = os.path.join(_KERNEL, "gpu_memory")
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


def _run_hidden() -> None:
    """Run the sitecustomize that Python would have found without this one."""
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry) != _HERE]
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", sys.path)
    if spec is None or spec.loader is None:
        return
    module = importlib.util.module_from_spec(spec)
    sys.modules["sitecustomize"] = module
    spec.loader.exec_module(module)


# The kernel of a run inside another run installs the guard itself, and is not a child.
_arguments = getattr(sys, "orig_argv", ())[1:]
_is_kernel = os.path.join(_KERNEL, "launcher.py") in _arguments or "stepkit.kernel" in _arguments
if os.environ.get("STEPKIT_GUARD") and not _is_kernel:
    try:
        _install_guard()
    except Exception as error:  # the program must not fail because of the guard
        print(f"stepkit: no guard of RMM in this process: {error}", file=sys.stderr)
_run_hidden()
