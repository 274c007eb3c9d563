"""Sample the GPUs and the kernel's processes during a run, in a thread of stepkit's own process.

In the kernel, sampling would wait for the interpreter's lock, and end when the kernel dies. Errors
of sampling are noted in the timeline and never raised: they do not affect the run.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from stepkit.gpu.health import visible_devices
from stepkit.gpu.monitor.nvml_readings import NvmlSession
from stepkit.gpu.monitor.recorder import Recorder
from stepkit.gpu.monitor.timeline import Timeline, Xid
from stepkit.system.process_tree import ProcessTree

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from stepkit.notebook.progress_json import ReadingsJson
    from stepkit.system.nvml import Device

logger = logging.getLogger(__name__)

_ROWS: Final = 16_384  # 55 minutes at five samples a second, 2 MB with one GPU
_SHARE: Final = 0.005  # of a core; where sampling costs more, samples become rarer
_RAREST: Final = 5.0  # seconds between samples at most, whatever they cost
_SLOW_SECONDS: Final = 1.0  # between queries that cost more or whose answers change slowly
_MOST_ERRORS: Final = 50


class Sampler:
    """Samples every ``interval`` seconds from the start of a ``with`` block to its end.

    The driver averages utilisation over 1/6 to 1 s, so more than five samples a second would not
    show more. GPUs that CUDA_VISIBLE_DEVICES hides from the kernel are not sampled, if ``follow``
    is called before the first sample. At most ``rows`` rows are kept, see :class:`Recorder`. At the
    end of the block the thread has ``limit`` seconds to end; if the driver hangs, it stays behind.
    """

    def __init__(self, interval: float = 0.2, *, rows: int = _ROWS, limit: float = 2.0) -> None:
        self._interval = interval
        self._visible: str | None = None
        self._limit = limit
        self._rows = rows
        self._recorder = Recorder(rows)
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._anew = threading.Event()
        self._began_anew = threading.Event()
        self._thread: threading.Thread | None = None
        self._started = time.monotonic()
        self._session: NvmlSession | None = None
        self._tree: ProcessTree | None = None
        self._followed: int | None = None
        self._follows = threading.Event()
        self._slow_at = -_SLOW_SECONDS
        self._xids: list[Xid] = []
        self._errors: list[str] = []
        self._cost = 0.0
        self._values: Mapping[str, float | None] = {}

    def __enter__(self) -> Self:
        """Start the thread; it takes the first sample after ``follow``, or after one interval."""
        self._started = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="stepkit-sampler", daemon=True)
        try:
            self._thread.start()
        except RuntimeError as error:  # the container allows no more threads
            self._thread = None
            self._note(f"the sampler did not start: {error}")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End sampling."""
        self.end()

    def follow(self, pid: int) -> None:
        """Sample CPU time and memory of process ``pid`` and its descendants from now on."""
        with suppress(OSError):  # another user's process
            content = Path(f"/proc/{pid}/environ").read_bytes()
            pairs = (pair.partition(b"=") for pair in content.split(b"\0"))
            environment = {name: os.fsdecode(value) for name, _, value in pairs}
            self._visible = environment.get(b"CUDA_VISIBLE_DEVICES")
        self._followed = pid
        self._follows.set()

    def begin_anew(self) -> None:
        """Forget all samples but one that is taken now: what came before is not the notebook's.

        If the driver does not answer within the ``limit``, the samples so far are kept.
        """
        if self._thread is None:
            return
        self._anew.set()
        self._wake.set()
        self._began_anew.wait(self._limit)
        with self._lock:
            self._anew.clear()

    def end(self) -> None:
        """Take a last sample of everything, then stop; a second call does nothing."""
        self._stop.set()
        self._wake.set()
        self._follows.set()
        if self._thread is None:
            return
        self._thread.join(self._limit)
        if self._thread.is_alive():
            self._note(f"the driver did not answer within {self._limit:g} s of the run's end")

    def timeline(self, started: float | None = None) -> Timeline:
        """Return the samples so far.

        Its seconds count from ``started`` (:func:`time.monotonic`), by default from the sampler's
        start. What changes slowly, such as energy and errors, is complete after :meth:`end`.
        """
        began = self._started if started is None else started
        with self._lock:
            recorder, session = self._recorder, self._session
            return Timeline(
                interval=self._interval,
                seconds=[second - began for second in recorder.seconds()],
                columns=recorder.columns(),
                extents=recorder.extents(),
                devices=session.devices if session else (),
                stride=recorder.stride,
                samples=recorder.samples,
                longest_pause=recorder.longest_pause,
                own_cpu_seconds=self._cost,
                xids=tuple(replace(x, seconds=x.seconds - began) for x in self._xids),
                errors=(*self._errors, *(session.errors if session else ())),
            )

    def latest(self) -> ReadingsJson:
        """Return what the last sample saw of memory and GPUs."""
        with self._lock:
            values, session = self._values, self._session
        return {
            "rss": _whole(values.get("rss")),
            "gpus": [
                {
                    "name": device.name or "",
                    "memory_used": _whole(values.get(f"gpu{number}.memory_used")),
                    "memory_total": device.memory_total,
                    "utilisation": _whole(values.get(f"gpu{number}.utilisation")),
                }
                for number, device in enumerate(session.devices if session else ())
            ],
        }

    def _run(self) -> None:
        self._follows.wait(self._interval)
        try:
            session = NvmlSession(self._is_visible)
            with self._lock:
                self._session = session
        except Exception as error:  # noqa: BLE001 - no error of sampling may end a run
            self._note(f"no GPU can be watched: {error!r}")
        due, cost = time.monotonic(), 0.0
        while not self._stopped(due):
            cost = 0.8 * cost + 0.2 * self._sample()
            due = max(due + self._pause(cost), time.monotonic())
        self._slow_at = -_SLOW_SECONDS
        self._sample()
        if self._tree:
            self._tree.close()
        if self._session:
            self._session.close()

    def _stopped(self, due: float) -> bool:
        """Wait until ``due`` or until a sample is asked for; return whether sampling ends."""
        self._wake.wait(max(due - time.monotonic(), 0))
        self._wake.clear()
        return self._stop.is_set()

    def _pause(self, cost: float) -> float:
        """Return the seconds between samples that cost so many CPU seconds each."""
        return max(self._interval, min(cost / _SHARE, _RAREST))

    def _is_visible(self, device: Device) -> bool:
        """Return whether the kernel may see a GPU, by its CUDA_VISIBLE_DEVICES."""
        if self._visible is None:
            return True
        for entry in visible_devices.named(self._visible)[0]:
            if entry.isdigit():
                names_it = int(entry) == device.index
            elif entry.startswith("MIG-GPU-"):  # names an instance as drivers before 470 did
                names_it = bool(device.mig_mode)
            else:
                names_it = (device.uuid or "").startswith(entry)
            if names_it:
                return True
        return False

    def _sample(self) -> float:
        """Take a sample and return its cost in CPU seconds."""
        before = time.thread_time()
        try:
            self._take()
        except Exception as error:  # noqa: BLE001 - no error of sampling may end a run
            self._note(f"a sample failed: {error!r}")
        after = time.thread_time()
        self._cost = after
        return after - before

    def _take(self) -> None:
        now, anew = time.monotonic(), self._anew.is_set()
        slow = anew or now - self._slow_at >= _SLOW_SECONDS
        values = self._process_values(cpu=slow)
        pids = self._tree.pids if self._tree else ()
        if self._session:
            for number, of_device in enumerate(self._session.read(slow=slow, pids=pids)):
                values |= {f"gpu{number}.{name}": value for name, value in of_device.items()}
        with self._lock:
            if anew and self._anew.is_set():
                self._recorder = Recorder(self._rows)
                self._began_anew.set()
            self._recorder.add(now, values)
            self._values = values
        if slow:
            self._slow_at = now
            for index, number in self._session.xids() if self._session else ():
                logger.warning("GPU %s: the driver reports XID %s", index, number)
                if len(self._xids) < _MOST_ERRORS:
                    self._xids.append(Xid(seconds=now, device=index, number=number))

    def _process_values(self, *, cpu: bool) -> dict[str, float | None]:
        pid, tree = self._followed, self._tree
        if pid is None:
            return {}
        if tree is None or tree.root != pid:
            if tree:
                tree.close()
            tree = self._tree = ProcessTree(pid)
        usage = tree.usage(cpu=cpu)
        return asdict(usage)

    def _note(self, error: str) -> None:
        if error not in self._errors and len(self._errors) < _MOST_ERRORS:
            self._errors.append(error)


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)
