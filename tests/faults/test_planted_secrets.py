"""A secret that is planted in a step is found in no file, argument or variable, however it ends."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from faults import secrets_of_data, secrets_of_git, secrets_of_runs  # noqa: F401 - scenarios
from faults.harness import Ended, Fault, table
from faults.planted import Look, Mood, searched
from faults.planted_step import SCENARIOS, Planted, prepared
from object_storage_server import Storage, serving

from stepkit.cli.commands import COMMANDS
from stepkit.options import declared

ENDS: dict[str, Mood] = {"succeeds": "serves", "is-refused": "refuses", "fails": "fails",
        "is-redirected": "redirects", "is-cancelled": "hangs", "is-killed": "hangs"}  # fmt: skip


@pytest.fixture(scope="session")
def storage() -> Iterator[Storage]:
    with serving() as storage:
        storage.bucket("planted")
        yield storage


@pytest.mark.faults
@pytest.mark.parametrize(
    "end", [pytest.param(end, marks=[pytest.mark.slow] * (end != "is-refused")) for end in ENDS]
)
@pytest.mark.parametrize("name", SCENARIOS)
def test_a_planted_secret_is_found_nowhere(
    name: str, end: str, tmp_path: Path, storage: Storage
) -> None:
    with prepared(name, tmp_path, ENDS[end], storage) as (step, ready):
        ended, look = run(step, ready, end)

    found = leaks(ready, look, {"stdout": ended.stdout, "stderr": ended.stderr})
    assert not found, "\n".join(found)
    assert ready.front is None or ready.front.asked, ended
    assert ready.front is None or not ready.front.led_away
    if end in {"is-cancelled", "is-killed"}:
        stopped = signal.SIGTERM if end == "is-cancelled" else signal.SIGKILL
        assert ended.exit in {128 + stopped, -stopped}, ended
    elif end == "succeeds":
        assert ended.exit == 0, ended.stderr[-3000:]


def run(step: str, ready: Planted, end: str) -> tuple[Ended, Look]:
    """Run a step, and look at its processes until it ends, or is ended."""
    looks: list[Look] = []
    patterns = {name: searched(text) for name, text in ready.secrets.items()}

    def meanwhile(process: subprocess.Popen[bytes]) -> None:
        look = Look(process.pid, patterns, ready.left, ready.shown)
        looks.append(look)
        if ready.front:
            ready.front.look = look.now
        with look.running():
            if end in {"is-cancelled", "is-killed"} and ready.front:
                assert ready.front.reached.wait(60)
                process.send_signal(signal.SIGTERM if end == "is-cancelled" else signal.SIGKILL)
            process.wait(120)

    place = Fault(table()["S3"][0], ready.work.parent, [], ready.work)
    before = ("prlimit", f"--core={2**20}:{2**20}")
    flags = ("--result=message=message", "--log-format=plain", "--log-level=DEBUG")
    more = {"command": ready.command} if ready.command else {}
    arguments = [*ready.args, *flags]
    ended = place.execute(
        step, arguments, env=ready.env, meanwhile=meanwhile, before=before, **more
    )
    return ended, looks[0]


def leaks(ready: Planted, look: Look, texts: dict[str, str]) -> list[str]:
    """Return where secrets were found: in processes, in what was printed, and in files."""
    contents = {name: text.encode(errors="replace") for name, text in texts.items()}
    for folder, _, names in os.walk(ready.work):
        for path in (Path(folder, name) for name in names):
            if path.is_file():
                contents[str(path)] = path.read_bytes()
    found = sorted(look.found)
    for name, secret in ready.secrets.items():
        pattern = searched(secret)
        for place, content in contents.items():
            if name in ready.left and place.endswith(".ipynb"):
                continue  # the notebook is the user's, and prints what it may have
            if hit := pattern.search(content):
                around = content[max(0, hit.start() - 80) : hit.end() + 80]
                found.append(f"{name} is in {place}: {around!r}")
    return found


# Options with these words hold a secret, or name a file that does.
OPTION = re.compile(r"token|secret|password|credential|ssh|auth|account|proxy")
HARMLESS = {"--auth", "--token-origins", "--no-proxy"}


def test_each_secret_that_a_command_takes_is_planted() -> None:
    taken = {
        (step, option.secret.variable if option.secret else option.shown)
        for step in COMMANDS
        for option in declared(COMMANDS[step].Options)
        if option.secret or OPTION.search(option.field.name)
    }

    sown = {(step, name) for step, names, _ in SCENARIOS.values() for name in names}
    assert {(step, name) for step, name in taken if name not in HARMLESS} - sown == set()
