"""GPUs as their driver's management library (NVML) sees them: no CUDA in this process."""

from __future__ import annotations

from contextlib import suppress


def memory() -> tuple[int, int] | None:
    """Return bytes used and bytes in all, over all GPUs; None without a GPU or a driver."""
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return None
    try:
        count = pynvml.nvmlDeviceGetCount()
        handles = [pynvml.nvmlDeviceGetHandleByIndex(number) for number in range(count)]
        infos = [pynvml.nvmlDeviceGetMemoryInfo(handle) for handle in handles]
    except pynvml.NVMLError:  # a MIG slice may not say
        return None
    finally:
        with suppress(pynvml.NVMLError):
            pynvml.nvmlShutdown()
    if not infos:
        return None
    return sum(int(info.used) for info in infos), sum(int(info.total) for info in infos)
