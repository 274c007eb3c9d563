"""What a command shows on a terminal: colours, and what it does now."""

import logging
import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import commands
import pytest
import screen
import yaml
from data_server import serving
from greeting import Options, Outputs, Register
from samples import write_notebook

from stepkit.cli import main as cli
from stepkit.cli.parser import build_parser

STEPKIT: list[str | Path] = [sys.executable, "-P", "-m", "stepkit"]


def collect(directory: Path, *flags: str, **env: str) -> str:
    """Return what the terminal gets of a command that succeeds, or fails with ``--typo``."""
    command = [*STEPKIT, "collect-artifacts", f"--artifacts={directory}", *flags]
    return screen.run(command, env={"NO_COLOR": "", "FORCE_COLOR": "", **env})[1]


def test_the_verdict_is_green_or_red_on_a_terminal(tmp_path: Path) -> None:
    *log, last = collect(tmp_path).splitlines()
    assert re.fullmatch(
        r"\x1b\[1m\x1b\[32mstepkit collect-artifacts: succeeded in .*\x1b\[0m", last
    )
    assert not any("\x1b" in line for line in log)

    *_, last = collect(tmp_path / "missing").splitlines()
    assert last.startswith("\x1b[1m\x1b[31mstepkit collect-artifacts: error: ")


@pytest.mark.parametrize(
    ("flags", "env"),
    [
        ([], {"NO_COLOR": "1", "FORCE_COLOR": "1"}),
        ([], {"TERM": "dumb"}),
        (["--log-format=json"], {}),
    ],
)
def test_a_terminal_without_colours_gets_none(
    tmp_path: Path, flags: list[str], env: dict[str, str]
) -> None:
    assert "\x1b" not in collect(tmp_path, *flags, **env)


def test_a_file_gets_colours_only_if_they_are_forced(
    register: Register, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    register(lambda _: Outputs(said_words=""))
    cli.main(["greet", "--name=you", "--log-format=plain"])
    assert "\x1b" not in capsys.readouterr().err

    monkeypatch.setenv("FORCE_COLOR", "1")
    cli.main(["greet", "--name=you", "--log-format=plain"])
    assert capsys.readouterr().err.splitlines()[-1].startswith("\x1b[1m\x1b[32mstepkit greet: ")


def log(_: Options) -> Outputs:
    logger = logging.getLogger("stepkit.greeter")
    for level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR):
        logger.log(level, "at %d", level)
    logging.getLogger("a.library").debug("of a library")
    return Outputs(said_words="")


@pytest.mark.parametrize(
    ("flag", "shown"),
    [
        ("-q", ["at 30", "at 40"]),
        ("--quiet", ["at 30", "at 40"]),
        ("--log-format=plain", ["greet: started", "at 20", "at 30", "at 40"]),
        ("-v", ["greet: started", "at 10", "at 20", "at 30", "at 40"]),
        ("--verbose", ["greet: started", "at 10", "at 20", "at 30", "at 40"]),
    ],
)
def test_the_log_is_as_long_as_asked_for(
    register: Register, capsys: pytest.CaptureFixture[str], flag: str, shown: list[str]
) -> None:
    register(log)

    assert cli.main(["greet", "--name=you", flag]) == 0

    *lines, last = capsys.readouterr().err.splitlines()
    assert [line.split(" ", 2)[2] for line in lines] == shown
    assert last.startswith("stepkit greet: succeeded")


@pytest.mark.usefixtures("register")
def test_quiet_and_verbose_exclude_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["greet", "--name=you", "-q", "-v"])

    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "argument --verbose/-v: not allowed with argument --quiet/-q" in said


@pytest.mark.parametrize(
    ("words", "verbose", "debug"),
    [
        (["--verbose"], True, False),
        (["--verbose=false", "-v"], False, True),
        (["--verbose", "true", "-q"], True, False),
    ],
)
def test_verbose_of_git_clone_stays_its_own(words: list[str], verbose: bool, debug: bool) -> None:  # noqa: FBT001
    args = build_parser("git-clone").parse_args(["git-clone", "--url=u", "--destination=d", *words])

    assert (args.verbose, args.debug) == (verbose, debug)


def test_a_quiet_step_writes_its_whole_log_to_its_file(tmp_path: Path) -> None:
    script = """
import logging, sys
from pathlib import Path
from stepkit.cli import log
from stepkit.system import logfile

log.configure("plain", [], quiet=True)
with logfile.recording(Path(sys.argv[1])):
    logging.getLogger("stepkit.x").info("of use")
"""
    done = commands.python("-c", script, tmp_path / "a.log")

    assert done.stderr == ""
    assert (tmp_path / "a.log").read_text().endswith(" INFO of use\n")


def drawn(command: Sequence[str | Path], pattern: str) -> None:
    """Run ``command`` on a terminal and find a status line; every row ends as one of the log."""
    code, written, _ = screen.run(command)

    assert code == 0, written
    found = screen.rows(written)
    assert any(re.fullmatch(pattern, text) for row in found for text in row[:-1]), written
    assert not any(re.fullmatch(pattern, row[-1]) for row in found)
    assert all(re.match(r"\d{4}-\S+Z [A-Z]+ |stepkit ", row[-1]) for row in found)


@pytest.mark.slow
def test_a_notebook_shows_its_cell(tmp_path: Path) -> None:
    notebook = write_notebook(tmp_path / "a.ipynb", "1", "import time; time.sleep(2)")
    out = f"--output={tmp_path}/b.ipynb"

    pattern = r"cell 2/2: running \ds(, GPU [\d.]+ of \d+ GiB)?"
    drawn([*STEPKIT, "execute-notebook", f"--notebook={notebook}", out], pattern)
    pattern = r"0 of 1 notebooks ended; running: a \ds"
    out = f"--directory={tmp_path}/out"
    drawn([*STEPKIT, "execute-notebooks", "--notebooks", notebook, out], pattern)


@pytest.mark.slow
def test_a_pipeline_shows_its_tasks(tmp_path: Path) -> None:
    tasks = [
        {
            "name": name,
            "taskSpec": {
                "steps": [{"name": "s", "image": "i", "command": ["sh", "-c", "sleep 1.5"]}]
            },
        }
        for name in ("a", "b")
    ]
    pipeline = {"apiVersion": "tekton.dev/v1", "kind": "Pipeline", "metadata": {"name": "p"}}
    (tmp_path / "p.yaml").write_text(yaml.safe_dump({**pipeline, "spec": {"tasks": tasks}}))

    command = [*STEPKIT, "run-local", tmp_path / "p.yaml", "--jobs=2"]
    drawn(command, r"0 of 2 tasks ended; running: a \ds, b \ds")


@pytest.mark.slow
def test_a_download_shows_how_much_came(tmp_path: Path) -> None:
    with serving(b"x" * 600) as server:
        server.always = lambda reply: replace(reply, drips=True)
        url, place = f"--url={server.url}/a.bin", f"--directory={tmp_path}"
        command = [*STEPKIT, "download-dataset", url, place]
        drawn(command, r"a\.bin: 0 MB of 0 MB \(\d+ %\), 0\.0 MB/s")
