"""Prove the GPU side of stepkit on one NVIDIA GPU: ``python -m benchmarks.gpu_verify``.

Each check runs in separate processes with a limit: one that hangs or crashes costs that check
alone. The record is written anew after each check. None takes more than 10 GiB of the GPU's memory
or 3 GiB of the host's. Ends with 0 when everything holds, with 1 when a check fails or could not be
judged, and with 3 without a GPU.
"""

import argparse
import fnmatch
import platform
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.compare import record
from benchmarks.figures import new_file, positive_seconds, show_progress, write_json
from benchmarks.gpu import faults, worker
from benchmarks.gpu_verify import checks, judging
from benchmarks.gpu_verify.checks import Check
from benchmarks.gpu_verify.judging import HOLDS, NOT_JUDGED, Answer

SCHEMA: Final = "stepkit.gpu-verify/1"
EXIT_NOT_PROVEN: Final = 1
EXIT_NO_GPU: Final = 3

_PROBE_SECONDS: Final = 60.0
_LEAST_SECONDS: Final = 5.0  # no check is shorter: with less time left, it is not begun


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the checks, print and write what they found; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu_verify", description=__doc__)
    add = parser.add_argument
    add("--deadline", type=positive_seconds, default=420.0, help="seconds in all (default 420)")
    add("--out", type=new_file, metavar="FILE", default=Path("gpu-verify.json"))
    add("--only", metavar="PATTERN", default="*", help="checks by name, such as 'notebook*'")
    add("--list", action="store_true", help="say what each check proves, and run none")
    options = parser.parse_args(arguments)
    until = time.monotonic() + options.deadline
    with tempfile.TemporaryDirectory(prefix="stepkit-gpu-verify-") as directory:
        chosen = [
            check
            for check in checks.checks(Path(directory))
            if fnmatch.fnmatchcase(check.name, options.only)
        ]
        if not chosen:
            parser.error(f"argument --only: no check is named {options.only!r}; see --list")
        if options.list:
            print(
                *(f"{check.name}: {check.wanted}\n    {check.proves}" for check in chosen), sep="\n"
            )
            return 0
        return _verify(chosen, out=options.out, until=until, deadline=options.deadline)


def _verify(chosen: Sequence[Check], *, out: Path, until: float, deadline: float) -> int:
    probe = worker.call("probe", limit=min(_PROBE_SECONDS, deadline))
    rows = [_row(check, Answer(NOT_JUDGED, "the run ended before it"), 0.0) for check in chosen]
    found: dict[str, Any] = {
        "schema": SCHEMA,
        "date": record.today(),
        "machine": {"kind": record.machine_kind(), "python": platform.python_version()},
        "deadline": deadline,
        "why_not": faults.find_obstacle(probe),
        "probe": probe,
        "checks": rows,
    }
    write_json(out, found)
    if found["why_not"]:
        print(f"no GPU: {found['why_not']}\nnothing is proven; wrote {out}")
        return EXIT_NO_GPU
    for number, check in enumerate(chosen):
        began = time.monotonic()
        facts, answer = _ask(check, left=until - began)
        rows[number] = _row(check, answer, time.monotonic() - began) | {"facts": facts}
        write_json(out, found)  # a machine may be taken back at any moment
        show_progress(f"{number + 1}/{len(chosen)} {check.name}: {answer.verdict}")
    print(*_lines(found), sep="\n")
    print(f"wrote {out}")
    return 0 if all(row["verdict"] == HOLDS for row in rows) else EXIT_NOT_PROVEN


def _ask(check: Check, *, left: float) -> tuple[judging.Findings, Answer]:
    """Run a check and judge it; whatever goes wrong costs this check alone."""
    facts: judging.Findings = {}
    if left < _LEAST_SECONDS:
        return facts, Answer(NOT_JUDGED, "the deadline came first")
    try:
        facts = check.run(min(check.limit, left))
        return facts, check.judge(facts)
    except Exception as error:  # noqa: BLE001 - answers of another shape than expected
        return facts, Answer(NOT_JUDGED, f"{type(error).__name__}: {error}"[:300])


def _row(check: Check, answer: Answer, seconds: float) -> dict[str, Any]:
    return {
        "name": check.name,
        "proves": check.proves,
        "wanted": check.wanted,
        "limit": check.limit,
        "verdict": answer.verdict,
        "measured": answer.measured,
        "seconds": round(seconds, 1),
    }


def _lines(found: dict[str, Any]) -> Iterator[str]:
    device = found["probe"]["device"]["value"]
    yield f"{found['date']}  {device['name']}, {device['bytes_total'] / 2**30:.0f} GiB"
    for row in found["checks"]:
        yield f"{row['verdict']:10}  {row['seconds']:5.1f} s  {row['name']}: {row['measured']}"
        yield f"{'':21}{row['proves']} Wanted: {row['wanted']}."
    held = sum(row["verdict"] == HOLDS for row in found["checks"])
    yield f"{held} of {len(found['checks'])} hold"


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # ends the worker, too
    sys.exit(main())
