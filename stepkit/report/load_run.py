"""Read run.json, and refuse in one line what is not the record of a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from stepkit.errors import ConfigurationError, Reason
from stepkit.formats import json_schema
from stepkit.formats.shorten import shorten
from stepkit.report.run_json import SCHEMA
from stepkit.system import atomic_files

if TYPE_CHECKING:
    from stepkit.report.run_json import RunJson

_SCHEMA_FILE: Final = Path(__file__).with_name("run.schema.json")
_FAMILY, _, _VERSION = SCHEMA.partition("/")
_PLACES: Final = (Path(), Path("artifacts"))  # of run.json in the directory of a run
_MOST_SHOWN: Final = 40  # characters of a foreign schema's name


def load_run(run: Path) -> RunJson:
    """Return the record in ``run``: run.json itself, or a directory with one.

    Raises :class:`ConfigurationError` when there is none, and for one that is torn, of another
    kind, or of a later version.
    """
    path = find_record(run)
    return parse_run(atomic_files.read(path), str(path))


def find_record(run: Path) -> Path:
    """Return the path of run.json: ``run`` itself, or in it, or in its directory ``artifacts``.

    A variant's record has a suffix; it is found if it is the only one. Raises
    :class:`ConfigurationError`.
    """
    with atomic_files.explaining(f"cannot read {run}"):
        if not run.is_dir():
            if run.exists():
                return run
            near = atomic_files.near_names(run)
            message = f"there is no run at {run}{near}: name run.json, or a directory with it"
            raise ConfigurationError(message, reason=Reason.NOT_FOUND)
        for place in _PLACES:
            if (path := run / place / "run.json").exists():
                return path
        found = sorted(path for place in _PLACES for path in (run / place).glob("run_*.json"))
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(str(path.relative_to(run)) for path in found)
        raise ConfigurationError(f"{run} has several records: name one of {names}")
    raise ConfigurationError(
        f"there is no run.json in {run}, nor in its directory artifacts: `stepkit summarize` "
        "writes it at the end of a run",
        reason=Reason.NOT_FOUND,
    )


def parse_run(content: bytes, where: str) -> RunJson:
    """Return the record that ``content`` holds; ``where`` it is from begins each message.

    Raises :class:`ConfigurationError`.
    """
    try:
        # Python reads NaN and Infinity, which JSON lacks: as text, they do not pass for numbers.
        data = json.loads(content, parse_constant=str)
    except RecursionError:
        raise ConfigurationError(f"{where} nests too deep for the record of a run") from None
    except ValueError as error:
        message = f"{where} is not whole: {error}" if content.strip() else f"{where} is empty"
        raise ConfigurationError(message) from None
    _check_schema(data.get("schema") if isinstance(data, dict) else None, where)
    json_schema.add_defaults(data, _SCHEMA_FILE)
    for keys, problem in json_schema.find_problems(data, _SCHEMA_FILE):
        place = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys)
        raise ConfigurationError(f"{where}: {place.removeprefix('.') or 'the record'} {problem}")
    run = cast("RunJson", data)
    _check_cause(run, where)
    return run


def _check_cause(run: RunJson, where: str) -> None:
    """Refuse a cause that names a notebook or a cell which the record does not have."""
    cause = run["cause"]
    if cause is None or cause["notebook"] is None:
        return
    if cause["notebook"] not in range(len(run["notebooks"])):
        raise ConfigurationError(f"{where}: cause.notebook {cause['notebook']} is not in notebooks")
    cells = run["notebooks"][cause["notebook"]]["cells"]
    if cause["cell"] is not None and cause["cell"] not in range(len(cells)):
        raise ConfigurationError(f"{where}: cause.cell {cause['cell']} is not in its notebook")


def _check_schema(schema: Any, where: str) -> None:
    if schema == SCHEMA:
        return
    name = shorten(schema, _MOST_SHOWN) if isinstance(schema, str) else ""
    family, _, version = name.partition("/")
    if family == _FAMILY and version.isdecimal() and int(version) > int(_VERSION):
        raise ConfigurationError(
            f"{where} is a record of a later version ({name}): this stepkit reads {SCHEMA}; use "
            "the stepkit that wrote it, or a newer one"
        )
    what = f"its schema is {name!a}" if name else "it has no schema"
    raise ConfigurationError(f"{where} is not the record of a run ({SCHEMA}): {what}")
