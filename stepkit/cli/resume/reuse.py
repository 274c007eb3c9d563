"""Reuse what a step of an earlier run made, if its proof still holds; otherwise say why not."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from stepkit.cli import konflux_test_output
from stepkit.cli.resume import difference
from stepkit.formats import json_schema, sizes
from stepkit.step import Checks, StepResult
from stepkit.system import atomic_files, scratch

if TYPE_CHECKING:
    from stepkit.cli.resume.proof import Proof

logger = logging.getLogger(__name__)

_SCHEMA: Final = Path(__file__).with_name("reusable_report.schema.json")
_CHUNK: Final = 1 << 20


class NotProvenError(Exception):
    """The step runs again; the message says why."""


def find(name: str, resume: str, report: Path, proof: Proof | None) -> StepResult | None:
    """Return how the step ended in the run ``resume``, and copy its files; None if it must run.

    ``resume`` is the name of the directory of a run beside this one, or a path. Raises
    :class:`~stepkit.errors.StepError` when a file cannot be written.
    """
    began, started = time.monotonic(), datetime.now(UTC).isoformat(timespec="milliseconds")
    try:
        kept, origin = _take(name, resume, report, proof)
    except NotProvenError as why:
        where = Path(resume).name
        logger.info("%s runs again, nothing of %s is reused: %s", name, where, why)
        return None
    assert proof
    outputs = kept["proof"]["outputs"]
    size = sizes.spell(sum(item["size"] for item in outputs))
    logger.info("%s is reused from %s: the same inputs (%s), %d files of %s", name, origin["run"],
                proof.sha256[:12], len(outputs), size)  # fmt: skip
    copied = {str(proof.run / item["path"]): item for item in outputs}
    moved = _moved(kept["outputs"], kept["proof"]["directory"], str(proof.run))
    if isinstance(checks := moved.get(konflux_test_output.NAME), Mapping):
        moved[konflux_test_output.NAME] = Checks(**checks)
    return StepResult(
        step=name,
        status="reused",
        message=f"reused from {origin['run']}: {origin['message']}".removesuffix(": "),
        started=started,
        seconds=round(time.monotonic() - began, 3),
        outputs=moved,
        artifacts=tuple(
            {**copied[path], "path": path}
            for path in dict.fromkeys(v for v in moved.values() if isinstance(v, str))
            if path in copied
        ),
        reused=origin,
        proof=proof.as_json(outputs),
    )


def _take(
    name: str, resume: str, report: Path, proof: Proof | None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Copy the files, and return the earlier report, and the run in which the step ran."""
    if proof is None:
        raise NotProvenError("it has no --report in a directory that prepare-workspace made")
    if proof.unproven:
        raise NotProvenError(proof.unproven)
    earlier = _directory(resume, proof.run)
    kept = _read(earlier / os.path.relpath(os.path.realpath(report), proof.run), name)
    if why := difference.between(kept["proof"]["inputs"], proof.inputs):
        raise NotProvenError(why)
    if kept["proof"]["sha256"] != proof.sha256:
        raise NotProvenError("the digest in its earlier report does not fit its inputs")
    _copy(kept["proof"]["outputs"], earlier, proof.run)
    return kept, kept.get("reused") or _origin(kept, earlier)


def _origin(report: Mapping[str, Any], run: Path) -> dict[str, Any]:
    """Return where a step ran that was not reused itself."""
    kept = {key: report[key] for key in ("status", "message", "started", "seconds")}
    return {"run": run.name, **kept}


def _directory(resume: str, run: Path) -> Path:
    path = Path(os.path.realpath(Path(resume) if "/" in resume else run.parent / resume))
    if not path.is_dir():
        raise NotProvenError(f"there is no directory {path}")
    if path == run:
        raise NotProvenError("it is this run")
    return path


def _read(path: Path, name: str) -> dict[str, Any]:
    """Return the report of a step that succeeded, with a proof."""
    if path.is_symlink() or not path.is_file():
        raise NotProvenError(f"there is no report {path}")
    try:
        report: Any = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise NotProvenError(f"its report {path} cannot be read: {error}") from None
    if not isinstance(report, dict) or report.get("step") != name:
        raise NotProvenError(f"{path} is not a report of {name}")
    if report.get("exit_code") is None:
        raise NotProvenError("it never ended there")
    if report.get("exit_code") != 0:
        raise NotProvenError(f"it {report.get('status')} there")
    if not report.get("proof"):
        raise NotProvenError(f"its report has no proof of its inputs ({report.get('schema')})")
    if why := report["proof"].get("unproven") if isinstance(report["proof"], dict) else "":
        raise NotProvenError(f"nothing is proven of it there: {why}")
    for keys, problem in json_schema.find_problems(report, _SCHEMA):
        place = ".".join(map(str, keys)) or "it"
        raise NotProvenError(f"its report {path} is not whole: {place} {problem}")
    return report


def _copy(outputs: list[dict[str, Any]], earlier: Path, run: Path) -> None:
    """Copy the files once all of them are there as they were."""
    pairs = [(item, earlier / item["path"], run / item["path"]) for item in outputs]
    for item, source, _ in pairs:
        _check(source, item, earlier)
    for item, source, target in pairs:
        with atomic_files.explaining(f"cannot write {target}"):
            atomic_files.check_regular(target)
            target.parent.mkdir(parents=True, exist_ok=True)
            if not Path(os.path.realpath(target)).is_relative_to(run):
                raise NotProvenError(f"{target} leads out of the run")
            with scratch.file(target) as (new, handle):
                with os.fdopen(handle, "wb", closefd=False) as copy:
                    _copy_one(source, copy, item["sha256"])
                new.chmod(source.stat().st_mode & 0o777)
                new.replace(target)


def _check(source: Path, item: Mapping[str, Any], earlier: Path) -> None:
    inside = Path(os.path.realpath(source))
    if Path(item["path"]).is_absolute() or not inside.is_relative_to(earlier):
        raise NotProvenError(f"its output {item['path']} is not in the directory of that run")
    if not source.is_file():
        raise NotProvenError(f"its output {source} is gone")
    try:
        same = source.stat().st_size == item["size"]
        same = same and atomic_files.sha256(source) == item["sha256"]
    except OSError as error:
        raise NotProvenError(f"its output {source} cannot be read: {error.strerror}") from None
    if not same:
        raise NotProvenError(f"its output {source} is not as it was")


def _copy_one(source: Path, target: Any, sha256: str) -> None:
    found = hashlib.sha256()
    with source.open("rb") as file:
        while piece := file.read(_CHUNK):
            found.update(piece)
            target.write(piece)
    target.flush()
    if found.hexdigest() != sha256:
        raise NotProvenError(f"its output {source} changed while it was copied")


def _moved(value: Any, old: str, new: str) -> Any:
    """Return outputs with paths in the directory ``new`` instead of ``old``."""
    if isinstance(value, dict):
        return {key: _moved(item, old, new) for key, item in value.items()}
    if isinstance(value, list):
        return [_moved(item, old, new) for item in value]
    if isinstance(value, str) and (value == old or value.startswith(f"{old}/")):
        return new + value[len(old) :]
    return value
