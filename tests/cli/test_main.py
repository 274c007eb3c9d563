from __future__ import annotations

import json
import os
import platform
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Annotated, Literal

import pytest
from waiting import until

import stepkit
from stepkit import steps
from stepkit.cli import commands
from stepkit.cli import main as cli
from stepkit.cli.parser import build_parser
from stepkit.cli.secret_variables import SECRET_VARIABLES
from stepkit.errors import Cancelled, ConfigurationError, ToolError, UserCodeError
from stepkit.options import DETAIL, DURATION, Also, AtLeast, DefaultFromEnv, FromEnv, Pair, declared
from stepkit.steps import Registry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@dataclass(frozen=True, kw_only=True)
class Options:
    name: Annotated[str, "whom to greet"]
    words: Annotated[tuple[str, ...], "what to say", Pair("-w")] = ()
    loud: Annotated[bool, "whether to shout"] = False
    limit: Annotated[int | None, "how much to say", Also("-l"), AtLeast(1)] = None
    wait: Annotated[float, "how long", DURATION] = 1.5
    tone: Annotated[Literal["kind", "rude"], "how"] = "kind"
    place: Annotated[Path | None, "where", DefaultFromEnv("GREETING_PLACE")] = None
    token: Annotated[str | None, "key to the house", FromEnv("GREETING_TOKEN")] = None


@dataclass(frozen=True, kw_only=True)
class Outputs:
    said_words: Annotated[str, "what was said"]
    file: Annotated[Path | None, "where it was written"] = None
    each: Annotated[tuple[str, ...], "word by word", DETAIL] = ()


def greet(options: Options) -> Outputs:
    """Say what the options say, as text."""
    said = repr([getattr(options, name) for name in Options.__dataclass_fields__])
    return Outputs(said_words=said, each=options.words)


@pytest.fixture
def register(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Options], Outputs]], None]:
    def register(run: Callable[[Options], Outputs]) -> None:
        step = SimpleNamespace(__doc__="Say hello.", Options=Options, Outputs=Outputs, run=run)
        monkeypatch.setitem(sys.modules, "greeting", step)
        every = Registry({**steps.MODULES, **commands.MODULES, "greet": "greeting"})
        monkeypatch.setattr(commands, "COMMANDS", every)

    register(greet)
    return register


@pytest.fixture(autouse=True)
def log_as_before() -> Iterator[None]:
    """Give pytest its own log handlers back after a command configured the log."""
    import logging

    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = before[0], before[1]


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


def test_an_unknown_command_is_answered_with_the_most_similar_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["git-clon"])

    assert caught.value.code == 2
    assert "unknown command 'git-clon': did you mean git-clone?" in capsys.readouterr().err


def test_writes_results_and_report(
    register: Callable[..., None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = tmp_path / "made.txt"
    made.write_text("four")
    register(lambda _: Outputs(said_words="hello", file=made, each=("a", "b")))

    results = [f"--result={name}={tmp_path}/r/{name}" for name in ("said-words", "reason", "file")]
    assert cli.main(["greet", "--name=you", *results, f"--report={tmp_path}/reports/g.json"]) == 0

    assert (tmp_path / "r/said-words").read_text() == "hello"
    assert (tmp_path / "r/reason").read_text() == "ok"
    report = json.loads((tmp_path / "reports/g.json").read_text())
    assert report["schema"] == "stepkit.report/1"
    assert (report["step"], report["exit_code"]) == ("greet", 0)
    assert (report["status"], report["reason"]) == ("succeeded", "ok")
    assert report["options"]["name"] == "you"
    assert report["outputs"] == {"said-words": "hello", "file": str(made), "each": ["a", "b"]}
    assert report["artifacts"] == [
        {
            "path": str(made),
            "size": 4,
            "sha256": "04efaf080f5a3e74e1c29d1ca6a48569382cbbcd324e8d59d2b83ef21c039f00",
        }
    ]
    assert report["versions"]["stepkit"]
    assert capsys.readouterr().out == f"said-words=hello\nfile={made}\n"


@pytest.mark.parametrize(
    ("error", "exit_code", "reason"),
    [
        (ConfigurationError("no"), 2, "bad-input"),
        (UserCodeError("no"), 3, "cell-error"),
        (ToolError("no"), 4, "tool-failed"),
        (Cancelled(signal.SIGTERM, message="no"), 143, "cancelled"),
        (Cancelled(signal.SIGINT, message="no"), 130, "cancelled"),
        (KeyboardInterrupt(), 130, "cancelled"),
    ],
)
def test_each_ending_has_its_exit_code_and_is_reported(
    register: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    error: BaseException,
    exit_code: int,
    reason: str,
) -> None:
    def fail(_: Options) -> Outputs:
        raise error

    register(fail)
    flags = [f"--report={tmp_path}/r.json", f"--result=said-words={tmp_path}/said"]

    assert cli.main(["greet", "--name=you", *flags]) == exit_code

    said_last = capsys.readouterr().err.splitlines()[-1]
    assert said_last.startswith("stepkit greet: error: ")
    assert said_last.endswith(f"[{reason}]")
    report = json.loads((tmp_path / "r.json").read_text())
    assert (report["exit_code"], report["reason"]) == (exit_code, reason)
    assert (tmp_path / "said").read_text() == ""


def test_failed_user_code_still_hands_over_what_it_left_behind(
    register: Callable[..., None], tmp_path: Path
) -> None:
    def fail(_: Options) -> Outputs:
        raise UserCodeError("3 tests failed", outputs=Outputs(said_words="half"))

    register(fail)

    assert cli.main(["greet", "--name=you", f"--result=said-words={tmp_path}/result"]) == 3
    assert (tmp_path / "result").read_text() == "half"


def test_a_bug_shows_its_traceback_and_is_reported_as_one(
    register: Callable[..., None], tmp_path: Path
) -> None:
    def bug(_: Options) -> Outputs:
        raise LookupError("typo")

    register(bug)

    with pytest.raises(LookupError):
        cli.main(["greet", "--name=you", f"--report={tmp_path}/r.json"])
    report = json.loads((tmp_path / "r.json").read_text())
    assert (report["status"], report["reason"], report["exit_code"]) == ("failed", "bug", 1)
    assert "LookupError: typo" in report["message"]


def test_a_step_that_is_killed_leaves_a_report_and_results_that_say_so(
    register: Callable[..., None], tmp_path: Path
) -> None:
    seen = {}

    def look(_: Options) -> Outputs:
        seen.update(json.loads((tmp_path / "r.json").read_text()))
        seen["result"] = (tmp_path / "reason").read_text()
        return Outputs(said_words="")

    register(look)
    flags = [f"--result=reason={tmp_path}/reason", f"--report={tmp_path}/r.json"]
    cli.main(["greet", "--name=you", *flags])

    assert seen["result"] == "killed"
    assert (tmp_path / "reason").read_text() == "ok"
    assert (seen["status"], seen["reason"], seen["exit_code"]) == ("failed", "killed", None)
    assert "never ended: killed from outside" in seen["message"]


@pytest.mark.usefixtures("register")
def test_results_too_large_for_tekton_are_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "y" * 4096

    assert cli.main(["greet", f"--name={name}", f"--result=said-words={tmp_path}/result"]) == 2
    assert "Tekton has room for 3072" in capsys.readouterr().err
    assert (tmp_path / "result").read_text() == ""


@pytest.mark.usefixtures("register")
def test_an_output_may_be_a_result_under_two_names(tmp_path: Path) -> None:
    flags = [f"--result=said-words={tmp_path}/{name}" for name in ("said-words", "older-name")]

    assert cli.main(["greet", "--name=you", *flags]) == 0

    said = (tmp_path / "said-words").read_text()
    assert said
    assert (tmp_path / "older-name").read_text() == said


def test_the_message_is_cut_so_that_all_results_stay_below_1_kib(
    register: Callable[..., None], tmp_path: Path
) -> None:
    def fail(_: Options) -> Outputs:
        raise ToolError("why " * 200, outputs=Outputs(said_words="p" * 800))

    register(fail)
    flags = [f"--result={name}={tmp_path}/{name}" for name in ("said-words", "reason", "message")]

    assert cli.main(["greet", "--name=you", *flags]) == 4

    written = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert written["said-words"] == "p" * 800
    assert written["message"].startswith("why why ")
    assert written["message"].endswith("...")
    assert sum(map(len, written.values())) == 1024


def test_an_error_while_writing_results_does_not_hide_a_failed_step(
    register: Callable[..., None], tmp_path: Path
) -> None:
    def fail(_: Options) -> Outputs:
        (tmp_path / "file/reason").unlink()
        (tmp_path / "file").rmdir()
        (tmp_path / "file").touch()
        raise UserCodeError("no")

    register(fail)

    flags = [f"--result=reason={tmp_path}/file/reason", f"--report={tmp_path}/r.json"]
    assert cli.main(["greet", "--name=you", *flags]) == 3
    assert json.loads((tmp_path / "r.json").read_text())["exit_code"] == 3


@pytest.mark.usefixtures("register")
def test_a_step_whose_results_cannot_be_written_does_not_begin(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()

    assert cli.main(["greet", "--name=you", f"--result=reason={tmp_path}/file/reason"]) == 2
    assert f"cannot write the result {tmp_path}/file/reason" in capsys.readouterr().err


def test_a_secret_comes_from_the_environment_and_shows_nowhere(
    register: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def leak(options: Options) -> Outputs:
        assert options.token == "s3cret-token"
        assert "GREETING_TOKEN" not in os.environ
        raise ToolError(f"server said {options.token}", outputs=Outputs(said_words="s3cret-token"))

    register(leak)
    monkeypatch.setenv("GREETING_TOKEN", "s3cret-token")
    flags = [f"--result=said-words={tmp_path}/result", f"--report={tmp_path}/r.json"]

    assert cli.main(["greet", "--name=you", *flags]) == 4

    captured = capsys.readouterr()
    written = captured.out + captured.err + "".join(p.read_text() for p in tmp_path.iterdir())
    assert "server said ***" in captured.err
    assert "s3cret" not in written
    assert "token" not in json.loads((tmp_path / "r.json").read_text())["options"]


@pytest.mark.usefixtures("register")
def test_credentials_in_a_url_do_not_reach_the_report(tmp_path: Path) -> None:
    cli.main(["greet", "--name=https://me:pw@host/x", f"--report={tmp_path}/r.json"])

    report = (tmp_path / "r.json").read_text()
    assert "https://***@host/x" in report
    assert "pw" not in report


@pytest.mark.usefixtures("register")
def test_a_default_may_come_from_a_variable_that_ci_sets(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GREETING_PLACE", "/there")

    assert "PosixPath('/there')" in said(capsys, "--name=you")
    assert "PosixPath('/here')" in said(capsys, "--name=you", "--place=/here")


@pytest.mark.parametrize("command", [*commands.COMMANDS])
def test_the_help_of_each_command_teaches_with_an_example_that_parses(command: str) -> None:
    text = commands.COMMANDS[command].__doc__ or ""
    example = text.partition("For example:")[2].replace("\\\n", " ")
    lines = [line.strip() for line in example.splitlines() if line.strip().startswith("stepkit")]

    assert lines
    for line in lines:
        words = shlex.split(line)
        assert words[:2] == ["stepkit", command]
        build_parser().parse_args(words[1:])


def python(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


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


@pytest.mark.parametrize("flags", [["--version", "--json"], ["--json", "--version"]])
def test_the_version_as_json_names_commit_and_base(
    flags: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STEPKIT_COMMIT", "abc123")
    monkeypatch.delenv("STEPKIT_BASE", raising=False)

    assert cli.main(flags) == 0

    facts = json.loads(capsys.readouterr().out)
    assert facts == {
        "stepkit": stepkit.__version__,
        "commit": "abc123",
        "base": None,
        "python": platform.python_version(),
    }


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
    assert (
        done.stdout.partition("exit codes:")[0]
        == (capsys.readouterr().out.partition("exit codes:")[0])
    )


@pytest.mark.parametrize("flag", [[], ["-P"]])
def test_files_of_the_current_directory_shadow_nothing(tmp_path: Path, flag: list[str]) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('shadowed')")
    (tmp_path / "argparse.py").write_text("raise SystemExit('shadowed')")

    done = python(*flag, "-m", "stepkit", "--version", cwd=tmp_path)

    assert done.returncode == 0
    assert done.stdout.startswith("stepkit ")


def test_the_log_is_json_or_annotations_when_asked(
    register: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    def warn(_: Options) -> Outputs:
        import logging

        logging.getLogger("greeter").warning("mind %s", "the step")
        return Outputs(said_words="")

    register(warn)

    cli.main(["greet", "--name=you", "--log-format=ci"])
    assert "::warning::mind the step" in capsys.readouterr().err.splitlines()
    cli.main(["greet", "--name=you", "--log-format=json"])
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert lines[1]["severity"] == "WARNING"
    assert lines[1]["body"] == "mind the step"
    assert lines[-1]["body"].startswith("stepkit greet: succeeded in ")


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--log", "a.ipynb"], "--log and --notebook name the same file"),
        (["--stdout-file", "a.ipynb"], "--stdout-file and --notebook name the same file"),
        (["--report", "a.ipynb"], "--report and --notebook name the same file"),
        (["--result", "status=./a.ipynb"], "--result status and --notebook name the same file"),
        (["--report", "o.ipynb"], "--report and --output name the same file"),
        (["--result", "status=r", "--result", "reason=r"], "name the same file r"),
    ],
)
def test_no_file_is_written_over_another_of_the_same_command(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    flags: list[str],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    notebook = tmp_path / "a.ipynb"
    notebook.write_text("precious")

    exit_code = cli.main(["execute-notebook", "--notebook=a.ipynb", "--output=o.ipynb", *flags])

    assert exit_code == 2
    assert said in capsys.readouterr().err
    assert notebook.read_text() == "precious"
    assert list(tmp_path.iterdir()) == [notebook]


@pytest.mark.parametrize("redirection", ["| true", "> /dev/full", "2> /dev/full", "2>&-"])
def test_a_closed_stdout_or_stderr_does_not_change_the_verdict(
    tmp_path: Path, redirection: str
) -> None:
    command = f"{sys.executable} -P -m stepkit collect-artifacts --artifacts {tmp_path}"
    script = f"set -o pipefail; {command} {redirection}; exit $?"

    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert (tmp_path / "manifest.json").exists()


@pytest.mark.parametrize(
    ("action", "code", "status"),
    [(signal.SIG_DFL, 129, "cancelled"), (signal.SIG_IGN, 0, "succeeded")],
)
def test_a_closed_terminal_ends_a_step_unless_nohup_ignores_it(
    register: Callable[..., None],
    tmp_path: Path,
    action: signal.Handlers,
    code: int,
    status: str,
) -> None:
    def hang_up(options: Options) -> Outputs:
        os.kill(os.getpid(), signal.SIGHUP)
        return greet(options)

    register(hang_up)
    before = signal.signal(signal.SIGHUP, action)
    try:
        assert cli.main(["greet", "--name=x", f"--report={tmp_path}/report.json"]) == code
        assert signal.getsignal(signal.SIGHUP) == action
    finally:
        signal.signal(signal.SIGHUP, before)

    assert json.loads((tmp_path / "report.json").read_text())["status"] == status


def test_a_signal_while_results_are_written_comes_too_late(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "artifacts").mkdir()
    flags = [f"--artifacts={tmp_path}/artifacts", f"--report={tmp_path}/report.json"]
    command = [sys.executable, "-P", "-m", "stepkit", "collect-artifacts", *flags]
    child = subprocess.Popen([*command, f"--result=status={tmp_path}/pipe"])
    until((tmp_path / "artifacts/manifest.json").exists)
    time.sleep(0.5)

    child.send_signal(signal.SIGTERM)
    assert (tmp_path / "pipe").read_text() == "succeeded"

    assert child.wait(10) == 0
    assert json.loads((tmp_path / "report.json").read_text())["status"] == "succeeded"


def test_every_secret_of_every_step_is_hidden_from_children() -> None:
    secrets = [
        option.secret
        for step in commands.COMMANDS.values()
        for option in declared(step.Options)
        if option.secret
    ]

    assert {secret.variable for secret in secrets if not secret.shared} == SECRET_VARIABLES
    shared = {secret.variable for secret in secrets if secret.shared}
    assert shared == {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"}
    assert not SECRET_VARIABLES & shared


def test_a_signal_before_the_step_begins_is_reported_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise Cancelled(signal.SIGTERM)

    monkeypatch.setattr("stepkit.cli.write_conflicts.check", stop)
    report_file, status = tmp_path / "report.json", tmp_path / "status"
    flags = [f"--report={report_file}", f"--result=status={status}"]

    code = cli.main(["collect-artifacts", f"--artifacts={tmp_path}", *flags])

    assert code == 143
    report = json.loads(report_file.read_text())
    assert (report["status"], report["reason"]) == ("cancelled", "cancelled")
    assert report["exit_code"] == 143
    assert report["message"] == "stopped by SIGTERM before it began"
    assert status.read_text() == "cancelled"
