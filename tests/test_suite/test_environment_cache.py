"""Environments in a cache that several processes share; a small one is made of one file."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from waiting import until

from stepkit.errors import ToolError
from stepkit.test_suite import environment_cache

KEY = "a" * 64


def make(path: Path) -> Path:
    """Make an environment unless it is complete, as an installer does."""
    if not (path / "module.py").exists():
        (path / "__pycache__").mkdir(parents=True)
        (path / "module.py").write_text(f"made by {os.getpid()}")
        (path / "link").symlink_to("module.py")
        with (path.parent / "made").open("a") as made:
            made.write("once\n")
    return path


def times_made(cache: Path) -> int:
    return len((cache / "made").read_text().splitlines())


def use(cache: Path) -> Path | None:
    with environment_cache.using(cache / KEY, make) as environment:
        return environment


def test_a_complete_environment_is_used_again(tmp_path: Path) -> None:
    first = use(tmp_path)
    (tmp_path / KEY / "__pycache__/module.pyc").touch()  # a test imported it

    assert use(tmp_path) == first == tmp_path / KEY
    assert times_made(tmp_path) == 1
    assert (tmp_path / "CACHEDIR.TAG").read_text().startswith("Signature: ")


@pytest.mark.parametrize(
    ("damage", "shown"),
    [
        (lambda path: (path / "module.py").write_text("made by "), "module.py changed"),
        (lambda path: (path / "module.py").unlink(), "module.py changed"),
        (lambda path: (path / "new.py").touch(), "new.py changed"),
        (lambda path: ((path / "link").unlink(), (path / "link").touch()), "link changed"),
        (lambda path: (path / environment_cache.FILES).write_text("[1"), "is not complete"),
        (lambda path: (path / environment_cache.FILES).write_text("[7]"), "is not complete"),
        (lambda path: (path / environment_cache.FILES).unlink(), "is not complete"),
    ],
)
def test_a_damaged_environment_is_made_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: object, shown: str
) -> None:
    use(tmp_path)
    assert callable(damage)
    damage(tmp_path / KEY)

    environment = use(tmp_path)

    assert shown in caplog.text
    assert environment
    assert (environment / "module.py").read_text() == f"made by {os.getpid()}"
    assert times_made(tmp_path) == 2
    assert not (environment / "new.py").exists()


def test_an_environment_that_a_killed_process_began_is_made_again(tmp_path: Path) -> None:
    def stop(path: Path) -> Path:
        path.mkdir()
        (path / "half").touch()
        raise ToolError("no network")

    with (
        pytest.raises(ToolError, match="no network"),
        environment_cache.using(tmp_path / KEY, stop),
    ):
        raise AssertionError

    assert use(tmp_path) == tmp_path / KEY
    assert not (tmp_path / KEY / "half").exists()


def test_tests_that_run_in_a_damaged_environment_keep_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with environment_cache.using(tmp_path / KEY, make) as environment:
        assert environment
        (environment / "new.py").touch()
        assert use(tmp_path) is None

    assert (environment / "new.py").exists()
    assert "the cache of environments is not used: other tests run in" in caplog.text


def test_several_runs_use_an_environment_at_once(tmp_path: Path) -> None:
    with environment_cache.using(tmp_path / KEY, make) as first:
        assert use(tmp_path) == first

    assert times_made(tmp_path) == 1


SLOW = """
import sys, time
from pathlib import Path
from stepkit.test_suite import environment_cache

def make(path):
    if not path.exists():
        path.mkdir()
        for n in range(20):
            (path / f"{n}.py").write_text("whole")
            time.sleep(0.02)
        with (path.parent / "made").open("a") as made:
            made.write("once\\n")
    return path

with environment_cache.using(Path(sys.argv[1], "a" * 64), make) as found:
    print(len(list(found.glob("*.py"))))
"""


def test_one_of_several_processes_makes_an_environment_and_the_others_wait(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SLOW, str(tmp_path)]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]

    printed = [process.communicate()[0] for process in started]

    assert printed == ["20\n"] * 4
    assert times_made(tmp_path) == 1


def test_a_process_that_is_killed_leaves_no_lock(tmp_path: Path) -> None:
    code = SLOW.replace("time.sleep(0.02)", "time.sleep(60)")
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)])
    until((tmp_path / KEY / "0.py").exists)
    found: list[Path | None] = []
    waiting = threading.Thread(target=lambda: found.append(use(tmp_path)))
    waiting.start()
    process.kill()
    process.wait()
    waiting.join(60)

    assert found == [tmp_path / KEY]
    assert not (tmp_path / KEY / "0.py").exists()


def test_a_cache_that_cannot_be_written_is_not_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "cache").write_text("a file")

    assert use(tmp_path / "cache") is None

    assert "the cache of environments is not used: cannot " in caplog.text
    assert (tmp_path / "cache").read_text() == "a file"


def test_an_environment_is_removed_unless_it_is_used(tmp_path: Path) -> None:
    with environment_cache.using(tmp_path / KEY, make):
        (entry,) = environment_cache.entries(tmp_path)
        assert not environment_cache.remove(entry)
    os.utime(entry.mark, (entry.used + 9, entry.used + 9))
    assert not environment_cache.remove(entry)  # it was used since it was listed
    assert (entry.path / "module.py").exists()

    (entry,) = environment_cache.entries(tmp_path)
    assert environment_cache.remove(entry)
    assert {path.name for path in tmp_path.iterdir()} == {"CACHEDIR.TAG", "made"}
    assert list(environment_cache.entries(tmp_path / "none")) == []
