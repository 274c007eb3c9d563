"""Flags of the command line, as people and as Tekton write them."""

import pytest

from stepkit.cli import main as cli


def said(capsys: pytest.CaptureFixture[str], *flags: str) -> str:
    assert cli.main(["greet", *flags]) == 0
    out: str = capsys.readouterr().out
    return out.splitlines()[0].removeprefix("said-words=")


DEFAULTS = ["you", (), False, None, 1.5, "kind", None, None]


@pytest.mark.usefixtures("register")
@pytest.mark.parametrize(
    ("flags", "changed"),
    [
        ([], {}),
        (["--loud=true"], {2: True}),
        (["--loud"], {2: True}),
        (["--loud", "false"], {2: False}),
        (["--words", "a=1", "b=2"], {1: ("a=1", "b=2")}),
        (["--words=a=1", "-w", "b", "2 3"], {1: ("a=1", "b=2 3")}),
        (["--words"], {}),
        (["--words", ""], {}),
        (["-l", "3"], {3: 3}),
        (["--limit=1"], {3: 1}),
        (["--wait=1h30m"], {4: 5400.0}),
        (["--wait", "250ms"], {4: 0.25}),
        (["--tone=rude"], {5: "rude"}),
        (["--limit=", "--loud=", "--wait=", "--tone=", "--place="], {}),
    ],
)
def test_reads_flags_as_people_and_as_tekton_write_them(
    capsys: pytest.CaptureFixture[str], flags: list[str], changed: dict[int, object]
) -> None:
    wanted = [changed.get(number, value) for number, value in enumerate(DEFAULTS)]

    assert said(capsys, "--name=you", *flags) == repr(wanted)


@pytest.mark.parametrize(
    ("command", "flag", "least"),
    [
        ("execute-notebook", "--autosave-cell-every", 0),
        ("execute-notebook", "--cell-output-limit", 1),
        ("execute-notebooks", "--jobs", 1),
        ("git-clone", "--attempts", 1),
        ("git-clone", "--timeout", 1),
    ],
)
def test_numbers_below_the_least_are_refused(
    capsys: pytest.CaptureFixture[str], command: str, flag: str, least: int
) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main([command, flag, str(least - 1)])

    assert stop.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith(f"stepkit {command}: error: argument {flag}: '{least - 1}' is too low")
    assert said.count("\n") == 1


@pytest.mark.usefixtures("register")
@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "the following arguments are required: --name"),
        (["--name="], "--name is empty: whom to greet"),
        (["--name=x", "--loud=yes"], "'yes' is neither true nor false"),
        (["--name=x", "--limit=many"], "'many' is not a whole number"),
        (["--name=x", "--limit=1" + "0" * 400], "0...' is too large"),
        (["--name=x", "--limit=0"], "argument --limit/-l: '0' is too low: at least 1; see"),
        (["--name=x", "--limit", "-3"], "argument --limit/-l: '-3' is too low: at least 1; see"),
        (["--name=x", "--wait=soon"], "'soon' is not a duration: write 90, 90s, 5m or 1h30m"),
        (["--name=x", "--tone=odd"], "'odd' is none of kind, rude"),
        (["--name=x", "--result=typo=/tmp/x"], "is not NAME=FILE with NAME one of status, reason"),
        (["--name=x", "--token=leaked"], "unknown option --token"),
        (["--name=x", "--limt=3"], "unknown option --limt: did you mean --limit?"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(
    capsys: pytest.CaptureFixture[str], flags: list[str], message: str
) -> None:
    try:
        exit_code: object = cli.main(["greet", *flags])
    except SystemExit as stop:
        exit_code = stop.code

    assert exit_code == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1


@pytest.mark.usefixtures("register")
def test_a_default_may_come_from_a_variable_that_ci_sets(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GREETING_PLACE", "/there")

    assert "PosixPath('/there')" in said(capsys, "--name=you")
    assert "PosixPath('/here')" in said(capsys, "--name=you", "--place=/here")


@pytest.mark.parametrize("number", ["nan", "inf", "-1e999"])
def test_a_number_is_finite(capsys: pytest.CaptureFixture[str], number: str) -> None:
    with pytest.raises(SystemExit, match="2"):
        cli.main(["compare-notebook", "golden.ipynb", "new.ipynb", f"--rtol={number}"])

    assert f"argument --rtol: '{number}' is not a finite number" in capsys.readouterr().err
