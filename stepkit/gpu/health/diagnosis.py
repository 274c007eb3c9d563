"""From what the probe told to why the GPU cannot be used."""

from __future__ import annotations

from dataclasses import dataclass
from signal import SIGHUP, SIGINT, SIGKILL, SIGTERM, Signals
from typing import TYPE_CHECKING, Any, Final

from stepkit.errors import ConfigurationError, Reason, ToolError
from stepkit.formats import sizes
from stepkit.gpu.health import remedies
from stepkit.gpu.health.findings import Device, cuda_version
from stepkit.gpu.health.remedies import Cause
from stepkit.gpu.health.visible_devices import Hidden

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from stepkit.gpu.health.probe_runner import Answers

LEAST_CAPABILITY: Final = (7, 0)  # Volta: docs.rapids.ai/install, since RAPIDS 24.02

# By these a process is ended from outside; by others it crashes.
_KILLS: Final = frozenset({SIGHUP, SIGINT, SIGKILL, SIGTERM})

_EVALUE_LENGTH: Final = 200  # characters of an exception's text that a message shows


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """A cause, and what it looks like here."""

    cause: Cause
    detail: str = ""
    hidden: Hidden | None = None  # it has a better remedy

    @property
    def text(self) -> str:
        """What it is, and what it looks like here."""
        detail = self.hidden.what if self.hidden else self.detail
        return f"{self.cause.what} ({detail})" if detail else self.cause.what

    @property
    def remedy(self) -> str:
        """What to do about it."""
        return self.hidden.remedy if self.hidden else self.cause.remedy

    @property
    def line(self) -> str:
        """The whole of it with its remedy."""
        return f"{self.text}: {self.remedy}"


def devices(answers: Answers) -> tuple[Device, ...]:
    """Return the devices that the driver shows; free memory that NVML knows, or a context."""
    driver, nvml = answers.of("driver"), answers.of("nvml")
    cards = {card["uuid"]: card for card in nvml.get("devices", ()) if card["uuid"]}
    sliced = any(card["mig"] for card in cards.values())
    return tuple(
        _device(told, cards.get(f"GPU-{told['uuid']}"), driver, nvml, sliced=sliced)
        for told in driver.get("devices", ())
    )


def trouble(
    answers: Answers,
    *,
    min_memory: int | None = None,
    nodes: Sequence[str] = (),
    hidden: Hidden | None = None,
) -> Trouble | None:
    """Return why the GPU cannot be used, None if it can, or if the probe was stopped.

    ``nodes`` are the device files of GPUs in the container; ``hidden`` is what in the
    environment may hide them.
    """
    if answers.stopped:
        return None
    found = _of_driver(answers, nodes, hidden)
    if found is None:
        found = _of_process(answers) or _of_libraries(answers)
    return found or _of_device(devices(answers), min_memory)


def _device(
    told: Mapping[str, Any],
    card: Mapping[str, Any] | None,
    driver: Mapping[str, Any],
    nvml: Mapping[str, Any],
    *,
    sliced: bool,
) -> Device:
    mig = sliced and card is None
    free = driver.get("free") if told["index"] == 0 else (card or {}).get("free")
    return Device(
        index=told["index"],
        name=told["name"],
        uuid=f"{'MIG' if mig else 'GPU'}-{told['uuid']}",
        memory_total=told["total"],
        memory_free=free,
        compute_capability=f"{told['major']}.{told['minor']}",
        driver=nvml.get("driver") or "",
        cuda=cuda_version(driver.get("version")),
        mig=mig if nvml.get("devices") else None,
    )


def _of_driver(answers: Answers, nodes: Sequence[str], hidden: Hidden | None) -> Trouble | None:
    driver = answers.of("driver")
    if "missing" in driver:
        if "No such file" in driver["missing"]:
            return Trouble(cause=remedies.NO_DRIVER, hidden=hidden)
        return Trouble(cause=remedies.NO_DRIVER, detail=driver["missing"])
    if "code" in driver:
        return _of_code(driver, answers.of("nvml").get("text", ""), nodes, hidden)
    return None


def _of_code(
    driver: Mapping[str, Any], nvml: str, nodes: Sequence[str], hidden: Hidden | None
) -> Trouble:
    where = f"error {driver['code']} of {driver['call']}"
    cause = remedies.of_code(driver["code"], driver_version=driver["version"]) or remedies.UNKNOWN
    vague = cause in {remedies.NO_DEVICE, remedies.UNKNOWN, remedies.NOT_INITIALIZED}
    if vague and (plainer := remedies.find("NVMLError", nvml)):
        return Trouble(cause=plainer, detail=f"{where}; NVML: {nvml}")
    if cause is not remedies.NO_DEVICE:
        return Trouble(cause=_when_nothing_runs(cause), detail=where)
    if nodes and not hidden:
        return Trouble(cause=remedies.DEVICE_LOST, detail=f"{', '.join(nodes)} cannot be used")
    return Trouble(cause=cause, hidden=hidden)


def insist_on_python(python: str, answers: Answers) -> None:
    """Refuse a Python that ended before it told of itself, unless it was stopped.

    Raises :class:`ConfigurationError` for one that crashed, and :class:`ToolError` for one that
    hung or was killed: the GPU is not at fault.
    """
    if answers.of("python") or answers.stopped:
        return
    found = _of_process(answers)
    if not found or answers.timed_out:
        text = f"{python} did not begin to check anything within {answers.seconds:.0f} s"
        raise ToolError(text, reason=Reason.TIMEOUT)
    text = f"{python} cannot check anything: it ended ({found.detail})"
    if found.cause is remedies.PROBE_KILLED:
        raise ToolError(text)
    raise ConfigurationError(text)


def _of_process(answers: Answers) -> Trouble | None:
    where = f"in {answers.began}"
    if answers.timed_out:
        return Trouble(cause=remedies.PROBE_HUNG, detail=f"{where}, for {answers.seconds:.0f} s")
    if answers.code < 0:
        killed = -answers.code in _KILLS
        cause = remedies.PROBE_KILLED if killed else remedies.PROBE_CRASHED
        return Trouble(cause=cause, detail=f"{where}, by {_signal(-answers.code)}")
    if answers.code or not answers.ended:
        how = answers.said or f"without a word, exit code {answers.code}"
        return Trouble(cause=remedies.PROBE_CRASHED, detail=f"{where}: {how}")
    return None


def _signal(number: int) -> str:
    try:
        return Signals(number).name
    except ValueError:  # most real-time signals have no name
        return f"signal {number}"


def _of_libraries(answers: Answers) -> Trouble | None:
    version = answers.of("driver").get("version")
    for library in ("cupy", "rmm"):
        told = answers.of(library)
        if "error" not in told:
            continue
        ename, evalue = told["error"]
        cause = remedies.find(ename, evalue, driver_version=version)
        if cause is None and told["call"] == "kernel":
            continue  # a compiler is missing: not the GPU's fault, and not every notebook needs it
        text = f"{library}: {ename}: {' '.join(evalue.split())[:_EVALUE_LENGTH]}"
        return Trouble(cause=_when_nothing_runs(cause or remedies.PACKAGE_BROKEN), detail=text)
    return None


def _when_nothing_runs(cause: Cause) -> Cause:
    """Before the notebook begins, memory that is used up is somebody else's."""
    return remedies.MEMORY_TAKEN if cause is remedies.OUT_OF_MEMORY else cause


def _of_device(found: Sequence[Device], min_memory: int | None) -> Trouble | None:
    if not found:
        return None
    first = found[0]  # the one that RMM and CuPy use unless they are told otherwise
    capability = tuple(int(part) for part in first.compute_capability.split("."))
    if capability < LEAST_CAPABILITY:
        detail = f"{first.name} has {first.compute_capability}"
        return Trouble(cause=remedies.GPU_TOO_OLD, detail=detail)
    if min_memory is None or first.memory_free is None or first.memory_free >= min_memory:
        return None
    has, free = sizes.spell(first.memory_total), sizes.spell(first.memory_free)
    detail = f"{free} of {has} are free, {sizes.spell(min_memory)} are asked for"
    small = first.memory_total < min_memory
    return Trouble(cause=remedies.TOO_SMALL if small else remedies.MEMORY_TAKEN, detail=detail)
