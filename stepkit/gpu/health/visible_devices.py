"""Which variables of a process's environment decide which GPUs it sees."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# An index, or the beginning of a UUID: CUDA C++ Programming Guide, "CUDA Environment Variables".
_ENTRY: Final = re.compile(r"[0-9]{1,9}|GPU-[0-9a-fA-F-]*|MIG-[0-9a-zA-Z/-]+")

_LEAVE: Final = "unset it, and leave the choice to the platform"


@dataclass(frozen=True, kw_only=True)
class Hidden:
    """What hides the GPU from a process, and what to do about it."""

    what: str
    remedy: str


def named(value: str) -> tuple[list[str], str]:
    """Read CUDA_VISIBLE_DEVICES: the entries that CUDA takes, and the one that it stops at.

    CUDA reads indices, ``GPU-…`` and ``MIG-…`` from the left. From the first invalid entry on, it
    ignores the rest without an error.
    """
    taken: list[str] = []
    for entry in (part.strip() for part in value.split(",")):
        if not _ENTRY.fullmatch(entry):
            return taken, entry
        taken.append(entry)
    return taken, ""


def hidden_by(
    variables: Mapping[str, str], uuids: Sequence[str] = (), *, driver: bool = True
) -> Hidden | None:
    """Return which variable hides the GPU from CUDA, None if none does.

    ``uuids`` are those of the container's cards, as far as NVML listed them. Without a ``driver``,
    a variable counts only if it may have kept the driver out of the container.
    """
    by_cuda = _hidden_by_cuda(variables, uuids) if driver else None
    return by_cuda or _hidden_by_runtime(variables, driver=driver)


def _hidden_by_cuda(variables: Mapping[str, str], uuids: Sequence[str]) -> Hidden | None:
    value = variables.get("CUDA_VISIBLE_DEVICES")
    if value is None:
        return None
    taken, refused = named(value)
    if not taken:
        how = f"begins with {refused!r}" if refused else "is empty"
        return Hidden(what=f"CUDA_VISIBLE_DEVICES {how}, which hides every GPU", remedy=_LEAVE)
    first = taken[0]
    if first.isdigit():
        exists = int(first) < len(uuids)
    else:
        exists = first.startswith("MIG-") or any(uuid.startswith(first) for uuid in uuids)
    if uuids and not exists:
        what = f"CUDA_VISIBLE_DEVICES names {first}, which is not here"
        return Hidden(what=what, remedy=f"{_LEAVE}; here is {', '.join(uuids)}")
    return None


def _hidden_by_runtime(variables: Mapping[str, str], *, driver: bool) -> Hidden | None:
    """NVIDIA's container runtime reads these when it starts the container, not later.

    With "void" or no value it adds nothing. A driver that is there all the same came in by CDI,
    which sets the variable to "void" itself.
    """
    hiding = {"none"} if driver else {"none", "void", ""}
    if variables.get("NVIDIA_VISIBLE_DEVICES") in hiding:
        value = variables["NVIDIA_VISIBLE_DEVICES"] or "empty"
        return Hidden(
            what=f"NVIDIA_VISIBLE_DEVICES is {value}: the container was started without a GPU",
            remedy="ask for one (resources.limits: nvidia.com/gpu: 1; docker run --gpus all), and "
            "do not set the variable",
        )
    asked = variables.get("NVIDIA_DRIVER_CAPABILITIES", "")
    if asked and not {"compute", "all"} & set(re.split(r"[\s,]+", asked)):
        return Hidden(
            what=f"NVIDIA_DRIVER_CAPABILITIES is {asked}, without compute",
            remedy="set it to compute,utility where the container is started",
        )
    return None


def required_cuda(variables: Mapping[str, str]) -> str:
    """Return the CUDA that the image requires of the driver, such as 12.8; empty for none.

    ``NVIDIA_REQUIRE_CUDA`` reads ``cuda>=12.8 brand=tesla,driver>=535,driver<536 …``: the first
    condition, or one of the further ones (older drivers with forward compatibility).
    """
    if variables.get("NVIDIA_DISABLE_REQUIRE"):
        return ""
    found = re.match(r"cuda>=(\d+\.\d+)", variables.get("NVIDIA_REQUIRE_CUDA", ""))
    return found[1] if found else ""
