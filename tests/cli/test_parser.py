"""The help of each command."""

import shlex
import sys

import pytest
from commands import python
from commands import run as commands_run

from stepkit import steps
from stepkit.cli import commands
from stepkit.cli import main as cli
from stepkit.cli.parser import UsageError, build_parser


@pytest.mark.parametrize("command", [*commands.COMMANDS])
def test_the_help_of_each_command_teaches_with_an_example_that_parses(command: str) -> None:
    text = commands.COMMANDS[command].__doc__ or ""
    example = text.partition("For example:")[2].replace("\\\n", " ")
    lines = [line.strip() for line in example.splitlines() if line.strip().startswith("stepkit")]

    assert lines
    for line in lines:
        words = shlex.split(line)
        assert words[:2] == ["stepkit", command]
        build_parser(command).parse_args(words[1:])


@pytest.mark.parametrize("command", [*commands.COMMANDS])
def test_what_stands_for_the_value_of_a_flag_says_what_is_given(command: str) -> None:
    listing = next(a for a in build_parser(command)._actions if a.dest == "step")
    assert isinstance(listing.choices, dict)
    flags = listing.choices[command]._actions

    said = {action.metavar for action in flags if isinstance(action.metavar, str)}

    assert said & {"AS", "BY", "FOR", "FROM", "IN", "OF", "ON", "OR", "TO", "WITH"} == set()
    assert said & {"TEST", "RAW", "PARAMETERS", "LABELS"} == set()


@pytest.mark.parametrize(
    ("command", "usage"),
    [
        ("execute-notebook", "stepkit execute-notebook [options] NOTEBOOK OUTPUT"),
        ("convert-notebook", "stepkit convert-notebook [options] NOTEBOOK"),
    ],
)
def test_the_help_of_all_options_shows_arguments_that_stand_for_flags(
    command: str, usage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        build_parser(command).parse_args([command, "--help"])

    assert capsys.readouterr().out.startswith(f"usage: {usage}\n")


@pytest.mark.parametrize("flags", [["--help"], ["--version"], ["git-clone", "--help"]])
def test_help_and_version_import_no_tool(flags: list[str]) -> None:
    tools = "git nbconvert nbformat tenacity papermill nbclient yaml jupyter_client defusedxml"
    code = f"""
import sys
from stepkit.cli.main import main
try:
    main({flags})
except SystemExit as stop:
    assert stop.code == 0, stop.code
print('imported:', set({tools.split()}) & sys.modules.keys())
"""
    done = python("-c", code)

    assert done.stdout.splitlines()[-1] == "imported: set()", done.stdout + done.stderr


def test_the_list_of_commands_imports_no_step(capsys: pytest.CaptureFixture[str]) -> None:
    code = """
import sys
from stepkit.cli.main import main
try:
    main(["--help"])
finally:
    print(sorted(name for name in sys.modules if name.startswith("stepkit.steps.")))
"""
    done = python("-c", code)

    assert done.stdout.splitlines()[-1] == "[]"
    with pytest.raises(SystemExit):
        build_parser().parse_args(["--help"])
    here, there = capsys.readouterr().out, done.stdout
    assert there.partition("exit codes:")[0] == here.partition("exit codes:")[0]


def test_stepkit_without_arguments_shows_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 2

    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == build_parser(brief=True).format_help()


def test_commands_that_are_not_a_step_are_listed_apart() -> None:
    listed, _, apart = build_parser().format_help().partition("other commands:\n")

    assert all(f"    {name}" in listed and name not in apart for name in steps.MODULES)
    for name in commands.MODULES:
        assert f"  {name} " in apart
        assert f"\n    {name} " not in listed


@pytest.mark.parametrize(
    ("level", "quiet", "debug"),
    [
        ("NOTSET", False, True),
        ("DEBUG", False, True),
        ("info", False, False),
        ("WARNING", True, False),
        ("CRITICAL", True, False),
        ("10", False, True),
        ("40", True, False),
        ("", False, False),
    ],
)
def test_the_log_has_the_levels_of_papermill_and_nbconvert(
    level: str, *, quiet: bool, debug: bool
) -> None:
    given = ["convert-notebook", "a.ipynb", f"--log-level={level}"]

    args = build_parser("convert-notebook").parse_args(given)

    assert (args.quiet, args.debug) == (quiet, debug)


@pytest.mark.parametrize("level", ["LOUD", "-1", "1.5"])
def test_an_unknown_level_is_refused(level: str) -> None:
    with pytest.raises(UsageError) as stop:
        build_parser("convert-notebook").parse_args(["convert-notebook", f"--log-level={level}"])

    assert f"argument --log-level: {level!r} is none of DEBUG, INFO, " in stop.value.message


def test_a_wrong_value_is_named_beside_an_option_that_only_some_commands_have() -> None:
    words = ["execute-notebook", "--notebook=a", "--output=b", "--resume=", "--gpu=maybe"]

    with pytest.raises(UsageError) as caught:
        build_parser("execute-notebook").parse_args(words)

    assert caught.value.message.startswith("argument --gpu: 'maybe' is none of auto, required")


@pytest.mark.parametrize("flag", ["--help", "-h", "help"])
def test_the_list_of_commands_imports_little(flag: str) -> None:
    code = """
import sys
from stepkit.__main__ import run
code = run()
print(code, sorted({"argparse", "logging", "shutil", "yaml"} & sys.modules.keys()))
"""
    done = python("-c", code, flag)

    shown, _, last = done.stdout.rstrip().rpartition("\n")
    assert last == "0 []", done.stderr
    assert shown.rstrip() == build_parser(brief=True).format_help().rstrip()


def test_a_reader_of_the_list_may_go_away() -> None:
    done = commands_run("sh", "-c", f"{sys.executable} -m stepkit --help | true; exit 0")

    assert (done.returncode, done.stderr) == (0, "")
