"""How far a notebook is that runs: the shape of NAME.progress.json; find it and read it."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypedDict, cast

from stepkit.errors import ConfigurationError, Reason
from stepkit.formats import json_schema
from stepkit.system import atomic_files, process_identity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepkit.system.process_identity import ProcessJson

SCHEMA: Final = "stepkit.progress/1"
SUFFIX: Final = ".progress.json"

_FAMILY: Final = SCHEMA.partition("/")[0]
_BEGINS: Final = f'{{"schema": "{_FAMILY}/'.encode()  # as it is written
_SCHEMA_FILE: Final = Path(__file__).with_name("progress.schema.json")


class DeviceNowJson(TypedDict):
    """A GPU in the last sample; memory in bytes, utilisation in percent, None if unknown."""

    name: str
    memory_used: int | None
    memory_total: int | None
    utilisation: int | None


class ReadingsJson(TypedDict):
    """What the last sample saw: memory of the kernel's processes in bytes, and the GPUs."""

    rss: int | None
    gpus: list[DeviceNowJson]


class RunningCellJson(TypedDict):
    """The cell that runs, since ``began``, which counts from ``started``, for ``seconds``."""

    name: str
    number: int
    title: str
    began: float
    seconds: float


class EndedCellJson(TypedDict):
    """A cell that ended: how, when it began in seconds from ``started``, how long it took."""

    number: int
    title: str
    status: str
    began: float
    seconds: float


class EndingJson(TypedDict):
    """How the run ended, as its report says it."""

    status: str
    reason: str
    exit_code: int
    message: str


class ProgressJson(TypedDict):
    """The whole file; ``seconds`` is from ``started`` to ``written``.

    ``cells_total`` are the cells that run, the injected ones included. ``cell`` is None between
    two cells, and ``ending`` until the run has ended. ``lines`` were printed last.
    """

    schema: str
    notebook: str
    output: str
    process: ProcessJson
    started: str
    written: str
    seconds: float
    attempt: int
    cells_total: int
    memory_limit: int | None
    rss: int | None
    gpus: list[DeviceNowJson]
    lines: list[str]
    cell: RunningCellJson | None
    ending: EndingJson | None
    cells: list[EndedCellJson]


def beside(output: Path) -> Path:
    """Return the path of the file that tells of the notebook which is written to ``output``."""
    return output.with_suffix(SUFFIX)


def is_progress(path: Path) -> bool:
    """Return whether stepkit wrote a file to tell of a run, and not a user one of that name."""
    if not path.name.endswith(SUFFIX):
        return False
    try:
        with path.open("rb") as file:
            return file.read(len(_BEGINS)) == _BEGINS
    except OSError:
        return False


def find(run: Path) -> Path:
    """Return the file that tells of ``run``: itself, its notebook's, or one in a directory.

    Of several in a directory, that of a notebook that runs, and then of the one that began last.
    Raises :class:`ConfigurationError` when there is none.
    """
    if not run.is_dir():
        path = beside(run) if run.suffix == ".ipynb" else run
        if path.exists():
            return path
        raise ConfigurationError(
            f"there is no {path}: execute-notebook writes it while it runs; name it, its "
            "directory or the executed notebook, and wait for a run that has yet to begin with "
            "--wait 1m",
            reason=Reason.NOT_FOUND,
        )
    with atomic_files.explaining(f"cannot read {run}"):
        os.listdir(run)  # noqa: PTH208 - what looks for files below finds none where it may not
    found = sorted(_in_directory(run))
    if not found:
        raise ConfigurationError(
            f"no notebook has run in {run}: there is no NAME{SUFFIX} in it; wait for a run that "
            "has yet to begin with --wait 1m",
            reason=Reason.NOT_FOUND,
        )
    return found[-1][-1]


def _in_directory(directory: Path) -> Iterator[tuple[bool, str, Path]]:
    for path in directory.rglob(f"*{SUFFIX}"):
        with suppress(ConfigurationError):  # it is of another version, or not ours
            yield is_running(path), load(path)["started"], path


def is_running(path: Path) -> bool:
    """Return whether the run has not ended, as far as this machine can know."""
    now = load(path)
    return now["ending"] is None and not process_identity.is_gone(now["process"])


def load(path: Path) -> ProgressJson:
    """Read the file. Raises :class:`ConfigurationError` when it is not one of this version."""
    content = atomic_files.read(path)
    try:
        data: Any = json.loads(content, parse_constant=str)
    except (ValueError, RecursionError):
        data = None
    if not isinstance(data, dict) or not str(data.get("schema")).startswith(f"{_FAMILY}/"):
        raise ConfigurationError(
            f"{path} does not tell of a run: name a file NAME{SUFFIX}, its directory or the "
            "executed notebook"
        )
    if data["schema"] != SCHEMA:
        raise ConfigurationError(
            f"{path} is of another version ({data['schema']!a:.40}): this stepkit reads {SCHEMA}; "
            "use the stepkit that runs the notebook"
        )
    for keys, problem in json_schema.find_problems(data, _SCHEMA_FILE):
        place = ".".join(map(str, keys)) or "the whole"
        raise ConfigurationError(f"{path}: {place} {problem}")
    return cast("ProgressJson", data)
