"""Start ipykernel so that it drops no output, and can say where it hangs.

Run as a script, by the kernel's own Python: that may be another environment's, so only ipykernel
and what it brings along are imported.
"""

import atexit
import faulthandler
import importlib.util
import os
import signal
import sys
from typing import Any

# The script's directory must not be where the notebook's imports are looked up first. A safe
# path (PYTHONSAFEPATH) leaves it out itself.
if sys.path[0] == os.path.dirname(os.path.abspath(__file__)):  # noqa: PTH100, PTH120 - starts at once
    del sys.path[0]

import zmq
from ipykernel.ipkernel import IPythonKernel
from ipykernel.kernelapp import IPKernelApp

_JOIN_SECONDS = 5.0

_GUARD: Any = None  # of RMM, where the runner asks for one


class Kernel(IPythonKernel):
    """IPython's kernel, whose end does not wait for children that need no help to end.

    The stock one signals the zombies of forgotten subprocesses for half a minute, and Python's
    resource tracker, which ignores SIGTERM and ends with its parent, for a quarter of one.
    """

    def _process_children(self) -> list[Any]:
        children: list[Any] = super()._process_children()  # type: ignore[no-untyped-call]
        return [child for child in children if not _ends_by_itself(child)]


def _ends_by_itself(process: Any) -> bool:
    from psutil import STATUS_ZOMBIE, Error

    try:
        tracks = any("multiprocessing.resource_tracker" in part for part in process.cmdline())
        return bool(tracks or process.status() == STATUS_ZOMBIE)
    except Error:
        return True


class LosslessKernelApp(IPKernelApp):
    """IPython's kernel, whose output socket waits where the stock one drops.

    ZeroMQ throws away what exceeds 1000 queued messages for a slow reader, without a word; with
    XPUB_NODROP the kernel waits for the reader instead (zmq_setsockopt(3)).
    """

    name = "ipython-kernel"  # so that users' ipython_kernel_config applies

    def init_iopub(self, context: Any) -> None:
        """Make the output socket; options set on the context hold for it."""
        context.setsockopt(zmq.XPUB_NODROP, 1)
        super().init_iopub(context)  # type: ignore[no-untyped-call] # ipykernel is half typed

    def initialize(self, argv: Any = None) -> None:
        """Set the kernel up, and the order in which its threads end.

        The stock kernel ends the thread that sends its messages first, so on a busy machine the
        one that answers the shutdown request may wait for it for ever.
        """
        super().initialize(argv)  # type: ignore[no-untyped-call]
        atexit.register(self.end_control)  # what was registered last runs first
        if _GUARD and self.shell:
            self.shell.events.register("post_run_cell", _GUARD.cell_ended)

    def end_control(self) -> None:
        """End the thread that answers the shutdown request."""
        if self.control_thread and self.control_thread.is_alive():
            self.control_thread.stop()
            self.control_thread.join(_JOIN_SECONDS)


def _guard() -> Any:
    """Guard RMM as the environment asks; whatever fails here, the notebook runs all the same."""
    if not os.environ.get("STEPKIT_GUARD"):
        return None
    directory = os.path.join(os.path.dirname(os.path.abspath(__file__)), "gpu_memory")  # noqa: PTH100, PTH118, PTH120 - starts at once
    try:
        spec: Any = importlib.util.spec_from_file_location(
            "stepkit_guard",
            os.path.join(directory, "__init__.py"),  # noqa: PTH118
            submodule_search_locations=[directory],
        )
        guard = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = guard  # under a name of its own: nothing is added to sys.path
        spec.loader.exec_module(guard)
        return guard.install()
    except Exception as error:  # noqa: BLE001
        print(f"stepkit: the guard of RMM is not active: {error}", file=sys.stderr)  # noqa: T201
        return None


def main() -> None:
    """Serve one notebook, until it is told to end."""
    global _GUARD  # noqa: PLW0603 - Jupyter makes the application itself
    # ipykernel takes over the file behind fd 2: the stacks must go where the process itself prints.
    faulthandler.register(signal.SIGUSR1, file=os.dup(2), all_threads=True)
    # Python looks for an interrupt before it enters a system call; one that comes between the two
    # goes unnoticed until the call ends. A signal that does nothing else ends the call.
    signal.signal(signal.SIGRTMIN + 5, lambda *_: None)
    _GUARD = _guard()
    LosslessKernelApp.launch_instance(kernel_class=Kernel)


if __name__ == "__main__":
    main()
