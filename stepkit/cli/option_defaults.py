"""Defaults of options: from variables STEPKIT_OPT_<FLAG>, then from ``stepkit.yaml``."""

from __future__ import annotations

import argparse
import base64
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from inspect import get_annotations
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, get_args, get_origin

from stepkit.cli import commands, config_file, flags
from stepkit.cli.config_file import ConfigFile
from stepkit.errors import ConfigurationError
from stepkit.formats import yaml_files
from stepkit.formats.did_you_mean import did_you_mean, nearest
from stepkit.options import OR_ARGUMENT, POSITIONAL, READS, WRITES, declared
from stepkit.step import kebab
from stepkit.system import named_checkouts
from stepkit.system.stepkit_process import NO_CONFIG, OPTION_PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, MutableMapping, Sequence

    from _typeshed import DataclassInstance

    from stepkit.formats.json_schema import Keys
    from stepkit.options import Declared

# The file is the work of the authors of a repository. It has no say in commands that remove files,
# publish them, send messages, or give a token to a server, as run-local does.
COMMANDS_OF_FILE: Final = (
    "check-environment", "execute-notebook", "execute-notebooks", "run-tests", "collect-artifacts",
    "compare",
)  # fmt: skip
_RUNS_CODE: Final = ("check-environment", "python")  # the command runs none of the repository's
_READ_NOTHING: Final = ("config", "init", "completion", "schema", "explain")
_TEKTON: Final = Path("/tekton/steps")


@dataclass(frozen=True, kw_only=True)
class Default:
    """A value that an option has where the command line gives none; ``source`` says whose it is."""

    value: Any
    source: str


@dataclass(frozen=True, kw_only=True)
class Defaults:
    """The defaults of one command, by the names of its fields, and the file, if there is one."""

    options: Mapping[str, Default] = field(default_factory=dict)
    config: ConfigFile | None = None


def find(words: Sequence[str], env: Mapping[str, str]) -> Defaults:
    """Return the defaults for the command line ``words``.

    There are none for its help, with --no-config, in a process that a command of stepkit started,
    and in a step on Tekton: there, the working directory may be the work of a stranger.
    Raises :class:`ConfigurationError` for what is wrong in a variable or in the file.
    """
    command = words[0] if words else ""
    asked = {"-h", "--help", "--no-config"} & set(words)
    if asked or command in _READ_NOTHING or command not in commands.COMMANDS:
        return Defaults()
    if any(env.get(name) for name in NO_CONFIG) or _TEKTON.is_dir():
        return Defaults()
    return of_command(command, env)


def of_command(command: str, env: Mapping[str, str]) -> Defaults:
    """Return the defaults of ``command``; a variable wins over the file.

    Raises :class:`ConfigurationError`.
    """
    variables = dict(_of_variables(commands.COMMANDS[command].Options, env))
    path = config_file.find(Path())
    if path is None:
        return Defaults(options=variables)
    config = config_file.read(path)
    for name in config.defaults:
        if name not in COMMANDS_OF_FILE:
            raise config.refusal(("defaults", name), _not_of_file(name))
    of_file = {**_of_keys(command, config), **dict(_of_file(command, config))}
    return Defaults(options={**of_file, **variables}, config=config)


def apply(defaults: Defaults, args: argparse.Namespace) -> dict[str, str]:
    """Give parsed arguments the defaults of what was not given; return these, with their sources.

    Parameters that the file has for a notebook are joined with those that were given, which win.
    """
    used = {}
    for name, default in defaults.options.items():
        if _given(args, name) or (name == "notebooks" and _given(args, "plan")):
            continue
        setattr(args, name, default.value)
        used[f"--{kebab(name)}"] = default.source
    if config := defaults.config:
        used |= _apply_parameters(config, args)
    return used


def _apply_parameters(config: ConfigFile, args: argparse.Namespace) -> dict[str, str]:
    where = config.document.place(["parameters"])
    if args.step == "execute-notebooks" and config.parameters and not _given(args, "plan"):
        found = [
            f"{config.directory / notebook}={yaml_files.dump(given).strip()}"
            for notebook, given in config.parameters.items()
        ]
        args.parameters_of = [*found, *args.parameters_of]
        return {"parameters": where}
    if args.step != "execute-notebook" or not _given(args, "notebook"):
        return {}
    if not (own := config.parameters_of(args.notebook)):
        return {}
    text = yaml_files.dump(own)
    if _given(args, "parameters_file") or _given(
        args, "parameters_base64"
    ):  # base64 loses against both, YAML wins
        encoded = base64.b64encode(text.encode()).decode()
        args.parameters_base64 = [encoded, *args.parameters_base64]
    else:
        args.parameters_yaml = [text, *args.parameters_yaml]
    return {"parameters": where}


def sentence(used: Mapping[str, str]) -> str:
    """Say which options have their values from where."""
    by_source: dict[str, list[str]] = {}
    for name, source in used.items():
        by_source.setdefault(source.partition(", line")[0], []).append(name)
    parts = [f"{', '.join(names)} from {source}" for source, names in by_source.items()]
    return "defaults: " + "; ".join(parts)


def keep_from_children(command: str, env: MutableMapping[str, str]) -> None:
    """Take the variables out of the environment; ``config``, which shows them, starts no child."""
    for name in [name for name in env if name.startswith(OPTION_PREFIX)]:
        if command != "config":
            del env[name]


def _given(args: argparse.Namespace, name: str) -> bool:
    value = getattr(args, name, None)
    items = value if isinstance(value, list) else [value]
    return any(item is not flags.NOT_GIVEN and item is not None for item in items)


def _of_variables(
    cls: type[DataclassInstance], env: Mapping[str, str]
) -> Iterator[tuple[str, Default]]:
    own = {option.field.name: option for option in declared(cls)}
    for variable in sorted(env):
        if not variable.startswith(OPTION_PREFIX):
            continue
        name = variable.removeprefix(OPTION_PREFIX).lower()
        option = own.get(name)
        if option is None or option.secret or _is_argument(option):
            _check_variable(variable, name)
        elif env[variable]:
            try:
                several = get_origin(option.hint) is tuple
                given = shlex.split(env[variable]) if several else env[variable]
                value = _converted(option, given)
            except ValueError as error:
                raise ConfigurationError(f"{variable}: {error}") from None
            yield name, Default(value=value, source=variable)


def _check_variable(variable: str, name: str) -> None:
    """Refuse a variable that is the default of no option of any command."""
    every = [o for command in commands.COMMANDS.values() for o in declared(command.Options)]
    known = {o.field.name for o in every if not o.secret and not _is_argument(o)}
    if name in known:
        return
    if secret := next((o.secret for o in every if o.secret and o.field.name == name), None):
        raise ConfigurationError(f"{variable}: a secret has no flag: set {secret.variable}")
    near = nearest(name, known)
    hint = f": did you mean {OPTION_PREFIX}{near.upper()}?" if near else ""
    raise ConfigurationError(
        f"{variable} is set, and no command takes a default for --{kebab(name)}{hint}"
    )


def _not_of_file(name: str) -> str:
    if name not in commands.COMMANDS:
        return f"unknown command{did_you_mean(name, commands.COMMANDS)}"
    return (
        f"this command takes no defaults from {config_file.NAME}, which the authors of a "
        f"repository write: use the command line, or variables {OPTION_PREFIX}<FLAG>"
    )


def _of_keys(command: str, config: ConfigFile) -> dict[str, Default]:
    """Return what the keys for notebooks and tests mean for the options of ``command``."""
    said: dict[str, tuple[Keys, Any]] = {}
    if command in {"execute-notebook", "execute-notebooks"}:
        said["rules"] = ("rules",), config.rules
        said["execution_timeout"] = ("limits", "execution-timeout"), config.execution_timeout
        said["run_timeout"] = ("limits", "run-timeout"), config.run_timeout
    if command == "execute-notebooks":
        said["notebooks"] = ("notebooks",), list(config.notebooks) or None
    if command == "run-tests":
        said["checkout"] = ("tests",), config.tests
    return {
        name: Default(value=value, source=config.document.place(keys))
        for name, (keys, value) in said.items()
        if value is not None
    }


def _of_file(command: str, config: ConfigFile) -> Iterator[tuple[str, Default]]:
    """Yield what the file's ``defaults`` say of ``command``."""
    cls = commands.COMMANDS[command].Options
    own = {kebab(option.field.name): option for option in declared(cls)}
    for flag, given in config.defaults.get(command, {}).items():
        keys = ("defaults", command, flag)
        option = own.get(flag)
        if option is None:
            known = [name for name, each in own.items() if not each.secret]
            raise config.refusal(keys, f"{command} has no such option{did_you_mean(flag, known)}")
        if option.secret:
            raise config.refusal(
                keys, f"a secret has no place in this file: set {option.secret.variable}"
            )
        if _is_argument(option):
            raise config.refusal(keys, "write it on the command line: it is an argument there")
        runs_code = (command, flag) == _RUNS_CODE
        if runs_code or _goes_with_a_secret(cls, option):
            why = "it runs code" if runs_code else "it decides where a secret goes"
            raise config.refusal(
                keys,
                f"{why}: write it on the command line, or in the variable "
                f"{OPTION_PREFIX}{option.field.name.upper()}",
            )

        def place(text: str, keys: Keys = keys) -> str:
            return str(config_file.inside(config, keys, text))

        try:
            value = _converted(option, given, place)
        except ValueError as error:
            raise config.refusal(keys, str(error)) from None
        yield option.field.name, Default(value=value, source=config.document.place(keys))


def _is_argument(option: Declared) -> bool:
    return POSITIONAL in option.notes or OR_ARGUMENT in option.notes


def _goes_with_a_secret(cls: type[DataclassInstance], option: Declared) -> bool:
    """Return whether the class that declares the option declares a secret, too."""
    owner = next(base for base in cls.__mro__ if option.field.name in get_annotations(base))
    return any(o.secret for o in declared(cls) if o.field.name in get_annotations(owner))


def _converted(
    option: Declared, given: Any, place: Callable[[str], str] = lambda text: text
) -> Any:
    """Return the value of an option, a list for one that takes several.

    ``place`` makes a path of what the file says. Raises :class:`ValueError`.
    """
    several = get_origin(option.hint) is tuple
    if isinstance(given, list) and not several:
        raise ValueError("it takes one value, not a list")
    hint = get_args(option.hint)[0] if several else option.hint
    convert = flags.converter(hint, option.notes)
    is_path = Path in {hint, *get_args(hint)} or READS in option.notes or WRITES in option.notes
    values = []
    for each in given if isinstance(given, list) else [given]:
        text = str(each).lower() if isinstance(each, bool) else str(each)
        if is_path and not named_checkouts.is_named(text):
            text = place(text)
        try:
            values.append(convert(text))
        except argparse.ArgumentTypeError as error:
            raise ValueError(str(error)) from None
    return values if several else values[0]
