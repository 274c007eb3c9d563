"""A measurement as a whole, and as the JSON file that keeps it."""

import dataclasses
import json
import os
import platform
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from importlib.util import cache_from_source, find_spec
from pathlib import Path
from typing import Any, Final

from benchmarks import figures
from benchmarks.compare.suite import Sample
from benchmarks.figures import Proof, Result
from benchmarks.process import Usage

SCHEMA: Final = "stepkit.benchmarks/1"


@dataclass(frozen=True, kw_only=True)
class Record:
    """Everything that was measured, where, and what follows from it.

    ``load`` is the machine's load average over one minute, before and after. Of each case, the
    tables need ``what``, the names of its ``runners``, and which of them is ``stock``.
    """

    date: str
    machine: dict[str, str]
    versions: dict[str, str]
    load: list[float]
    cases: dict[str, dict[str, Any]]
    samples: list[Sample]
    skipped: dict[str, str]
    proofs: list[Proof]
    targets: list[Result]

    def write(self, path: Path) -> None:
        """Write the record as JSON."""
        figures.write_json(path, {"schema": SCHEMA, **dataclasses.asdict(self)})


def read(path: Path) -> Record:
    """Read what :meth:`Record.write` wrote.

    Raises :class:`ValueError` when it is something else.
    """
    content = json.loads(path.read_text())
    if not isinstance(content, dict) or content.pop("schema", None) != SCHEMA:
        raise ValueError(f"{path} is not a {SCHEMA}")
    for sample in content["samples"]:
        sample["usage"] = Usage(**sample["usage"])
    content["samples"] = [Sample(**sample) for sample in content["samples"]]
    content["proofs"] = [Proof(**proof) for proof in content["proofs"]]
    content["targets"] = [Result(**result) for result in content["targets"]]
    return Record(**content)


def today() -> str:
    """Return the date in UTC: ``2026-01-31``."""
    return datetime.now(tz=UTC).date().isoformat()


def machine_kind() -> str:
    """Return the kind of this machine: ``linux-x86_64-2cpu``."""
    return f"{platform.system().lower()}-{platform.machine()}-{os.cpu_count()}cpu"


def machine() -> dict[str, str]:
    """Describe the machine's kind, nothing that names it."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    processor = Path("/proc/cpuinfo").read_text().partition("model name")[2].partition(":")[2]
    papermill = find_spec("papermill")
    compiled = papermill and Path(cache_from_source(papermill.origin or "")).exists()
    return {
        "kind": machine_kind(),
        "cores": str(len(os.sched_getaffinity(0))),
        "GiB": f"{memory:.0f}",
        "processor": processor.partition("\n")[0].strip() or platform.machine(),
        "python": platform.python_version(),
        "bytecode": "compiled" if compiled else "missing",
    }


def versions() -> dict[str, str]:
    """Return the versions of what is measured."""
    stock = ("papermill", "nbclient", "nbconvert", "nbformat")
    return {
        name: version(name) for name in ("stepkit", *stock, "ipykernel", "jupyter_client", "pyzmq")
    }
