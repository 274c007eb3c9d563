import os
import resource
import threading
from pathlib import Path

import pytest
from refusals import refusal
from waiting import until

from stepkit.errors import ConfigurationError, ToolError
from stepkit.system import process


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_returns_what_was_printed_and_the_exit_code() -> None:
    seen: list[str] = []

    done = process.run(["sh", "-c", "echo out; echo err >&2; exit 3"], on_line=seen.append)

    assert (done.code, done.timed_out) == (3, False)
    assert sorted(seen) == sorted(done.output.splitlines()) == ["err", "out"]


def test_the_child_sees_the_given_environment_and_directory_alone(tmp_path: Path) -> None:
    env = {"PATH": os.environ["PATH"], "ONLY": "this"}

    done = process.run(["sh", "-c", "pwd; echo $ONLY; echo $HOME"], env=env, cwd=tmp_path)

    assert done.output.splitlines() == [str(tmp_path), "this", ""]


def test_reads_no_input() -> None:
    assert process.run(["cat"]).output == ""


def test_output_that_is_not_utf_8_is_accepted() -> None:
    assert process.run(["printf", r"\377\n"]).output == "\ufffd\n"


def test_keeps_the_beginning_and_the_end_of_endless_output() -> None:
    lines: list[str] = []
    script = ["sh", "-c", "echo begin; seq 100000 130000; echo end"]

    done = process.run(script, on_line=lines.append, keep=50)

    gap = "[stepkit left out 209923 characters here]"
    assert done.output.splitlines() == [
        "begin", *map(str, range(100000, 100006)), gap, *map(str, range(129995, 130001)), "end",
    ]  # fmt: skip
    assert len(lines) == 30003
    assert process.run(script, keep=None).output.splitlines() == lines


def test_output_that_just_fits_is_kept_whole() -> None:
    assert process.run(["printf", r"12\n345\n6\n"], keep=6).output == "12\n345\n6\n"
    assert process.run(["seq", "1", "4"], keep=4).output == "1\n2\n3\n4\n"


def test_a_line_too_long_to_keep_is_left_out_whole() -> None:
    """Half a line might show half a secret, which would not be masked."""
    done = process.run(["printf", r"ab\n123456789\nc\n"], keep=5)

    assert done.output == "ab\n[stepkit left out 10 characters here]\nc\n"


@pytest.mark.parametrize("how", ["timeout", "stop"])
def test_ends_the_whole_process_group(how: str) -> None:
    pids: list[int] = []
    stop = threading.Event()

    def seen(line: str) -> None:
        pids.extend(map(int, line.split()))
        if how == "stop":
            stop.set()

    script = "sleep 60 & echo $$ $!; wait"
    limit = 1.0 if how == "timeout" else None
    done = process.run(["sh", "-c", script], timeout=limit, stop=stop, on_line=seen)

    assert done.timed_out == (how == "timeout")
    assert len(pids) == 2
    until(lambda: not any(map(alive, pids)))


def test_kills_a_child_that_ignores_sigterm() -> None:
    stubborn = ["sh", "-c", "trap '' TERM; while :; do sleep 0.1; done"]

    done = process.run(stubborn, timeout=0.5, grace=0.3)

    assert done.timed_out
    assert done.code == -9


def test_leaves_nothing_behind_that_a_finished_child_started() -> None:
    done = process.run(["sh", "-c", "sleep 60 > /dev/null 2>&1 & echo $!"])

    until(lambda: not alive(int(done.output)))


def test_names_the_program_or_directory_that_is_missing(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("x")

    assert "no program no-such-program" in refusal(process.run, ["no-such-program"])
    with pytest.raises(ConfigurationError, match=r"no directory .*gone"):
        process.run(["true"], cwd=tmp_path / "gone")
    assert "Permission denied" in refusal(process.run, [tmp_path / "data"])


def test_says_which_limit_keeps_a_program_from_starting() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1, hard))
    try:
        message = refusal(process.run, ["true"])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    assert message.endswith("Too many open files: let the process open more files (ulimit -n)")


@pytest.mark.parametrize(
    ("command", "env", "problem"),
    [
        (["true", "a\0b"], {}, "cannot run true: argument 1 holds a NUL byte"),
        (["tr\0ue"], {}, r"cannot run 'tr\x00ue': argument 0 holds a NUL byte"),
        (["true", "\ud800"], {}, "cannot run true: argument 1 holds half a character"),
        (["true"], {"K": "s3cret\0"}, "cannot run true: the variable K holds a NUL byte"),
        (["true"], {"K": "\ud800"}, "cannot run true: the variable K holds half a character"),
        (["true"], {"K=": "v"}, "cannot run true: 'K=' is not a name for a variable"),
    ],
)
def test_refuses_what_cannot_be_passed_to_a_process(
    command: list[str], env: dict[str, str], problem: str
) -> None:
    message = refusal(process.run, command, env={"PATH": os.environ["PATH"], **env})

    assert message.startswith(problem)
    assert "s3cret" not in message


def test_refuses_a_directory_whose_name_cannot_exist() -> None:
    message = refusal(process.run, ["true"], cwd=Path("a\0b"))

    assert "the working directory holds a NUL byte" in message


def stream(program: str, tmp_path: Path, *, timeout: float = 60) -> bytes:
    command = ["sh", "-c", program]
    with process.streaming(command, cwd=tmp_path, env=dict(os.environ), timeout=timeout) as printed:
        return printed.read()


def test_bytes_are_streamed_as_they_are(tmp_path: Path) -> None:
    assert stream(r"printf 'a\000\377\r\n'", tmp_path) == b"a\0\xff\r\n"


def test_a_stream_whose_program_fails_or_takes_too_long_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="sh ended with code 3"):
        stream("echo x; exit 3", tmp_path)
    with pytest.raises(ToolError, match="sh ended with code -9"):
        stream("exec sleep 60", tmp_path, timeout=0.05)
