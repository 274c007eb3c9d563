"""What was wrong with the GPUs while a notebook ran, in sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from stepkit.report import unchecked_values

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepkit.report.run_json_notebook import NotebookJson

# Reasons for lower clocks that belong to a GPU at work: its power limit, or a setting.
_EXPECTED: Final = frozenset({"software power cap", "sync boost", "display clock setting"})


def gpu_warnings(notebook: NotebookJson) -> Iterator[str]:
    """Yield a sentence for each thing that was wrong, without a full stop."""
    measured, guard = notebook["gpu"] or {}, notebook["guard"] or {}
    devices = unchecked_values.objects(measured.get("devices"))
    if guard.get("active") is False and (devices or notebook["gpu"] is None):
        yield "the guard of GPU memory was not active"
    yield from unchecked_values.texts(guard.get("warnings"))
    for device in devices:
        name = f"GPU {device.get('index')}"
        if xids := device.get("xids"):
            yield f"{name}: the driver reports XID {', '.join(map(str, xids))}"
        if count := device.get("ecc_uncorrected"):
            errors = "error" if count == 1 else "errors"
            yield f"{name}: {count} uncorrected memory {errors} during the run"
        if count := device.get("retired"):
            taken = "row or page was" if count == 1 else "rows or pages were"
            yield f"{name}: {count} memory {taken} taken out of use during the run"
        reasons = unchecked_values.texts(device.get("clock_reasons"))
        if slow := [r for r in reasons if r not in _EXPECTED]:
            yield f"{name} was slowed down: {', '.join(slow)}"
    for error in unchecked_values.texts(measured.get("errors")):
        yield f"not all was measured: {error}"
