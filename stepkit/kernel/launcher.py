"""Start ipykernel so that it drops no output, and prints its stacks when it hangs or crashes.

Run as a script, by the kernel's own Python: that may belong to another environment, so only
ipykernel and its dependencies are imported.
"""

import atexit
import faulthandler
import functools
import importlib.util
import os
import signal
import sys
import time
from contextlib import nullcontext, suppress
from typing import Any

# The notebook must not import what lies in the script's directory. With PYTHONSAFEPATH, the
# directory is not on the path.
if sys.path[0] == os.path.dirname(os.path.abspath(__file__)):  # noqa: PTH100, PTH120 - starts at once
    del sys.path[0]

import zmq
from ipykernel.ipkernel import IPythonKernel
from ipykernel.kernelapp import IPKernelApp

_JOIN_SECONDS = 5.0
_DELIVERY_SECONDS = 0.1  # for outputs of a kernel that ends itself

# The first is set by nsys, the second by any tool that reads NVTX: it names the tool's library.
_PROFILERS = ("NSYS_PROFILING_SESSION_ID", "NVTX_INJECTION64_PATH")

_GUARD: Any = None  # the guard of RMM, where the runner asks for one
_RANGES: Any = None  # of cells, where a profiler reads them
_FACTS_FILE = os.environ.pop("STEPKIT_KERNEL_FACTS", "")  # where the runner wants to read them
_CALLS_FILE = os.environ.pop("STEPKIT_ACCELERATED_CALLS", "")
_CALLS: Any = None  # those of cudf.pandas and cuml.accel, where the runner wants to read them


class Kernel(IPythonKernel):
    """IPython's kernel, which takes cells' numbers, and ends without waiting for zombies.

    The stock kernel signals the zombies of forgotten subprocesses for 30 seconds, and Python's
    resource tracker, which ignores SIGTERM and ends with its parent, for 15.
    """

    cell_index = 0  # in the notebook, of the cell that runs

    async def execute_request(self, stream: Any, ident: Any, parent: Any) -> None:
        """Execute a cell as ``In [n]``, where n is the number that stepkit's messages give it."""
        metadata = parent.get("metadata", {})
        number = metadata.get("stepkit_cell", 0)
        self.cell_index = metadata.get("stepkit_index", 0)
        if self.shell:  # skipped cells leave gaps
            self.shell.execution_count = max(self.shell.execution_count, number)
        name = metadata.get("stepkit_cell_name")
        with _RANGES.cell(name) if _RANGES and name else nullcontext():
            await super().execute_request(stream, ident, parent)  # type: ignore[no-untyped-call]

    def _process_children(self) -> list[Any]:
        from psutil import STATUS_ZOMBIE, Error

        waited_for = []
        for child in super()._process_children():  # type: ignore[no-untyped-call]
            with suppress(Error):  # it ended meanwhile
                words = child.cmdline()
                tracker = any("multiprocessing.resource_tracker" in word for word in words)
                if not tracker and child.status() != STATUS_ZOMBIE:
                    waited_for.append(child)
        return waited_for


class LosslessKernelApp(IPKernelApp):
    """IPython's kernel, whose output socket waits where the stock one drops messages.

    ZeroMQ silently drops what exceeds 1000 queued messages for a slow reader; with XPUB_NODROP the
    kernel waits for the reader instead (zmq_setsockopt(3)).
    """

    name = "ipython-kernel"  # so that users' ipython_kernel_config applies

    def init_iopub(self, context: Any) -> None:
        """Make the output socket; options of the context apply to it."""
        context.setsockopt(zmq.XPUB_NODROP, 1)
        super().init_iopub(context)  # type: ignore[no-untyped-call] # ipykernel is half typed

    def initialize(self, argv: Any = None) -> None:
        """Set the kernel up, and the order in which its threads end.

        The stock kernel first ends the thread that sends its messages. On a busy machine, the
        thread that answers the shutdown request may then wait for it without end.
        """
        super().initialize(argv)  # type: ignore[no-untyped-call]
        atexit.register(self.end_control)  # the last one registered runs first
        if _GUARD and self.shell:
            self.shell.events.register("post_run_cell", _GUARD.cell_ended)
        if _FACTS_FILE and self.shell:
            kernel_facts = _load("stepkit_kernel_facts", "kernel_facts.py")
            facts = kernel_facts.KernelFactsWriter(_FACTS_FILE, self.shell.user_ns)
            self.shell.events.register("post_run_cell", facts.cell_ended)
        if _CALLS and self.shell:
            self.shell.events.register("post_run_cell", self.write_calls)

    def write_calls(self, *_: Any) -> None:
        """Write which calls of the cell that has ended ran on the CPU."""
        _CALLS.cell_ended(self.kernel.cell_index)

    def end_control(self) -> None:
        """End the thread that answers the shutdown request."""
        if self.control_thread and self.control_thread.is_alive():
            self.control_thread.stop()
            self.control_thread.join(_JOIN_SECONDS)


def _load(name: str, *path: str) -> Any:
    """Import a file beside this one as ``name``: nothing is added to sys.path."""
    file = os.path.join(os.path.dirname(os.path.abspath(__file__)), *path)  # noqa: PTH100, PTH118, PTH120 - starts at once
    inside = [os.path.dirname(file)] if path[-1] == "__init__.py" else None  # noqa: PTH120
    spec: Any = importlib.util.spec_from_file_location(
        name, file, submodule_search_locations=inside
    )
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _install_guard() -> Any:
    """Guard RMM as the environment asks; if that fails, the notebook runs without the guard."""
    if not os.environ.get("STEPKIT_GUARD"):
        return None
    try:
        return _load("stepkit_guard", "gpu_memory", "__init__.py").install()
    except Exception as error:  # noqa: BLE001
        print(f"stepkit: the guard of RMM is not active: {error}", file=sys.stderr)  # noqa: T201
        return None


def _count_calls() -> Any:
    """Count the calls of cudf.pandas and cuml.accel, if the runner wants to know them."""
    if not _CALLS_FILE:
        return None
    try:
        calls = _load("stepkit_accelerated_calls", "accelerated_calls", "__init__.py")
        import_hook = _load("stepkit_import_hook", "gpu_memory", "import_hook.py")
        found = calls.AcceleratedCalls(_CALLS_FILE)
        found.begin(import_hook.install)
    except Exception as error:  # noqa: BLE001 - the notebook runs without it
        print(f"stepkit: CPU fallback is not counted: {error}", file=sys.stderr)  # noqa: T201
        return None
    return found


def _note_own_signals(stderr: int) -> None:
    """Print a line, and the stacks, before the notebook's code sends this process a fatal signal.

    From outside, such a death looks like one by the OOM killer or an eviction. An audit hook would
    see the same calls, and others that go past these names, but Python then calls it for each
    id() and sys._getframe(), too: copy.deepcopy() takes twice the time.
    """
    kernel = os.getpid()

    def noting(send: Any, aimed: Any, what: str) -> Any:
        @functools.wraps(send)
        def noted(*arguments: Any) -> Any:
            with suppress(Exception):  # the call itself says what is wrong with its arguments
                signum = arguments[-1] if arguments else signal.SIGABRT
                fatal = signal.getsignal(signum) is signal.SIG_DFL
                if fatal and aimed(*arguments):
                    line = f"stepkit: the kernel sends itself signal {int(signum)}: {what}\n"
                    os.write(stderr, line.encode())
                    faulthandler.dump_traceback(file=stderr, all_threads=True)
                    _deliver_outputs()
            return send(*arguments)

        return noted

    def is_kernel(*_: Any) -> bool:  # and not a child that was forked from it
        return os.getpid() == kernel

    def is_group(pgid: int, _: Any) -> bool:
        return (pgid or os.getpgrp()) == kernel

    def is_target(pid: int, signum: Any) -> bool:
        return pid == kernel or (pid <= 0 and is_group(-pid, signum))

    os.kill = noting(os.kill, is_target, "os.kill")
    os.killpg = noting(os.killpg, is_group, "os.killpg")
    os.abort = noting(os.abort, is_kernel, "os.abort")
    signal.raise_signal = noting(signal.raise_signal, is_kernel, "signal.raise_signal")
    signal.pthread_kill = noting(signal.pthread_kill, is_kernel, "signal.pthread_kill")


def _deliver_outputs() -> None:
    """Send what was printed so far, and give the thread of ZeroMQ a moment to pass it on."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):  # a notebook may replace them by anything
            stream.flush()
    time.sleep(_DELIVERY_SECONDS)


def main() -> None:
    """Serve one notebook, until the client ends the kernel."""
    global _CALLS, _GUARD, _RANGES  # noqa: PLW0603 - Jupyter makes the application itself
    stderr = os.dup(2)  # ipykernel captures file descriptor 2
    faulthandler.enable(file=stderr, all_threads=True)
    faulthandler.register(signal.SIGUSR1, file=stderr, all_threads=True)
    _note_own_signals(stderr)
    # Python checks for an interrupt before it enters a system call; an interrupt between the two
    # waits until the call ends. This signal does nothing except to end the call.
    signal.signal(signal.SIGRTMIN + 5, lambda *_: None)
    _GUARD = _install_guard()
    if any(os.environ.get(name) for name in _PROFILERS):
        _RANGES = _load("stepkit_nvtx_ranges", "nvtx_ranges.py").open_ranges()
    _CALLS = _count_calls()
    LosslessKernelApp.launch_instance(kernel_class=Kernel)


if __name__ == "__main__":
    main()
