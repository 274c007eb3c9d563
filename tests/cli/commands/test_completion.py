"""`stepkit completion` prints a script by which a shell completes command lines."""

import shutil
from pathlib import Path

import pytest
from commands import run

from stepkit.cli import main as cli


def script(shell: str, directory: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    assert cli.main(["completion", shell]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    path = directory / f"stepkit.{shell}"
    path.write_text(captured.out)
    return path


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        (["exec"], {"execute-notebook", "execute-notebooks"}),
        (["execute-notebook", "--rmm-m"], {"--rmm-mode", "--rmm-maximum-pool-size"}),
        (["execute-notebook", "--gpu", "re"], {"required"}),
        (["execute-notebook", "--sampling", "f"], {"false"}),
        (["execute-notebook", "--rules", "ru"], {"rules.yaml"}),
        (["explain", "kernel-d"], {"kernel-died"}),
        (["config", "run-"], {"run-tests", "run-local"}),
        (["execute-notebook", "--no-such"], set()),
    ],
)
def test_bash_completes_commands_flags_choices_and_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], completed: set[str]
) -> None:
    path = script("bash", tmp_path, capsys)
    (tmp_path / "rules.yaml").touch()
    code = (
        f'source {path}; COMP_WORDS=(stepkit "$@"); COMP_CWORD=$#; _shtab_stepkit; '
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )

    done = run("bash", "-c", code, "bash", *words, cwd=tmp_path)

    assert {word.strip() for word in done.stdout.splitlines()} - {""} == completed, done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_shell_reads_its_script(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], shell: str
) -> None:
    path = script(shell, tmp_path, capsys)
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")

    done = run(shell, "-n", path)

    assert (done.returncode, done.stderr) == (0, "")


def test_fish_completes_choices(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = script("fish", tmp_path, capsys)
    if not shutil.which("fish"):
        pytest.skip("fish is not installed")
    code = f"source {path}; complete -C 'stepkit execute-notebook --gpu re'"

    done = run("fish", "--no-config", "-c", code, env={"HOME": str(tmp_path), "PATH": "/usr/bin"})

    assert [line.split("\t")[0] for line in done.stdout.splitlines()] == ["required"], done.stderr


def test_an_unknown_shell_is_answered_with_the_known_ones(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main(["completion", "csh"])

    assert stop.value.code == 2
    assert "'csh' is none of bash, zsh, fish" in capsys.readouterr().err
