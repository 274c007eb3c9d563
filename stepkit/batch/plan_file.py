"""Read a plan: the file that says which notebooks run, in what order and how."""

from __future__ import annotations

import logging
import re
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from stepkit.batch.planned_notebook import Planned, Settings
from stepkit.errors import ConfigurationError
from stepkit.formats import durations, json_schema, yaml_files

if TYPE_CHECKING:
    from collections.abc import Mapping

    from stepkit.formats.yaml_files import Document

logger = logging.getLogger(__name__)

SCHEMA: Final = Path(__file__).with_name("plan.schema.json")

# Names that end so are those of secrets everywhere; TOKENIZERS_PARALLELISM is none.
_SECRET: Final = re.compile(
    r"(?i)(^|_)(TOKEN|PASSWORD|PASSWD|PASSPHRASE|SECRET|CREDENTIALS?|API_?KEY|ACCESS_KEY|PRIVATE_KEY)$"
)


def planned(path: Path, flags: Settings, *, today: date) -> list[Planned]:
    """Return the notebooks of the plan in ``path``, in its order.

    ``flags`` come from the command line and win over the file; lists and parameters of both are
    joined. A notebook whose exemption has ended by ``today`` runs, and the log says so. Raises
    :class:`ConfigurationError` for a file that is wrong anywhere.
    """
    document = yaml_files.read(path)
    _check_shape(document)
    plan, folder = document.value, path.parent
    defaults = plan.get("defaults", {})
    _check_env(defaults, _place(document, "defaults"))
    found = []
    for number, entry in enumerate(plan["notebooks"]):
        where = _place(document, "notebooks", number)
        _check_env(entry, where)
        settings = _overlaid(_settings({**defaults, **_joined(defaults, entry)}, folder), flags)
        notebook = folder / entry["path"]
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
                settings=settings,
            )
        )
    return found


def _check_shape(document: Document) -> None:
    found = json_schema.problems(document.value, SCHEMA)
    if found:
        keys, wrong = found[0]
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        raise ConfigurationError(f"{_place(document, *keys)} {wrong}{more}")


def _place(document: Document, *keys: str | int) -> str:
    """Name file, line and key, as ``plan.yaml, line 3: notebooks[0].until``."""
    named = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys)
    return f"{document.place(keys)}: {named.removeprefix('.') or 'the file'}"


def _joined(defaults: Mapping[str, Any], entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``entry`` with what the defaults add to its mappings and lists."""
    joined = dict(entry)
    for name in ("parameters", "env"):
        joined[name] = {**defaults.get(name, {}), **entry.get(name, {})}
    joined["tolerate"] = [*defaults.get("tolerate", ()), *entry.get("tolerate", ())]
    return joined


def _settings(entry: Mapping[str, Any], folder: Path) -> Settings:
    return Settings(
        parameters=entry["parameters"],
        rules=folder / entry["rules"] if "rules" in entry else None,
        variant=entry.get("variant"),
        kernel=entry.get("kernel"),
        cwd=folder / entry["cwd"] if "cwd" in entry else None,
        env={name: str(value) for name, value in entry["env"].items()},
        execution_timeout=_limit(entry, "execution-timeout"),
        run_timeout=_limit(entry, "run-timeout"),
        tolerate=tuple(entry["tolerate"]),
    )


def _limit(entry: Mapping[str, Any], name: str) -> float | None:
    return durations.parse(str(entry[name])) if name in entry else None


def _overlaid(own: Settings, flags: Settings) -> Settings:
    """Return ``own`` with what the command line says instead."""
    names = ("rules", "variant", "kernel", "execution_timeout", "run_timeout")
    given = {name: getattr(flags, name) for name in names if getattr(flags, name) is not None}
    return replace(own, given=flags.given, tolerate=(*own.tolerate, *flags.tolerate), **given)


def _exemption(entry: Mapping[str, Any], where: str, today: date) -> tuple[str, str]:
    """Return why and until when the notebook is skipped; both empty if it runs."""
    until: str = entry.get("until", "")
    try:
        last = date.fromisoformat(until) if until else date.max
    except ValueError as error:
        raise ConfigurationError(f"{where}.until: {until} is no date: {error}") from error
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
                f"{where}.env: {name} looks like a secret, and a plan is no place for one: set it "
                "in the environment of stepkit, which every notebook inherits"
            )
