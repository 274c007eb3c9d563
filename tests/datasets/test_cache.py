"""The entries of the cache, and that none is removed while a process uses it."""

import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import waiting
from file_systems import without_locks

from stepkit.datasets import cache as dataset_cache
from stepkit.datasets.cache import Sidecar
from stepkit.errors import ConfigurationError, Reason, ToolError

KEY, OTHER = "a" * 64, "b" * 64
HOLDING = """
import sys, time
from pathlib import Path
from stepkit.datasets import cache
with cache.locked(Path(sys.argv[1]), sys.argv[2], until=time.monotonic() + 60):
    print("held", flush=True)
    sys.stdin.read()
"""


def soon() -> float:
    return time.monotonic() + waiting.SOON


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """A cache with one file, used an hour ago, and a partial file of another."""
    cache = tmp_path / "cache"
    dataset_cache.prepare(cache)
    (cache / KEY).write_bytes(b"content")
    write_sidecar(cache, used=timedelta(hours=1))
    (cache / f"{OTHER}.part").write_bytes(b"con")
    (cache / "README").write_text("somebody's")
    return cache


def write_sidecar(cache: Path, *, used: timedelta) -> None:
    at = (datetime.now(UTC) - used).strftime("%Y-%m-%dT%H:%M:%SZ")
    sidecar = Sidecar(sha256=KEY, size=7, url="https://h/a", created=at, used=at)
    dataset_cache.write_sidecar(cache / f"{KEY}.json", sidecar)


def test_finished_and_partial_files_are_listed(cache: Path) -> None:
    whole, part = dataset_cache.entries(cache)

    assert (whole.path, whole.size, whole.sha256) == (cache / KEY, 7, KEY)
    assert (part.path, part.size, part.sha256) == (cache / OTHER, 3, None)
    assert (cache / "CACHEDIR.TAG").read_text().startswith("Signature: 8a477f597d28d172789f0688")


def test_a_missing_cache_has_no_entries(tmp_path: Path) -> None:
    assert list(dataset_cache.entries(tmp_path / "none")) == []


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": "stepkit.cache/2"}', "\0"])
def test_a_malformed_sidecar_is_ignored(cache: Path, text: str) -> None:
    (cache / f"{KEY}.json").write_text(text)

    assert next(dataset_cache.entries(cache)).sha256 is None


def test_an_entry_is_removed_with_all_its_files(cache: Path) -> None:
    assert all(dataset_cache.remove(entry) for entry in list(dataset_cache.entries(cache)))

    assert sorted(path.name for path in cache.iterdir()) == ["CACHEDIR.TAG", "README"]


@pytest.mark.parametrize("suffix", [".json", ".part.json"])
def test_a_sidecar_whose_file_is_gone_is_removed_too(cache: Path, suffix: str) -> None:
    lone = "c" * 64
    (cache / f"{lone}{suffix}").write_text("{}")

    found = {entry.path.name: entry for entry in dataset_cache.entries(cache)}
    assert (found[lone].size, found[lone].sha256) == (0, None)
    assert dataset_cache.remove(found[lone])

    assert not list(cache.glob(f"{lone}*"))


def test_an_entry_that_was_used_since_it_was_listed_stays(cache: Path) -> None:
    entry = next(dataset_cache.entries(cache))
    write_sidecar(cache, used=timedelta(seconds=-60))

    assert not dataset_cache.remove(entry)
    assert (cache / KEY).read_bytes() == b"content"


def test_an_entry_stays_while_a_process_holds_its_lock(cache: Path) -> None:
    entry = next(dataset_cache.entries(cache))
    command = [sys.executable, "-c", HOLDING, str(cache), KEY]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as holder:  # type: ignore[call-overload]
        assert holder.stdout.readline() == "held\n"
        calls: list[str] = []
        assert not dataset_cache.remove(entry)
        with (
            pytest.raises(ToolError, match="for too long") as caught,
            dataset_cache.locked(cache, KEY, until=0, waiting=lambda: calls.append("waiting")),
        ):
            pass
        assert caught.value.reason is Reason.TIMEOUT
        assert calls == ["waiting"]
        holder.kill()

    with dataset_cache.locked(cache, KEY, until=soon()):  # the lock died with its holder
        assert (cache / KEY).exists()
    assert dataset_cache.remove(entry)


def test_a_lock_that_was_removed_is_made_anew(cache: Path) -> None:
    with dataset_cache.locked(cache, KEY, until=soon()):
        (cache / f"{KEY}.lock").unlink()
        with dataset_cache.locked(cache, KEY, until=soon()):
            assert (cache / f"{KEY}.lock").exists()


def test_a_file_system_without_locks_is_an_error(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_locks(monkeypatch)

    with (
        pytest.raises(ConfigurationError) as caught,
        dataset_cache.locked(cache, KEY, until=soon()),
    ):
        pass

    assert str(caught.value).startswith(f"cannot lock {cache / KEY}.lock: No locks available: ")
    assert (cache / KEY).read_bytes() == b"content"
