"""The parameters of a notebook: papermill's flags, and what they give together."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final

from stepkit.errors import ConfigurationError
from stepkit.notebook import parameters as notebook_parameters
from stepkit.options import READS, Also, Pair

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


@dataclass(frozen=True, kw_only=True)
class ParameterOptions:
    """Flags that set parameters."""

    heading: ClassVar[str] = "parameters"

    parameters: Annotated[
        tuple[str, ...], "NAME=VALUE, with papermill's guess of the type", Pair("-p")
    ] = ()
    parameters_raw: Annotated[
        tuple[str, ...], "NAME=VALUE, the value kept as text", Pair("-r"), Also("--parameters_raw")
    ] = ()
    parameters_file: Annotated[
        tuple[Path, ...], "YAML file of parameters", READS, Also("-f", "--parameters_file")
    ] = ()
    parameters_yaml: Annotated[
        tuple[str, ...], "YAML text of parameters", Also("-y", "--parameters_yaml")
    ] = ()
    parameters_base64: Annotated[
        tuple[str, ...], "base64 of YAML text of parameters", Also("-b", "--parameters_base64")
    ] = ()
    inject_input_path: Annotated[bool, "pass the notebook's path as PAPERMILL_INPUT_PATH"] = False
    inject_output_path: Annotated[bool, "pass the output's path as PAPERMILL_OUTPUT_PATH"] = False
    inject_paths: Annotated[bool, "pass both paths"] = False
    allow_unknown_parameters: Annotated[bool, "pass parameters the notebook does not have"] = False


# papermill's own names, and the flags that ask for them
_PATHS: Final = {
    "PAPERMILL_INPUT_PATH": "inject_input_path",
    "PAPERMILL_OUTPUT_PATH": "inject_output_path",
}


def given(
    options: ParameterOptions,
    notebook: Any | None,
    preset: Mapping[str, Any],
    *,
    taken: Collection[str],
    source: Path,
    output: Path,
) -> dict[str, Any]:
    """Join the parameters of all flags with those that a variant presets; the flags win.

    ``taken`` are names that rules set. Names that the Python ``notebook`` does not know are refused
    unless they are allowed; None is one in another language. Raises :class:`ConfigurationError`
    that names the flag.
    """
    paths = {
        name: str(path)
        for (name, flag), path in zip(_PATHS.items(), (source, output), strict=True)
        if getattr(options, flag) or options.inject_paths
    }
    joined = notebook_parameters.join(
        {**preset, **paths},
        base64_texts=options.parameters_base64,
        paths=options.parameters_file,
        yaml_texts=options.parameters_yaml,
        guessed=options.parameters,
        raw=options.parameters_raw,
    )
    if twice := sorted(joined.keys() & set(taken)):
        raise ConfigurationError(f"{twice[0]} is set by a rule and by a parameter: choose one")
    if notebook and not options.allow_unknown_parameters:
        notebook_parameters.check_known(notebook, joined.keys() - _PATHS.keys())
    return joined
