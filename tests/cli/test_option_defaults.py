"""Defaults of options: command line, then variable, then stepkit.yaml, then the step's own."""

import json
import os
from pathlib import Path

import pytest
from greeting import Register, greet

from stepkit.cli import commands, option_defaults
from stepkit.cli import main as cli
from stepkit.options import declared


@pytest.fixture
def repository(register: Register, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the root of a repository, the working directory; its file may set `greet`'s flags."""
    register(greet)
    monkeypatch.setattr(option_defaults, "_goes_with_a_secret", lambda *_: False)
    (tmp_path / ".git").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(option_defaults, "COMMANDS_OF_FILE", ("greet", "run-tests"))
    return tmp_path


def write(*lines: str) -> None:
    Path("stepkit.yaml").write_text("\n".join(["schema: stepkit.config/1", *lines, ""]))


def said(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    code = cli.main(["greet", *words])
    captured = capsys.readouterr()
    assert code == 0, captured.err
    return captured.out.splitlines()[0].removeprefix("said-words=")


def test_the_command_line_wins_over_a_variable_and_that_over_the_file(
    repository: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    del repository
    write("defaults:", "  greet: {name: file, words: [a, b], wait: 2m, limit: 3, loud: true}")
    assert said(capsys) == "['file', ('a', 'b'), True, 3, 120.0, 'kind', None, None]"

    monkeypatch.setenv("STEPKIT_OPT_NAME", "variable")
    monkeypatch.setenv("STEPKIT_OPT_WORDS", "c 'd e'")
    monkeypatch.setenv("STEPKIT_OPT_LIMIT", "")
    kept = dict(os.environ)
    assert said(capsys) == "['variable', ('c', 'd e'), True, 3, 120.0, 'kind', None, None]"
    assert not any(name.startswith("STEPKIT_OPT_") for name in os.environ)

    os.environ.update(kept)
    given = said(capsys, "--name=line", "--words", "f", "--loud=false")
    assert given == "['line', ('f',), False, 3, 120.0, 'kind', None, None]"

    os.environ.update(kept)
    assert said(capsys, "--name=line", "--no-config") == (
        "['line', (), False, None, 1.5, 'kind', None, None]"
    )


def test_the_log_says_which_values_come_from_where(
    repository: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    del repository
    write("defaults: {greet: {name: you, limit: 3}}")
    monkeypatch.setenv("STEPKIT_OPT_TONE", "rude")

    assert cli.main(["greet", "--limit=2"]) == 0

    err = capsys.readouterr().err
    assert "INFO defaults: --name from stepkit.yaml; --tone from STEPKIT_OPT_TONE" in err


def test_a_path_of_the_file_is_one_from_its_directory(
    repository: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write("defaults: {greet: {name: you, place: here/it}}")
    (repository / "below").mkdir()
    monkeypatch.chdir("below")

    assert "PosixPath('../here/it')" in said(capsys)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("gret: {}", "line 2: defaults: gret: unknown command: did you mean greet?"),
        ("greet: {nam: x}", "line 2: defaults: greet: nam: greet has no such option: did you mean"),
        ("greet: {token: x}", "token: a secret has no place in this file: set GREETING_TOKEN"),
        ("greet: {limit: 0}", "greet: limit: '0' is too low: at least 1"),
        ("greet: {tone: loud}", "greet: tone: 'loud' is none of kind, rude"),
        ("greet: {name: [a]}", "greet: name: it takes one value, not a list"),
        ("greet: {place: ../x}", "greet: place: ../x is not in the directory of stepkit.yaml"),
        ("notify: {only-on: x}", "notify: this command takes no defaults from stepkit.yaml, which"),
    ],
)
def test_a_wrong_default_is_refused_with_its_line(
    repository: Path, capsys: pytest.CaptureFixture[str], line: str, why: str
) -> None:
    write(f"defaults: {{{line}}}")

    assert cli.main(["greet", "--name=you", "--report=report.json"]) == 2

    report = json.loads((repository / "report.json").read_text())
    assert report["reason"] == "bad-input"
    assert report["message"].startswith("stepkit.yaml, line 2: ")
    assert why in report["message"]
    assert why in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("STEPKIT_OPT_LIMIT", "many", "STEPKIT_OPT_LIMIT: 'many' is not a whole number"),
        ("STEPKIT_OPT_WORDS", "'a", "STEPKIT_OPT_WORDS: No closing quotation"),
        ("STEPKIT_OPT_TOKEN", "t0p", "STEPKIT_OPT_TOKEN: a secret has no flag: set G"),
        ("STEPKIT_OPT_TONNE", "x", "no command takes a default for --tonne: did you mean STEPKIT_"),
        ("STEPKIT_OPT_NOTEBOOK", "x", "no command takes a default for --notebook"),
    ],
)
def test_a_wrong_variable_is_refused(
    repository: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    value: str,
    why: str,
) -> None:
    del repository
    monkeypatch.setenv(name, value)

    assert cli.main(["greet", "--name=you"]) == 2

    err = capsys.readouterr().err
    assert why in err
    assert "t0p" not in err


def test_a_variable_for_another_command_is_none_for_this_one(
    repository: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    del repository
    monkeypatch.setenv("STEPKIT_OPT_EXECUTION_TIMEOUT", "5m")

    assert said(capsys, "--name=you").startswith("['you', ")


@pytest.mark.parametrize("place", ["variable", "tekton"])
def test_a_step_of_a_run_takes_no_defaults(
    repository: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    place: str,
) -> None:
    write("no such key: 1")
    monkeypatch.setenv("STEPKIT_OPT_TONE", "rude")
    if place == "variable":
        monkeypatch.setenv("STEPKIT_NO_CONFIG", "1")
    else:
        monkeypatch.setattr(option_defaults, "_TEKTON", repository)

    assert said(capsys, "--name=you") == "['you', (), False, None, 1.5, 'kind', None, None]"


def test_help_is_shown_whatever_the_file_says(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    del repository
    write("no such key: 1")

    with pytest.raises(SystemExit) as ended:
        cli.main(["greet", "--help"])

    assert ended.value.code == 0
    assert "--no-config" in capsys.readouterr().out


def test_keys_for_notebooks_and_tests_are_defaults_of_their_commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write(
        "notebooks: [n/*.ipynb]",
        "rules: rules.yaml",
        "limits: {run-timeout: 5m}",
        "tests: t",
        "defaults: {execute-notebook: {run-timeout: 6m}}",
    )

    def values(command: str) -> dict[str, object]:
        found = option_defaults.of_command(command, {})
        return {name: default.value for name, default in found.options.items()}

    rules = Path("rules.yaml")
    assert values("execute-notebook") == {"rules": rules, "run_timeout": 360.0}
    assert values("run-tests") == {"checkout": Path("t")}
    assert values("summarize") == {}
    assert values("execute-notebooks") == {
        "rules": rules, "run_timeout": 300.0, "notebooks": ["n/*.ipynb"]
    }  # fmt: skip


def test_no_option_beside_a_secret_comes_from_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write("defaults: {execute-notebook: {endpoint-url: 'https://example.org'}}")

    assert cli.main(["execute-notebook", "a.ipynb", "b.ipynb"]) == 2

    err = capsys.readouterr().err
    assert "endpoint-url: it decides where a secret goes: write it on the command" in err


def test_the_program_that_check_environment_runs_does_not_come_from_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write("defaults: {check-environment: {python: here}}")

    assert cli.main(["check-environment", "--gpu=none"]) == 2

    assert "python: it runs code: write it on the command line" in capsys.readouterr().err


@pytest.mark.parametrize("command", [*option_defaults.COMMANDS_OF_FILE])
def test_no_command_with_secrets_takes_defaults_from_the_file(command: str) -> None:
    secrets = [o.field.name for o in declared(commands.COMMANDS[command].Options) if o.secret]

    assert not secrets or command == "execute-notebook"


def test_parameters_of_the_file_lose_against_those_that_are_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write("parameters: {'n/*.ipynb': {k: '5', n: 1}}")

    def parsed(*words: str) -> dict[str, object]:
        from stepkit.cli.parser import build_parser

        args = build_parser("execute-notebook").parse_args(["execute-notebook", *words, "o.ipynb"])
        option_defaults.apply(option_defaults.of_command("execute-notebook", {}), args)
        return {"yaml": args.parameters_yaml, "base64": args.parameters_base64}

    assert parsed("n/a.ipynb") == {"yaml": ["{k: '5', n: 1}\n"], "base64": []}
    assert parsed("m/a.ipynb") == {"yaml": [], "base64": []}
    assert parsed("-y", "n: 2", "--", "n/a.ipynb")["yaml"] == ["{k: '5', n: 1}\n", "n: 2"]
    encoded = {"yaml": [], "base64": ["e2s6ICc1JywgbjogMX0K"]}
    assert parsed("-f", "p.yaml", "--", "n/a.ipynb") == encoded


def test_each_of_several_notebooks_gets_its_parameters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from stepkit.cli.parser import build_parser

    for name in (".git", "below"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path)
    write("parameters: {a.ipynb: {n: 1}, 'n/*': {n: 2}}")
    monkeypatch.chdir("below")

    def parsed(*words: str) -> list[str]:
        words = ("execute-notebooks", "--directory", "out", *words)
        args = build_parser("execute-notebooks").parse_args(words)
        option_defaults.apply(option_defaults.of_command("execute-notebooks", {}), args)
        found: list[str] = args.parameters_of
        return found

    assert parsed("--parameters-of", "b=c") == ["../a.ipynb={n: 1}", "../n/*={n: 2}", "b=c"]
    assert parsed("--plan", "plan.yaml") == []
