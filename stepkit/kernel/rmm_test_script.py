"""Set RMM up as notebooks do, take memory through CuPy's allocator, and print how each step went.

stepkit.gpu.health.rmm_test runs this script in a separate process, by the kernel's own Python, as
probe_script.py is run: `rmm_test_script.py BYTES`.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from typing import Any

# As in launcher.py: modules beside this file must not hide those that are imported here.
if sys.path[0] == os.path.dirname(os.path.abspath(__file__)):  # noqa: PTH100, PTH120 - starts at once
    del sys.path[0]

MARK = "stepkit-probe "
UNIT = 256  # bytes, of the sizes of RMM's pools
MARGIN = 1 << 20  # bytes of the pool beside the array, for what CuPy takes itself
FILL = 7  # the value of each byte of the array


class RmmTest:
    """The steps, in their order: each one needs what the one before has left."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.cupy: Any = None
        self.rmm: Any = None
        self.pool_memory: Any = None
        self.array: Any = None

    def packages(self) -> None:
        """Import CuPy, RMM and the allocator that connects them."""
        self.cupy, self.rmm = importlib.import_module("cupy"), importlib.import_module("rmm")
        self.allocator = importlib.import_module("rmm.allocators.cupy").rmm_cupy_allocator

    def reinitialize(self) -> None:
        """Set RMM up as the first cell of single-cell notebooks does."""
        self.rmm.reinitialize(managed_memory=False, pool_allocator=False, devices=0)
        self.cupy.cuda.set_allocator(self.allocator)

    def pool(self) -> None:
        """Make a pool of the size, and count what it hands out."""
        size = (self.size + MARGIN + UNIT - 1) // UNIT * UNIT
        self.rmm.reinitialize(pool_allocator=True, initial_pool_size=size, devices=0)
        mr = self.rmm.mr
        self.pool_memory = mr.StatisticsResourceAdaptor(mr.get_per_device_resource(0))
        mr.set_per_device_resource(0, self.pool_memory)

    def allocation(self) -> None:
        """Take the size as an array of CuPy, write to it and read it: no kernel is compiled."""
        self.array = self.cupy.empty(self.size, dtype=self.cupy.uint8)
        self.array.data.memset(FILL, self.size)
        found = int(self.array[-1:].get()[0])
        if found != FILL:
            raise RuntimeError(f"the last byte of the array is {found}, and {FILL} was written")
        if self.counted("peak_bytes") < self.size:
            raise RuntimeError("CuPy did not take the array's memory from RMM")

    def release(self) -> None:
        """Give the array back to the pool, and the pool back to the GPU."""
        self.array = None
        left = self.counted("current_bytes")
        if left:
            raise RuntimeError(f"the pool still counts {left} bytes of an array that is gone")
        self.rmm.reinitialize(managed_memory=False, pool_allocator=False, devices=0)

    def counted(self, name: str) -> int:
        """Return a count of RMM's statistics; releases before 24.12 return a mapping of them."""
        counts = self.pool_memory.allocation_counts
        return int(counts[name] if isinstance(counts, dict) else getattr(counts, name))


STEPS = ("packages", "reinitialize", "pool", "allocation", "release")


def main() -> None:
    """Print a line before and after each step, up to the first that raises."""
    test = RmmTest(int(sys.argv[1]))
    for step in STEPS:
        write("begin", next=step)
        began = time.monotonic()
        try:
            getattr(test, step)()
        except Exception as error:  # noqa: BLE001 - each one is a finding
            write(step, error=[type(error).__name__, str(error)])
            break
        write(step, seconds=round(time.monotonic() - began, 3))
    write("end")
    sys.stdout.flush()
    os._exit(0)  # destroying contexts and pools in the wrong order may crash


def write(stage: str, **facts: Any) -> None:
    """Print the facts of one stage on a new line: a library may have printed half a line."""
    sys.stdout.write("\n" + MARK + json.dumps({"stage": stage, **facts}) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
