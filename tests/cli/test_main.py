"""One command from its arguments to results, report and exit code."""

import json
import os
import platform
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from commands import python, run
from commands import stepkit as stepkit_
from greeting import Options, Outputs, Register, greet, raising
from waiting import until

import stepkit
from stepkit.cli import commands
from stepkit.cli import main as cli
from stepkit.cli.secret_variables import SECRET_VARIABLES, SHARED_VARIABLES
from stepkit.errors import Cancelled, ConfigurationError, ToolError, UserCodeError
from stepkit.options import declared


def test_writes_results_and_report(
    register: Register, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = tmp_path / "made.txt"
    made.write_text("four")
    register(lambda _: Outputs(said_words="hello", file=made, each=("a", "b")))

    results = [f"--result={name}={tmp_path}/r/{name}" for name in ("said-words", "reason", "file")]
    assert cli.main(["greet", "--name=you", *results, f"--report={tmp_path}/reports/g.json"]) == 0

    assert (tmp_path / "r/said-words").read_text() == "hello"
    assert (tmp_path / "r/reason").read_text() == "ok"
    report = json.loads((tmp_path / "reports/g.json").read_text())
    assert report["schema"] == "stepkit.report/2"
    assert (report["step"], report["exit_code"]) == ("greet", 0)
    assert (report["status"], report["reason"]) == ("succeeded", "ok")
    assert report["options"]["name"] == "you"
    assert report["outputs"] == {"said-words": "hello", "file": str(made), "each": ["a", "b"]}
    digest = "04efaf080f5a3e74e1c29d1ca6a48569382cbbcd324e8d59d2b83ef21c039f00"
    assert report["artifacts"] == [{"path": str(made), "size": 4, "sha256": digest}]
    assert report["versions"]["stepkit"]
    written = f"said-words=hello\nfile={made}\nstatus=succeeded\nreason=ok\nmessage=\n"
    assert capsys.readouterr().out == written


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
    register: Register,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    error: BaseException,
    exit_code: int,
    reason: str,
) -> None:
    register(raising(error))
    flags = [f"--report={tmp_path}/r.json", f"--result=said-words={tmp_path}/said"]

    assert cli.main(["greet", "--name=you", *flags]) == exit_code

    said_last = capsys.readouterr().err.splitlines()[-1]
    assert said_last.startswith("stepkit greet: error: ")
    assert said_last.endswith(f"[{reason}]")
    report = json.loads((tmp_path / "r.json").read_text())
    assert (report["exit_code"], report["reason"]) == (exit_code, reason)
    assert (tmp_path / "said").read_text() == ""


def test_failed_user_code_still_hands_over_what_it_left_behind(
    register: Register, tmp_path: Path
) -> None:
    register(raising(UserCodeError("3 tests failed", outputs=Outputs(said_words="half"))))

    assert cli.main(["greet", "--name=you", f"--result=said-words={tmp_path}/result"]) == 3
    assert (tmp_path / "result").read_text() == "half"


def test_a_bug_shows_its_traceback_and_is_reported_as_one(
    register: Register, tmp_path: Path
) -> None:
    register(raising(LookupError("typo")))

    with pytest.raises(LookupError):
        cli.main(["greet", "--name=you", f"--report={tmp_path}/r.json"])
    report = json.loads((tmp_path / "r.json").read_text())
    assert (report["status"], report["reason"], report["exit_code"]) == ("failed", "bug", 1)
    assert "LookupError: typo" in report["message"]


def test_a_step_that_is_killed_leaves_a_report_and_results_that_say_so(
    register: Register, tmp_path: Path
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


def test_a_secret_comes_from_the_environment_and_shows_nowhere(
    register: Register,
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


@pytest.mark.parametrize("flags", [["--version", "--json"], ["--json", "--version"]])
def test_the_version_as_json_names_commit_and_base(
    flags: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STEPKIT_COMMIT", "abc123")
    monkeypatch.delenv("STEPKIT_BASE", raising=False)

    assert cli.main(flags) == 0

    versions = {"stepkit": stepkit.__version__, "python": platform.python_version()}
    facts = {**versions, "commit": "abc123", "base": None}
    assert json.loads(capsys.readouterr().out) == facts


@pytest.mark.parametrize("flag", [[], ["-P"]])
def test_files_of_the_current_directory_shadow_nothing(tmp_path: Path, flag: list[str]) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('shadowed')")
    (tmp_path / "argparse.py").write_text("raise SystemExit('shadowed')")

    done = python(*flag, "-m", "stepkit", "--version", cwd=tmp_path)

    assert done.returncode == 0
    assert done.stdout.startswith("stepkit ")


@pytest.mark.parametrize("redirection", ["| true", "> /dev/full", "2> /dev/full", "2>&-"])
def test_a_closed_stdout_or_stderr_does_not_change_the_verdict(
    tmp_path: Path, redirection: str
) -> None:
    command = f"{sys.executable} -P -m stepkit collect-artifacts --artifacts {tmp_path}"
    script = f"set -o pipefail; {command} {redirection}; exit $?"

    done = run("bash", "-c", script)

    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert (tmp_path / "manifest.json").exists()


@pytest.mark.parametrize("command", ["explain", "collect-artifacts --json --report report.json"])
def test_an_answer_that_a_full_disk_loses_is_a_failure(tmp_path: Path, command: str) -> None:
    given = "--artifacts ." if "json" in command else ""

    script = f"{sys.executable} -P -m stepkit {command} {given} > /dev/full"
    done = run("bash", "-c", script, cwd=tmp_path)

    assert done.returncode == 4
    assert "error: cannot write to stdout: No space left on device" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    if given:
        report = json.loads((tmp_path / "report.json").read_text())
        assert (report["status"], report["reason"]) == ("failed", "disk-full")
        assert report["message"].endswith("the step itself succeeded")


def test_an_answer_whose_reader_has_gone_is_given(tmp_path: Path) -> None:
    script = f"set -o pipefail; {sys.executable} -P -m stepkit schema run | true"

    done = run("bash", "-c", script, cwd=tmp_path)

    assert (done.returncode, done.stderr) == (0, "")


def test_secrets_of_other_steps_are_masked_as_well(
    register: Register,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("GIT_TOKEN", "tok-of-another")
    register(raising(UserCodeError("denied: tok-\x1b[31mof-another and tok-of-another")))

    assert cli.main(["greet", "--name=x", f"--report={tmp_path}/report.json"]) == 3

    printed = capsys.readouterr()
    for text in (printed.out, printed.err, (tmp_path / "report.json").read_text()):
        assert "denied: *** and ***" in text
        assert "of-another" not in text


def test_a_key_that_notebooks_may_use_is_masked_unless_it_is_a_common_word(
    register: Register,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-key-of-storage")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "test")
    register(raising(UserCodeError("test of a-key-of-storage")))

    assert cli.main(["greet", "--name=x", f"--report={tmp_path}/report.json"]) == 3

    shown = "test of ***"
    assert f"error: {shown} " in capsys.readouterr().err
    assert json.loads((tmp_path / "report.json").read_text())["message"] == shown
    assert os.environ["AWS_SECRET_ACCESS_KEY"] == "a-key-of-storage"


@pytest.mark.parametrize(
    ("action", "code", "status"),
    [(signal.SIG_DFL, 129, "cancelled"), (signal.SIG_IGN, 0, "succeeded")],
)
def test_a_closed_terminal_ends_a_step_unless_nohup_ignores_it(
    register: Register, tmp_path: Path, action: signal.Handlers, code: int, status: str
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
    assert shared - SHARED_VARIABLES == {"AWS_ACCESS_KEY_ID"}
    assert shared > SHARED_VARIABLES
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


@pytest.mark.parametrize("module", ["argparse", "dataclasses"])
@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_during_the_first_imports_is_reported_too(
    tmp_path: Path, signum: int, code: int, module: str
) -> None:
    """In the place of ``module`` stands one that sends the signal and imports it."""
    (tmp_path / f"{module}.py").write_text(
        "import os, sys\n"
        "sys.path.remove(os.path.dirname(__file__))\n"
        "del sys.modules[__name__]\n"
        f"os.kill(os.getpid(), {int(signum)})\n"
        f"import {module}\n"
        f"sys.modules[__name__] = {module}\n"
    )
    (tmp_path / "artifacts").mkdir()
    flags = [f"--artifacts={tmp_path}/artifacts", f"--report={tmp_path}/r.json"]

    done = stepkit_("collect-artifacts", *flags, env={**os.environ, "PYTHONPATH": str(tmp_path)})

    assert done.returncode == code, done.stderr
    assert done.stderr.count("\n") == 1
    report = json.loads((tmp_path / "r.json").read_text())
    assert (report["status"], report["exit_code"]) == ("cancelled", code)
    assert not (tmp_path / "artifacts/manifest.json").exists()
