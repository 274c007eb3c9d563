"""Read a plan: the file that lists notebooks, their order and their settings."""

from __future__ import annotations

import logging
import os
import re
from dataclasses import replace
from datetime import date
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from stepkit.batch.planned_notebook import Planned, Settings
from stepkit.errors import ConfigurationError
from stepkit.formats import durations, json_schema, yaml_files
from stepkit.rules.tolerances import NOT_FOR_AUTHORS
from stepkit.system import named_checkouts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from stepkit.formats.json_schema import Keys
    from stepkit.formats.yaml_files import Document

logger = logging.getLogger(__name__)

SCHEMA: Final = Path(__file__).with_name("plan.schema.json")

# How names of secrets usually end; TOKENIZERS_PARALLELISM does not.
_SECRET: Final = re.compile(
    r"(?i)(^|_)(TOKEN|PASSWORD|PASSWD|PASSPHRASE|SECRET|CREDENTIALS?|API_?KEY|ACCESS_KEY|PRIVATE_KEY)$"
)


def read(
    path: Path,
    flags: Settings,
    *,
    today: date,
    checkouts: Path | None = None,
    may_tolerate: bool = True,
) -> list[Planned]:
    """Return the notebooks of the plan in ``path``, in its order.

    ``flags`` come from the command line and win over the file; the lists and parameters of both
    are joined. A notebook whose exemption has ended by ``today`` runs, and the log says so.
    Paths are relative to the file, or files of the repositories in ``checkouts``; those of a file
    in one of these do not lead out of it. Without ``may_tolerate`` the file must declare no
    tolerance.
    Raises :class:`ConfigurationError` for the first mistake in the file.
    """
    document = yaml_files.read(path)
    if wrong := json_schema.find_problems(document.value, SCHEMA):
        raise json_schema.refusal([f"{_place(document, *keys)} {what}" for keys, what in wrong])
    if not may_tolerate:
        _check_no_tolerances(document)
    plan, folder = document.value, path.parent
    defaults = plan.get("defaults", {})
    _check_env(defaults, _place(document, "defaults"))
    _check_limits(defaults, _place(document, "defaults"))
    found = []
    for number, entry in enumerate(plan["notebooks"]):
        where = _place(document, "notebooks", number)
        _check_env(entry, where)
        _check_limits(entry, where)
        find = partial(_find, folder=folder, checkouts=checkouts, where=where)
        notebook = find(entry["path"])
        exempt, until = _exemption(entry, where, today)
        found.append(
            Planned(
                name=entry.get("name", notebook.stem),
                path=notebook,
                needs=tuple(dict.fromkeys(entry.get("needs", ()))),
                inputs=(*defaults.get("inputs", ()), *entry.get("inputs", ())),
                outputs=tuple(entry.get("outputs", ())),
                exempt=exempt,
                until=until,
                settings=_settings(defaults, entry, folder, flags, find),
            )
        )
    return found


def _check_no_tolerances(document: Document) -> None:
    plan = document.value
    entries: list[tuple[Keys, Any]] = [(("defaults",), plan.get("defaults", {}))]
    entries += [(("notebooks", number), entry) for number, entry in enumerate(plan["notebooks"])]
    for keys, entry in entries:
        if entry.get("tolerate"):
            where = _place(document, *keys, "tolerate")
            raise ConfigurationError(f"{where}: {NOT_FOR_AUTHORS}")


def _place(document: Document, *keys: str | int) -> str:
    """Name file, line and key: ``plan.yaml, line 3: notebooks[0].until``."""
    named = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys)
    return f"{document.place(keys)}: {named.removeprefix('.') or 'the file'}"


def _find(path: str, *, folder: Path, checkouts: Path | None, where: str) -> Path:
    if named_checkouts.is_named(path):
        return named_checkouts.find(Path(path), checkouts)
    if checkout := named_checkouts.of_path(folder, checkouts):
        from_checkout = Path(os.path.relpath(folder, checkout), path)
        named_checkouts.inside(checkout, str(from_checkout), f"{where}: {path}")
    return folder / path


def _settings(
    defaults: Mapping[str, Any],
    entry: Mapping[str, Any],
    folder: Path,
    flags: Settings,
    find: Callable[[str], Path],
) -> Settings:
    """Join a notebook's settings: ``flags`` win over ``entry``, which wins over ``defaults``."""
    own = {**defaults, **entry}
    joined = {n: {**defaults.get(n, {}), **entry.get(n, {})} for n in ("parameters", "env")}
    from_file = Settings(
        parameters=joined["parameters"],
        given=flags.given,
        rules=find(own["rules"]) if "rules" in own else None,
        variant=own.get("variant"),
        kernel=own.get("kernel"),
        cwd=folder / own["cwd"] if "cwd" in own else None,
        env={name: str(value) for name, value in joined["env"].items()},
        execution_timeout=_limit(own, "execution-timeout"),
        run_timeout=_limit(own, "run-timeout"),
        tolerate=(*defaults.get("tolerate", ()), *entry.get("tolerate", ()), *flags.tolerate),
    )
    names = ("rules", "variant", "kernel", "execution_timeout", "run_timeout")
    given = {name: getattr(flags, name) for name in names if getattr(flags, name) is not None}
    return replace(from_file, **given)


def _limit(entry: Mapping[str, Any], name: str) -> float | None:
    return durations.parse(str(entry[name])) if name in entry else None


def _check_limits(entry: Mapping[str, Any], where: str) -> None:
    """Refuse what JSON Schema takes for an integer and is not a duration, such as 1e20."""
    for name in ("execution-timeout", "run-timeout"):
        try:
            _limit(entry, name)
        except ValueError as error:
            raise ConfigurationError(f"{where}.{name}: {error}") from error


def _exemption(entry: Mapping[str, Any], where: str, today: date) -> tuple[str, str]:
    """Return why the notebook is skipped and the last day of that, both empty if it runs."""
    until: str = entry.get("until", "")
    try:
        last = date.fromisoformat(until) if until else date.max
    except ValueError as error:
        raise ConfigurationError(f"{where}.until: {until} is not a date: {error}") from error
    if entry.get("enabled", True):
        return "", ""
    reason = " ".join(entry["reason"].split())
    if not reason:
        raise ConfigurationError(f"{where}.reason is empty: say why the notebook is skipped")
    if last < today:
        name = entry.get("name", Path(entry["path"]).stem)
        logger.warning("%s runs again: its exemption (%s) ended on %s", name, reason, until)
        return "", ""
    return reason, until


def _check_env(entry: Mapping[str, Any], where: str) -> None:
    for name in entry.get("env", {}):
        if _SECRET.search(name):
            raise ConfigurationError(
                f"{where}.env: {name} looks like a secret, which must not be in a plan: set it in "
                "the environment of stepkit, which every notebook inherits"
            )
