"""Why the GPU cannot be used, as the probe's answers show it."""

from __future__ import annotations

from dataclasses import dataclass
from signal import SIGHUP, SIGINT, SIGKILL, SIGTERM, Signals
from typing import TYPE_CHECKING, Any, Final

from stepkit.errors import ConfigurationError, Reason, ToolError
from stepkit.formats import sizes
from stepkit.gpu.health import remedies
from stepkit.gpu.health.findings import Device, cuda_version
from stepkit.gpu.health.remedies import Cause
from stepkit.gpu.health.visible_devices import Hidden, hidden_by

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from stepkit.gpu.health.run_probe import Answers

LEAST_CAPABILITY: Final = (7, 0)  # Volta: docs.rapids.ai/install, since RAPIDS 24.02

# These signals come from outside; any other one means a crash.
_KILLS: Final = frozenset({SIGHUP, SIGINT, SIGKILL, SIGTERM})

_EVALUE_LENGTH: Final = 200  # characters of an exception's text that a message shows


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """A cause, and how it shows here."""

    cause: Cause
    detail: str = ""
    hidden: Hidden | None = None  # its text and remedy are more precise than the cause's

    @property
    def text(self) -> str:
        """What the cause is, and how it shows here."""
        detail = self.hidden.what if self.hidden else self.detail
        return f"{self.cause.what} ({detail})" if detail else self.cause.what

    @property
    def remedy(self) -> str:
        """What to do about the cause."""
        return self.hidden.remedy if self.hidden else self.cause.remedy

    @property
    def line(self) -> str:
        """The cause with its remedy, in one line."""
        return f"{self.text}: {self.remedy}"


def devices(answers: Answers) -> tuple[Device, ...]:
    """Return the devices that the driver shows; NVML or a context knows their free memory."""
    driver, nvml = answers.of("driver"), answers.of("nvml")
    cards = {card["uuid"]: card for card in nvml.get("devices", ()) if card["uuid"]}
    sliced = any(card["mig"] for card in cards.values())
    found = []
    for device in driver.get("devices", ()):
        card = cards.get(f"GPU-{device['uuid']}")
        mig = sliced and card is None
        free = driver.get("free") if device["index"] == 0 else (card or {}).get("free")
        found.append(
            Device(
                index=device["index"],
                name=device["name"],
                uuid=f"{'MIG' if mig else 'GPU'}-{device['uuid']}",
                memory_total=device["total"],
                memory_free=free,
                compute_capability=f"{device['major']}.{device['minor']}",
                driver=nvml.get("driver") or "",
                cuda=cuda_version(driver.get("version")),
                mig=mig if nvml.get("devices") else None,
            )
        )
    return tuple(found)


def trouble(
    answers: Answers,
    *,
    min_memory: int | None = None,
    nodes: Sequence[str] = (),
) -> Trouble | None:
    """Return why the GPU cannot be used, None if it can, or if the probe was stopped.

    ``nodes`` are the device files of GPUs in the container.
    """
    if answers.stopped:
        return None
    return (
        _driver_trouble(answers, nodes)
        or _process_trouble(answers)
        or _library_trouble(answers)
        or _device_trouble(devices(answers), min_memory)
    )


def _driver_trouble(answers: Answers, nodes: Sequence[str]) -> Trouble | None:
    driver, nvml = answers.of("driver"), answers.of("nvml")
    hidden = hidden_by(
        answers.of("python").get("variables", {}),
        [card["uuid"] for card in nvml.get("devices", ()) if card["uuid"]],
        driver="missing" not in driver,
    )
    if "missing" in driver:
        absent = "No such file" in driver["missing"]  # otherwise it is there but cannot be loaded
        detail = "" if absent else driver["missing"]
        return Trouble(cause=remedies.NO_DRIVER, detail=detail, hidden=hidden if absent else None)
    if "code" not in driver:
        return None
    where = f"error {driver['code']} of {driver['call']}"
    cause = remedies.of_code(driver["code"], driver_version=driver["version"]) or remedies.UNKNOWN
    vague = cause in {remedies.NO_DEVICE, remedies.UNKNOWN, remedies.NOT_INITIALIZED}
    said = nvml.get("text", "")
    if vague and (plainer := remedies.find("NVMLError", said)):
        return Trouble(cause=plainer, detail=f"{where}; NVML: {said}")
    if cause is not remedies.NO_DEVICE:
        return Trouble(cause=_before_the_notebook(cause), detail=where)
    return Trouble(cause=cause, hidden=hidden) if hidden else _unseen(nvml.get("devices"), nodes)


def _unseen(cards: Sequence[Mapping[str, Any]] | None, nodes: Sequence[str]) -> Trouble:
    """Return why CUDA sees no device where nothing hides one; ``cards`` are those of NVML."""
    if cards and all(card["mig"] for card in cards):
        return Trouble(cause=remedies.MIG_WITHOUT_INSTANCE)
    if nodes:
        return Trouble(cause=remedies.DEVICE_LOST, detail=f"{', '.join(nodes)} cannot be used")
    return Trouble(cause=remedies.NO_DEVICE)


def require_python(python: str, answers: Answers) -> None:
    """Refuse a Python that ended before it described itself, unless it was stopped.

    Raises :class:`ConfigurationError` for one that crashed, and :class:`ToolError` for one that
    hung or was killed: the GPU is not at fault.
    """
    if answers.of("python") or answers.stopped:
        return
    found = _process_trouble(answers)
    if not found or answers.timed_out:
        text = f"{python} did not begin to check anything within {answers.seconds:.0f} s"
        raise ToolError(text, reason=Reason.TIMEOUT)
    text = f"{python} cannot check anything: it ended ({found.detail})"
    if found.cause is remedies.PROBE_KILLED:
        raise ToolError(text)
    raise ConfigurationError(text)


def _process_trouble(answers: Answers) -> Trouble | None:
    where = f"in {answers.began}"
    if answers.timed_out:
        return Trouble(cause=remedies.PROBE_HUNG, detail=f"{where}, for {answers.seconds:.0f} s")
    if answers.code < 0:
        signum = -answers.code
        killed = signum in _KILLS
        cause = remedies.PROBE_KILLED if killed else remedies.PROBE_CRASHED
        # Most real-time signals have no name.
        name = Signals(signum).name if signum in set(Signals) else f"signal {signum}"
        return Trouble(cause=cause, detail=f"{where}, by {name}")
    if answers.code or not answers.ended:
        how = answers.last_line or f"without a word, exit code {answers.code}"
        return Trouble(cause=remedies.PROBE_CRASHED, detail=f"{where}: {how}")
    return None


def _library_trouble(answers: Answers) -> Trouble | None:
    version = answers.of("driver").get("version")
    for library in ("cupy", "rmm"):
        answer = answers.of(library)
        if "error" not in answer:
            continue
        ename, evalue = answer["error"]
        cause = remedies.find(ename, evalue, driver_version=version)
        if cause is None and answer["call"] == "kernel":
            continue  # a compiler is missing: not the GPU's fault, and not every notebook needs it
        text = f"{library}: {ename}: {' '.join(evalue.split())[:_EVALUE_LENGTH]}"
        return Trouble(cause=_before_the_notebook(cause or remedies.PACKAGE_BROKEN), detail=text)
    return None


def _before_the_notebook(cause: Cause) -> Cause:
    """Return the cause as it is before the notebook runs: another process took the memory."""
    return remedies.MEMORY_TAKEN if cause is remedies.OUT_OF_MEMORY else cause


def _device_trouble(found: Sequence[Device], min_memory: int | None) -> Trouble | None:
    if not found:
        return None
    first = found[0]  # the one that RMM and CuPy use by default
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
