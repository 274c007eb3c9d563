"""What the outcome of a step depends on, and what it made: the ``proof`` in its report.

``inputs`` are the command, its options, the versions and packages, and the contents of what it
reads, all from before it began. Paths begin with ``{run}`` where they are in the directory of the
run, so that they are the same in two runs. ``sha256`` is a digest over them, ``outputs`` are the
files that it made, by their paths in that directory, and ``unproven`` says why another run cannot
reuse it, if so.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import stepkit
from stepkit.cli import step_report, tekton_results
from stepkit.cli.resume import packages
from stepkit.options import READS, WRITES, declared, marked
from stepkit.step import Resumable, kebab
from stepkit.system import atomic_files, directory_contents
from stepkit.system.directory_contents import File, TooMuchError
from stepkit.workspace import run_marker

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from _typeshed import DataclassInstance

    from stepkit.step import Step, StepResult

RUN: Final = "{run}"
MOST_OUTPUTS: Final = 10_000
MOST_WRITTEN: Final = 8 << 30  # bytes that a step writes where it reads
_LONGEST_HEAD: Final = 1000  # characters


@dataclass
class Proof:
    """What is known before a step begins; ``run`` is the real path of the run's directory."""

    run: Path
    resumable: Resumable
    options: Any
    inputs: dict[str, Any] = field(default_factory=dict)
    before: dict[Path, dict[str, File]] = field(default_factory=dict)
    unproven: str = ""

    @property
    def sha256(self) -> str:
        """The digest over the inputs."""
        return digest(self.inputs)

    def as_json(self, outputs: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """Return what the report keeps."""
        return {
            "directory": str(self.run),
            "inputs": self.inputs,
            "sha256": self.sha256,
            "outputs": list(outputs),
            "unproven": self.unproven,
        }


def digest(inputs: Any) -> str:
    """Return the SHA-256 of a JSON value."""
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()


def run_directory(report: Path) -> Path | None:
    """Return the real path of the directory of the run that ``report`` belongs to."""
    path = Path(os.path.realpath(report))
    return next((above for above in path.parents if run_marker.read(above)), None)


def begin(
    name: str, step: Step, options: DataclassInstance, report: Path | None, secrets: Iterable[str]
) -> Proof | None:
    """Read what the step reads; None for one that is not resumable, or has no run's directory."""
    resumable: Resumable | None = getattr(step.Outputs, "resumable", None)
    run = run_directory(report) if resumable and report else None
    if resumable is None or run is None:
        return None
    found = Proof(run, resumable, options)
    try:
        _check_options(resumable, options)
        inputs = {
            "command": name,
            "stepkit": stepkit.__version__,
            "packages": packages.of_machine(),
            "options": _options(options, run),
            "files": dict(_files(options, run)),
            "directories": dict(_directories(found)),
            "environments": {
                _spelled(path, run): packages.of_environment(path)
                for path in resumable.environments(options)
            },
        }
    except (OSError, ValueError, TooMuchError) as problem:
        found.unproven = str(problem)
        return found
    found.inputs = step_report.masked(tekton_results.jsonable(inputs), tuple(secrets))
    return found


def end(proof: Proof, result: StepResult, report: Path) -> dict[str, Any] | None:
    """Return the proof of a step that has ended; None of one that failed: it runs again."""
    if result.exit_code != 0:
        return None
    outputs: list[dict[str, Any]] = []
    if not proof.unproven:
        try:
            known = {a["path"]: (a["size"], a["sha256"]) for a in result.artifacts}
            outputs = [_output(path, proof.run, known) for path in _written(proof, result, report)]
        except (OSError, ValueError, TooMuchError) as problem:
            proof.unproven = str(problem)
    return proof.as_json(outputs)


def _check_options(resumable: Resumable, options: DataclassInstance) -> None:
    for name in resumable.except_with:
        if getattr(options, name.replace("-", "_")) is True:
            raise ValueError(f"with --{name} it always runs")


def _options(options: DataclassInstance, run: Path) -> dict[str, Any]:
    return {
        kebab(option.field.name): _portable(getattr(options, option.field.name), run)
        for option in declared(type(options))
        if not option.secret
    }


def _portable(value: Any, run: Path) -> Any:
    """Return a value of an option without the name of the run's directory."""
    if isinstance(value, tuple | list):
        return [_portable(item, run) for item in value]
    if isinstance(value, Path):
        return _spelled(value, run)
    inside = isinstance(value, str) and value.startswith(f"{run}/")
    return _spelled(Path(value), run) if inside else value


def _spelled(path: Path, run: Path) -> str:
    """Spell a path from the run's directory on, or from the one above; as it is outside of both."""
    real = Path(os.path.realpath(path))
    if real == run or real.is_relative_to(run):
        return f"{RUN}/{real.relative_to(run)}"
    if real.is_relative_to(run.parent):
        return f"{RUN}/../{real.relative_to(run.parent)}"
    return str(real)


def _files(options: DataclassInstance, run: Path) -> Iterator[tuple[str, str]]:
    for flag, path in marked(options, READS):
        if not path.is_file():
            raise ValueError(f"{flag} {path} is not a file")
        yield f"{flag} {_spelled(path, run)}", atomic_files.sha256(path)


def _directories(proof: Proof) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the contents of each directory that the step reads, of a checkout the whole."""
    suffixes = proof.resumable.suffixes
    for named in proof.resumable.directories(proof.options):
        path = Path(os.path.realpath(named))
        if not path.is_relative_to(proof.run):
            raise ValueError(f"it reads {named}, which is not in the directory of the run")
        path = path if suffixes else _checkout(path, proof.run)
        contents = directory_contents.read(path, suffixes=suffixes)
        proof.before[path] = contents
        yield (
            _spelled(path, proof.run),
            {
                "commit": _commit(path),
                "files": len(contents),
                "sha256": directory_contents.digest(contents),
            },
        )


def _checkout(path: Path, run: Path) -> Path:
    inside = [above for above in (path, *path.parents) if above.is_relative_to(run)]
    return next((above for above in inside if (above / ".git").exists()), path)


def _commit(checkout: Path) -> str:
    """Return what HEAD says, of a checkout by git-clone the commit; "" outside of a checkout."""
    head = checkout / ".git/HEAD"
    return head.read_text(errors="replace").strip()[:_LONGEST_HEAD] if head.is_file() else ""


def _written(proof: Proof, result: StepResult, report: Path) -> Iterator[Path]:
    """Yield each file that the step made, once."""
    found = [Path(text) for text in _texts(tekton_results.jsonable(result.outputs))]
    found += [path for _, path in marked(proof.options, WRITES)]
    found += proof.resumable.beside(result.outputs)
    if proof.resumable.keeps_changes:
        found += [path for directory in proof.before for path in _changed(proof, directory)]
    left_out = {os.path.realpath(report)}
    for path in found:
        real = os.path.realpath(path)
        inside = Path(real).is_relative_to(proof.run)
        if real not in left_out and inside and os.path.isfile(real):  # noqa: PTH113 - never raises
            left_out.add(real)
            yield Path(real)
        if len(left_out) > MOST_OUTPUTS:
            raise ValueError(f"it made more than {MOST_OUTPUTS} files")


def _texts(value: Any) -> Iterator[str]:
    """Yield the absolute paths among the outputs."""
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item)
    elif isinstance(value, str) and value.startswith("/") and "\n" not in value:
        yield value


def _changed(proof: Proof, directory: Path) -> Iterator[Path]:
    """Yield the files that the step wrote in a directory that it reads."""
    before = proof.before[directory]
    after = directory_contents.read(directory, before=before, most=MOST_WRITTEN)
    if gone := next((name for name in before if name not in after), None):
        raise ValueError(f"it removed {directory / gone}")
    for name, file in after.items():
        if name not in before or before[name] != file:
            if file.what.startswith("link"):
                raise ValueError(f"it made the link {directory / name}")
            yield directory / name


def _output(path: Path, run: Path, known: dict[str, tuple[int, str]]) -> dict[str, Any]:
    size, sha256 = known.get(str(path)) or (path.stat().st_size, atomic_files.sha256(path))
    return {"path": str(path.relative_to(run)), "size": size, "sha256": sha256}
