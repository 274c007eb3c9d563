"""The command in several processes: at the same time, killed, and as a Pipeline."""

import hashlib
import json
import os
import random
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
import waiting
from data_server import DataServer, cut, fine, serving, status
from users import RANDOM, stepkit_as

from stepkit.datasets import cache as dataset_cache

CONTENT = random.Random(9).randbytes(3_000_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
PIPELINE = Path(__file__).parents[2] / "tasks/pipelines/dataset-warm.yaml"
STEPKIT = [sys.executable, "-P", "-m", "stepkit"]


@pytest.fixture
def server() -> Iterator[DataServer]:
    with serving(CONTENT) as server:
        yield server


def start(server: DataServer, directory: Path, cache: Path) -> subprocess.Popen[str]:
    flags = [f"--url={server.url}/big.bin", f"--sha256={SHA256}", f"--directory={directory}"]
    flags += [f"--cache={cache}", f"--report={directory.parent}/{directory.name}.json"]
    flags.append("--stall-timeout=10m")  # whoever is asked to stop does not wait for the server
    command = [*STEPKIT, "download-dataset", *flags]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    _, log = process.communicate(timeout=waiting.SOON)
    return process.returncode, log


@pytest.mark.slow
def test_six_processes_share_one_download(server: DataServer, tmp_path: Path) -> None:
    places = [tmp_path / f"pod{number}" for number in range(6)]

    for process in [start(server, place, tmp_path / "cache") for place in places]:
        code, log = ended(process)
        assert code == 0, log

    assert len(server.requests) == 1
    assert all((place / "big.bin").read_bytes() == CONTENT for place in places)


@pytest.mark.parametrize(
    "signum", [signal.SIGKILL, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)]
)
def test_the_partial_file_of_a_killed_run_is_continued(
    server: DataServer, tmp_path: Path, signum: signal.Signals
) -> None:
    server.faults = [lambda reply: replace(cut()(reply), hangs=True)]
    cache, place = tmp_path / "cache", tmp_path / "data"
    part = cache / f"{SHA256}.part"
    process = start(server, place, cache)
    waiting.until(lambda: part.exists() and part.stat().st_size == 1_000_000)

    process.send_signal(signum)
    code, _ = ended(process)

    assert code == (143 if signum == signal.SIGTERM else -signal.SIGKILL)
    assert not (place / "big.bin").exists()
    assert next(dataset_cache.entries(cache)).sha256 is None
    code, log = ended(start(server, place, cache))
    assert code == 0, log
    assert server.ranges == [None, "bytes=1000000-"]
    assert (place / "big.bin").read_bytes() == CONTENT


@pytest.mark.slow
def test_a_run_killed_at_any_moment_leaves_a_whole_file_or_none(
    server: DataServer, tmp_path: Path
) -> None:
    dice = random.Random(3)
    cache, place = tmp_path / "cache", tmp_path / "data"
    for _ in range(8):
        process = start(server, place, cache)
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=dice.uniform(0.15, 0.6))
        process.kill()
        process.communicate()
        for file in (place / "big.bin", cache / SHA256):
            assert not file.exists() or file.read_bytes() == CONTENT
        if (place / "big.bin").exists():
            (place / "big.bin").unlink()
            (cache / SHA256).unlink(missing_ok=True)

    code, log = ended(start(server, place, cache))
    assert code == 0, log
    assert (place / "big.bin").read_bytes() == CONTENT
    assert not list(place.glob(".*.stepkit-new"))


def warm(server: DataServer, tmp_path: Path, *flags: str) -> tuple[int, str]:
    (tmp_path / "work").mkdir(exist_ok=True)
    datasets = [{"url": f"{server.url}/big.bin", "sha256": SHA256, "size": len(CONTENT)}]
    (tmp_path / "work/datasets.json").write_text(json.dumps({"datasets": datasets}))
    command = [*STEPKIT, "run-local", str(PIPELINE), "--run=warm-1", *flags]
    command += [f"--workspace=shared={tmp_path}/work", "--param", "manifest=datasets.json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    return done.returncode, done.stderr


@pytest.mark.slow
def test_the_pipeline_fills_the_cache_after_a_failed_attempt(
    server: DataServer, tmp_path: Path
) -> None:
    server.faults = [status(404)]
    server.always = fine

    code, log = warm(server, tmp_path)

    assert code == 0, log
    assert (tmp_path / "work/cache/datasets" / SHA256).read_bytes() == CONTENT
    left = sorted(path.name for path in (tmp_path / "work/warm-1").iterdir())
    assert left == ["artifacts", "reports"]


@pytest.mark.slow
def test_the_pipeline_fails_when_the_cache_is_not_filled(
    server: DataServer, tmp_path: Path
) -> None:
    server.always = status(404)

    code, log = warm(server, tmp_path, f"--workspace=cache={tmp_path}/cache")

    assert code == 2, log
    summary = (tmp_path / "work/warm-1/artifacts/STEP_SUMMARY.md").read_text()
    assert "download-dataset failed" in summary
    assert "HTTP 404" in summary
    assert len(server.requests) == 3
    assert (tmp_path / "cache/CACHEDIR.TAG").exists()


def download_as(uid: int, server: DataServer, volume: Path, *more: str) -> tuple[int, str]:
    flags = [f"--url={server.url}/big.bin", f"--sha256={SHA256}", f"--directory={volume}/run-{uid}"]
    done = stepkit_as(uid, "download-dataset", *flags, *more)
    return done.returncode, done.stderr


@pytest.mark.slow
def test_a_cache_on_a_shared_volume_is_for_every_user_of_its_group(
    server: DataServer, volume: Path
) -> None:
    cache = volume / "cache/datasets"
    before = os.umask(0o077)
    try:
        server.faults = [cut(2), status(404)]
        first = download_as(RANDOM, server, volume, f"--cache={cache}")
        second = download_as(RANDOM + 1, server, volume, f"--cache={cache}")
        third = download_as(RANDOM, server, volume, f"--cache={cache}")
    finally:
        os.umask(before)

    assert (first[0], second[0], third[0]) == (2, 0, 0), (first, second, third)
    assert len(server.requests) == 3
    assert (cache / SHA256).read_bytes() == CONTENT
    for path in (cache, cache.parent):
        assert stat.S_IMODE(path.stat().st_mode) & 0o7772 == 0o2770, path


@pytest.mark.slow
def test_a_file_that_another_user_downloaded_is_put_into_place_without_a_cache(
    server: DataServer, volume: Path
) -> None:
    (volume / f"run-{RANDOM}").mkdir()
    (volume / f"run-{RANDOM}").chmod(0o2775)
    server.faults = [cut(2), status(404)]

    first = download_as(
        RANDOM,
        server,
        volume,
    )
    shutil.move(volume / f"run-{RANDOM}", volume / f"run-{RANDOM + 1}")
    second = download_as(RANDOM + 1, server, volume)

    assert (first[0], second[0]) == (2, 0), (first, second)
    path = volume / f"run-{RANDOM + 1}/big.bin"
    assert path.read_bytes() == CONTENT
    assert stat.S_IMODE(path.stat().st_mode) & stat.S_IWUSR
    assert path.stat().st_uid == RANDOM + 1


def test_a_cache_in_a_directory_of_one_user_is_not_opened(
    server: DataServer, tmp_path: Path
) -> None:
    tmp_path.chmod(0o755)

    code, log = ended(start(server, tmp_path / "pod", tmp_path / "cache"))

    assert code == 0, log
    assert stat.S_IMODE((tmp_path / "cache").stat().st_mode) & stat.S_IWGRP == 0


def test_a_cache_that_another_user_has_closed_is_an_error_that_names_its_owner(
    server: DataServer, volume: Path
) -> None:
    cache = volume / "cache"
    cache.mkdir(mode=0o755)

    code, log = download_as(RANDOM, server, volume, f"--cache={cache}")

    assert code == 2
    assert f"cannot write in {cache}: Permission denied: {cache} has uid 0, gid 0, mode 2755" in log
    assert "give the pod's securityContext an fsGroup" in log
    assert server.requests == []
