"""Each step has a function whose signature is that of its options."""

import inspect
import os
import pickle
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path

import commands
import pytest

import stepkit
from stepkit.api import public_names, typed_functions
from stepkit.api.run import run
from stepkit.options import declared
from stepkit.steps import STEPS

Text = str | os.PathLike[str]
OF_RUN = {"report", "secrets_from_environment", "stop"}


@pytest.mark.parametrize("name", typed_functions.NAMES)
def test_a_signature_has_the_options_of_its_step_and_their_defaults(name: str) -> None:
    function = getattr(stepkit, name)
    options = list(declared(STEPS[typed_functions.NAMES[name]].Options))

    parameters = inspect.signature(function).parameters

    assert list(parameters) == [option.field.name for option in options] + [
        parameter for parameter in inspect.signature(run).parameters if parameter in OF_RUN
    ]
    for option in options:
        found = parameters[option.field.name]
        assert found.kind == found.KEYWORD_ONLY
        assert found.default == (found.empty if option.required else option.field.default)
        assert f"    {option.field.name}: {option.help}" in function.__doc__


def test_types_are_those_that_a_program_may_give() -> None:
    parameters = inspect.signature(stepkit.execute_notebook).parameters
    found = {name: parameters[name].annotation for name in parameters}

    assert found["notebook"] == Text
    assert found["page"] == Text | None
    assert found["attempts"] is int
    assert found["run_timeout"] == float | str | None
    assert found["parameters_file"] == Text | Sequence[Text]
    assert found["parameters"] == str | Sequence[str] | Mapping[str, typing.Any]
    assert typing.get_args(found["gpu"]) == ("auto", "required", "optional", "none")
    assert inspect.signature(stepkit.git_clone).parameters["token"].annotation == str | None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"url": "a"}, "missing a required argument: 'destination'"),
        ({"url": "a", "destination": "b", "urll": 1}, "got an unexpected keyword argument 'urll'"),
    ],
)
def test_a_call_that_does_not_fit_the_signature_is_a_type_error(
    options: dict[str, typing.Any], message: str
) -> None:
    with pytest.raises(TypeError) as caught:
        stepkit.git_clone(**options)

    assert str(caught.value) == message


def test_every_public_name_is_there_and_is_documented() -> None:
    assert set(public_names.OTHERS) | set(typed_functions.NAMES) == set(stepkit.__all__)
    for name in stepkit.__all__:
        assert getattr(stepkit, name).__doc__, name
    assert set(stepkit.__all__) <= set(dir(stepkit))
    assert pickle.loads(pickle.dumps(stepkit.git_clone)) is stepkit.git_clone


def test_no_option_of_a_step_has_the_name_of_one_of_run() -> None:
    for name, step in STEPS.items():
        assert OF_RUN.isdisjoint(option.field.name for option in declared(step.Options)), name


def test_what_is_not_public_is_not_there() -> None:
    with pytest.raises(AttributeError, match="module 'stepkit' has no attribute 'execute'"):
        _ = stepkit.execute  # type: ignore[attr-defined]


_IMPORTS = """
import sys
before = set(sys.modules)
import stepkit
print(sorted(set(sys.modules) - before))
stepkit.run
print(sorted({"papermill", "nbformat", "jinja2", "yaml", "git", "asyncio"} & set(sys.modules)))
from stepkit import notify
print(notify.__name__)
"""


def test_the_import_of_stepkit_imports_nothing_else_and_a_function_no_tool() -> None:
    done = commands.python("-c", _IMPORTS)

    assert done.stdout.splitlines() == ["['stepkit']", "[]", "stepkit.notify"], done.stderr


_PROGRAM = """
import stepkit

result = stepkit.execute_notebook(
    notebook="a.ipynb", output="b.ipynb", parameters={"n": 5}, run_timeout="2h", gpu="none"
)
reveal_type(result)
stepkit.git_clone(url="a", destination="b", depth="1")
stepkit.execute_notebook(notebook="a.ipynb")
"""


@pytest.mark.slow
def test_a_type_checker_knows_the_options(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(_PROGRAM)

    done = commands.python("-m", "mypy", "--strict", "program.py", cwd=tmp_path)

    lines = [line for line in done.stdout.splitlines()[:-1] if "defined in" not in line]
    assert [line.partition(": ")[2].partition("  [")[0] for line in lines] == [
        'note: Revealed type is "stepkit.step.StepResult"',
        'error: Argument "depth" to "git_clone" has incompatible type "str"; expected "int"',
        'error: Missing named argument "output" for "execute_notebook"',
    ]
