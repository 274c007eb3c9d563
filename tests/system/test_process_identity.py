"""A process is known again by more than its number."""

import json
import os
import signal
import subprocess
import sys

import pytest
from waiting import until

from stepkit.system import process_identity


def identity_of(child: subprocess.Popen[str]) -> process_identity.ProcessJson:
    assert child.stdout
    found: process_identity.ProcessJson = json.loads(child.stdout.readline())
    return found


@pytest.fixture
def child() -> subprocess.Popen[str]:
    code = (
        "from stepkit.system import process_identity; import json, time;"
        "print(json.dumps(process_identity.own()), flush=True); time.sleep(600)"
    )
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)


def test_a_process_is_there_until_it_is_killed(child: subprocess.Popen[str]) -> None:
    found = identity_of(child)
    assert found["pid"] == child.pid
    assert process_identity.is_gone(found) is False

    child.kill()

    until(lambda: process_identity.is_gone(found))  # also before anyone waits for it
    child.communicate()
    assert process_identity.is_gone(found) is True


def test_one_that_is_only_stopped_is_there(child: subprocess.Popen[str]) -> None:
    found = identity_of(child)
    child.send_signal(signal.SIGSTOP)

    assert process_identity.is_gone(found) is False
    child.kill()
    child.communicate()


def test_another_process_with_its_number_is_not_it() -> None:
    later = process_identity.own()
    later["ticks"] += 1

    assert process_identity.is_gone(process_identity.own()) is False
    assert process_identity.is_gone(later) is True


@pytest.mark.parametrize("part", ["boot", "namespace"])
def test_a_number_of_another_machine_or_container_says_nothing(part: str) -> None:
    other = {**process_identity.own(), part: "another", "pid": os.getpid() + 1}

    assert process_identity.is_gone(other) is None  # type: ignore[arg-type]
