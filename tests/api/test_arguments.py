"""Options that a Python program gives reach the command as the same values."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any

import pytest

from stepkit.api import arguments
from stepkit.cli import flags
from stepkit.cli.parser import build_parser
from stepkit.errors import ConfigurationError
from stepkit.options import FromEnv
from stepkit.steps import STEPS

NOTEBOOK = {"notebook": "a.ipynb", "output": Path("out/a.ipynb")}


def parsed(step: str, **options: Any) -> Any:
    words = arguments.spell(STEPS[step].Options, options)
    args = build_parser(step).parse_args([step, *words])
    return flags.collect(STEPS[step].Options, args, {})


def refused(step: str, **options: Any) -> str:
    with pytest.raises(ConfigurationError) as caught:
        arguments.spell(STEPS[step].Options, options)
    assert caught.value.reason == "bad-input"
    return str(caught.value)


def test_values_of_each_type_arrive_as_they_were_given() -> None:
    options = parsed(
        "execute-notebook", **NOTEBOOK, kernel="-k", tolerate=["a=b", "--c"], attempts=Fraction(2),
        run_timeout=90.5, execution_timeout="1h30m", gpu="none", progress_bar=True, sampling=False,
        page=None,
    )  # fmt: skip

    assert (options.notebook, options.output) == (Path("a.ipynb"), Path("out/a.ipynb"))
    assert (options.kernel, options.tolerate, options.attempts) == ("-k", ("a=b", "--c"), 2)
    assert (options.run_timeout, options.execution_timeout) == (90.5, 5400)
    assert (options.gpu, options.progress_bar, options.sampling) == ("none", True, False)
    assert options.page is None


def test_one_value_is_enough_where_several_are_possible() -> None:
    options = parsed("execute-notebook", **NOTEBOOK, tolerate="a", parameters_file=Path("p.yaml"))

    assert (options.tolerate, options.parameters_file) == (("a",), (Path("p.yaml"),))


def test_parameters_keep_their_types() -> None:
    given = {"n": 5, "text": "5", "rate": 1e-07, "flag": True, "names": ["é", "\U0001f600"]}

    options = parsed("execute-notebook", **NOTEBOOK, parameters=given)

    from stepkit.notebook.parameters import join

    read = join({}, base64_texts=(), paths=(), yaml_texts=options.parameters_yaml,
                guessed=options.parameters, raw=())  # fmt: skip
    assert read == given
    assert parsed("execute-notebook", **NOTEBOOK, parameters=["n=5"]).parameters == ("n=5",)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"notebok": "a"}, "there is no option notebok: did you mean notebook?"),
        ({"notebook": "a"}, "the option output is missing: where to write the executed notebook"),
        ({**NOTEBOOK, "output": ""}, "the option output is missing: where to write the executed"),
        ({**NOTEBOOK, "kernel": ["a"]}, "the option kernel does not take a value of type list"),
        ({**NOTEBOOK, "notebook": ["a"]}, "the option notebook does not take a value of type lis"),
        ({**NOTEBOOK, "tolerate": b"a"}, "the option tolerate does not take a value of type bytes"),
        ({**NOTEBOOK, "kernel": 1j}, "the option kernel does not take a value of type complex"),
        ({**NOTEBOOK, "tolerate": {"a": 1}}, "the option tolerate does not take a value of type"),
        ({**NOTEBOOK, "tolerate": [None]}, "the option tolerate does not take a value of type No"),
        ({**NOTEBOOK, "parameters": {"a": {1, 2}}}, "the option parameters holds what YAML does "),
    ],
)  # fmt: skip
def test_what_no_command_could_take_is_refused(options: dict[str, Any], message: str) -> None:
    assert refused("execute-notebook", **options).startswith(message)


def test_a_secret_is_a_variable_and_never_an_argument() -> None:
    options = {"url": "https://a/b", "destination": "b", "token": "hunter22"}

    words = arguments.spell(STEPS["git-clone"].Options, options)

    assert words == ["--url=https://a/b", "--destination=b"]
    env = arguments.variables(STEPS["git-clone"].Options, options, inherited=False)
    assert env == {"GIT_TOKEN": "hunter22"}


def test_a_secret_that_is_not_given_is_hidden_unless_it_may_be_inherited() -> None:
    cls = STEPS["git-clone"].Options

    assert arguments.variables(cls, {}, inherited=False) == {"GIT_TOKEN": None}
    assert arguments.variables(cls, {}, inherited=True) == {}


def test_what_a_notebook_reads_its_data_with_stays_in_its_environment() -> None:
    assert arguments.variables(STEPS["execute-notebook"].Options, {}, inherited=False) == {}


@dataclass(frozen=True, kw_only=True)
class Secretive:
    """One secret."""

    token: Annotated[str | None, "token", FromEnv("TOKEN")] = None


def test_a_secret_of_another_type_is_refused_and_not_shown() -> None:
    with pytest.raises(ConfigurationError) as caught:
        arguments.variables(Secretive, {"token": b"hunter22"}, inherited=False)

    assert str(caught.value) == "the option token is not text"
