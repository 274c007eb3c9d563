"""The steps around a notebook beside the tools that do the same: git, curl, aws, tar."""

import filecmp
import hashlib
import random
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final
from urllib.request import Request, urlopen

import object_storage_server

from benchmarks import process
from benchmarks.compare.cases import Sample
from benchmarks.process import STEPKIT

Check = Callable[[dict[str, str]], str]  # given the words that commands get

_BUCKET: Final = "bench"
_KEYS: Final = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_REGION": "us-east-1"}


@dataclass(frozen=True)
class Peer:
    """One way to do a job.

    In the command, ``{source}`` is what :attr:`Case.prepare` made, ``{out}`` a new path for the
    result, ``{files}`` the server of the source, ``{storage}`` that of objects and ``{run}`` a new
    prefix there. ``before`` is run first and not measured; ``needs`` must be on PATH.
    """

    name: str
    command: tuple[str, ...]
    needs: str = ""
    before: tuple[str, ...] = ()


@dataclass(frozen=True)
class Case:
    """One job: ``prepare`` fills a directory, ``check`` says what is wrong with a result, or ""."""

    name: str
    what: str
    prepare: Callable[[Path], None]
    check: Check
    _: KW_ONLY
    peers: tuple[Peer, ...]

    @property
    def about(self) -> dict[str, Any]:
        """What a record keeps of the case."""
        names = [peer.name for peer in self.peers]
        return {"what": self.what, "stock": names[0], "runners": names}


def run_in_turn(
    cases: Sequence[Case], scratch: Path, turns: int, skipped: dict[str, str]
) -> Iterator[Sample]:
    """Yield a sample for each run; the peers take the lead in turn.

    ``skipped`` gets those whose program is missing, with the reason.
    """
    for case in cases:
        (scratch / case.name).mkdir()
        case.prepare(scratch / case.name)
    missing = {peer for case in cases for peer in case.peers if peer.needs}
    skipped |= {p.name: f"no {p.needs} on PATH" for p in missing if not shutil.which(p.needs)}
    with _serving(scratch) as (files, storage):
        for turn in range(turns):
            for case in cases:
                usable = [peer for peer in case.peers if peer.name not in skipped]
                first = turn % len(usable)
                for peer in usable[first:] + usable[:first]:
                    words = {"files": f"{files}/{case.name}", "storage": storage}
                    yield _run(case, peer, turn, scratch / case.name, words)


def _run(case: Case, peer: Peer, turn: int, source: Path, words: dict[str, str]) -> Sample:
    with tempfile.TemporaryDirectory(dir=source.parent) as directory:
        out = Path(directory, "out")
        words |= {"source": str(source), "out": str(out), "run": Path(directory).name}
        env = {**process.environment(source.parent), **_KEYS, "AWS_ENDPOINT_URL": words["storage"]}
        if peer.before:
            process.run([word.format(**words) for word in peer.before], env=env, cwd=source)
        done = process.run([word.format(**words) for word in peer.command], env=env, cwd=source)
        problem = done.problem or case.check(words)
    return Sample(case.name, peer.name, turn, done.usage, problem)


class _Files(SimpleHTTPRequestHandler):
    """Sends files without reading them: like a server on another machine, it takes little CPU."""

    def copyfile(self, source: Any, _: Any) -> None:
        self.wfile.flush()
        self.connection.sendfile(source)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@contextmanager
def _serving(directory: Path) -> Iterator[tuple[str, str]]:
    """Yield the URLs of two servers in another process: of files, and of object storage."""
    ours, theirs = get_context("spawn").Pipe()
    server = get_context("spawn").Process(target=_serve, args=(directory, theirs), daemon=True)
    server.start()
    try:
        yield ours.recv()
    finally:
        server.kill()
        server.join()


def _serve(directory: Path, pipe: Connection) -> None:
    handler = partial(_Files, directory=directory)
    files = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=files.serve_forever, daemon=True).start()
    with object_storage_server.serving() as storage:
        storage.bucket(_BUCKET)
        pipe.send((f"http://127.0.0.1:{files.server_port}", storage.url))
        threading.Event().wait()


def _write_files(directory: Path, count: int, size: int) -> None:
    """Write ``count`` files of ``size`` bytes together, half of which cannot be compressed."""
    draw = random.Random(1)
    each = size // count
    for number in range(count):
        path = directory / f"folder-{number % 40}" / f"file-{number}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        line = f"{number} is a line of a table\n".encode()
        path.write_bytes(draw.randbytes(each // 2) + line * (each // 2 // len(line)))


def _make_repository(source: Path, *, count: int, size: int) -> None:
    """Make a bare repository of two commits, packed as a server keeps it."""
    work = source / "work"
    identity = ("-c", "user.name=x", "-c", "user.email=x@example.com")
    _write_files(work, count, size)
    for command in (
        ("init", "--quiet", "--initial-branch=main"),
        ("add", "--all"),
        ("commit", "--quiet", "--message=first"),
        ("commit", "--quiet", "--allow-empty", "--message=second"),
        ("repack", "-adq", "--window=0"),
        ("clone", "--quiet", "--bare", "--no-local", ".", "../server.git"),
    ):
        subprocess.run(["git", *identity, *command], cwd=work, check=True)


def _make_archive(source: Path, *, count: int, size: int) -> None:
    _write_files(source / "work", count, size)
    subprocess.run(["tar", "-czf", source / "data.tar.gz", "-C", source / "work", "."], check=True)


def _make_data(source: Path, *, size: int) -> None:
    with (source / "data.bin").open("wb") as file:
        draw = random.Random(1)
        for _ in range(size >> 20):
            file.write(draw.randbytes(1 << 20))
    with (source / "data.bin").open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    (source / "sha256").write_text(f"{sha256}  data.bin\n")


def _sizes(directory: Path) -> dict[str, int]:
    names = (path for path in directory.rglob("*") if path.is_file())
    found = {path.relative_to(directory): path.stat().st_size for path in names}
    left_out = {".git", ".stepkit-dataset.json"}
    return {str(name): size for name, size in found.items() if name.parts[0] not in left_out}


def _same_files(words: dict[str, str]) -> str:
    right = _sizes(Path(words["out"])) == _sizes(Path(words["source"], "work"))
    return "" if right else "other files than there should be"


def _same_data(words: dict[str, str]) -> str:
    same, found = Path(words["source"], "data.bin"), Path(words["out"], "data.bin")
    return "" if found.is_file() and filecmp.cmp(same, found, shallow=False) else "other data"


def _same_objects(words: dict[str, str]) -> str:
    asked = f"{words['storage']}/{_BUCKET}?list-type=2&prefix={words['run']}/"
    with urlopen(Request(asked, headers=object_storage_server.SIGNED)) as answer:
        listed = re.findall(r"<Size>(\d+)</Size>", answer.read().decode())
    right = sorted(map(int, listed)) == sorted(_sizes(Path(words["source"], "work")).values())
    return "" if right else f"{len(listed)} objects, or of other sizes"


_CLONE: Final = ("git", "clone", "--quiet", "--depth=1", "file://{source}/server.git", "{out}")
_STEPKIT_CLONE: Final = (
    *STEPKIT, "git-clone", "--url", "file://{source}/server.git", "--destination", "{out}",
)  # fmt: skip
_FETCH_AGAIN: Final = (
    "cd {out} && git fetch --quiet --depth=1 origin HEAD && "
    "git reset --quiet --hard FETCH_HEAD && git clean -ffdxq"
)
_CURL: Final = "mkdir -p {out} && curl --silent --fail --output {out}/data.bin {files}/data.bin"
_DOWNLOAD: Final = (
    'exec "$0" -P -m stepkit download-dataset --url {files}/data.bin --directory {out} '
    '--sha256 "$(cut -c1-64 {source}/sha256)"'
)
_ARIA2C: Final = (
    "aria2c --quiet --dir={out} --checksum=sha-256=$(cut -c1-64 {source}/sha256) {files}/data.bin"
)
_UNPACK: Final = """
import sys, pathlib
from stepkit.datasets.unpack import unpack
out = pathlib.Path(sys.argv[2])
out.mkdir()
unpack(pathlib.Path(sys.argv[1]), out, sha256="0" * 64, kind="tar")
"""
_TRANSFER: Final = """
import sys, pathlib, boto3
from concurrent.futures import ThreadPoolExecutor
source, prefix = pathlib.Path(sys.argv[1]), sys.argv[2]
client = boto3.client("s3")
def send(path):
    client.upload_file(str(path), "bench", prefix + "/" + str(path.relative_to(source)))
with ThreadPoolExecutor(10) as pool:
    list(pool.map(send, [path for path in source.rglob("*") if path.is_file()]))
"""

_CLONES: Final = (Peer("git clone", _CLONE, "git"), Peer("stepkit", _STEPKIT_CLONE))
_AGAIN: Final = (
    Peer("git fetch, reset, clean", ("sh", "-c", _FETCH_AGAIN), "git", _CLONE),
    Peer("stepkit", _STEPKIT_CLONE, before=_STEPKIT_CLONE),
)
_DOWNLOADS: Final = (
    Peer("curl", ("sh", "-c", _CURL), "curl"),
    Peer(
        "curl, sha256sum",
        ("sh", "-c", f"{_CURL} && cd {{out}} && sha256sum --quiet -c {{source}}/sha256"),
        "curl",
    ),
    Peer(
        "aria2c",
        ("sh", "-c", _ARIA2C),
        "aria2c",
    ),
    Peer("stepkit", ("sh", "-c", _DOWNLOAD, sys.executable)),
)  # fmt: skip
_UNPACKS: Final = (
    Peer("tar", ("sh", "-c", "mkdir {out} && tar -xzf {source}/data.tar.gz -C {out}"), "tar"),
    Peer("stepkit", (sys.executable, "-P", "-c", _UNPACK, "{source}/data.tar.gz", "{out}")),
)
_PUBLISHES: Final = (
    Peer(
        "aws s3 cp",
        ("aws", "s3", "cp", "--quiet", "--recursive", "{source}/work", f"s3://{_BUCKET}/{{run}}"),
        "aws",
    ),
    Peer("boto3", (sys.executable, "-P", "-c", _TRANSFER, "{source}/work", "{run}")),
    Peer(
        "s5cmd",
        ("s5cmd", "cp", "{source}/work/", f"s3://{_BUCKET}/{{run}}/"),
        "s5cmd",
    ),
    *(
        Peer(
            name,
            (*STEPKIT, "publish-artifacts", "--artifacts", "{source}/work", "--destination",
             f"s3://{_BUCKET}", "--prefix", "{run}", "--unlisted", "true",
             "--endpoint-url", "{storage}", "--verify", verify),
        )
        for name, verify in (("stepkit", "content"), ("stepkit --verify size", "size"))
    ),
)  # fmt: skip

_few: Final = partial(_make_repository, count=20, size=200_000)
_many: Final = partial(_make_repository, count=3000, size=150_000_000)

FULL: Final = (
    Case("clone-20-files", "20 files, depth 1", _few, _same_files, peers=_CLONES),
    Case("clone-150mb", "3,000 files, depth 1", _many, _same_files, peers=_CLONES),
    Case("clone-again-150mb", "over the same commit", _many, _same_files, peers=_AGAIN),
    Case(
        "download-1gb", "with a sha256", partial(_make_data, size=10**9), _same_data,
        peers=_DOWNLOADS,
    ),
    Case(
        "unpack-150mb", "a tar.gz of 3,000 files",
        partial(_make_archive, count=3000, size=150_000_000), _same_files, peers=_UNPACKS,
    ),
    Case(
        "publish-50mb", "50 files to moto's server",
        lambda source: _write_files(source / "work", 50, 50_000_000), _same_objects,
        peers=_PUBLISHES,
    ),
)  # fmt: skip
QUICK: Final = (
    Case("clone-20-files", "20 files, depth 1", _few, _same_files, peers=_CLONES),
    Case("clone-again", "over the same commit", _few, _same_files, peers=_AGAIN),
    Case(
        "download-20mb", "with a sha256", partial(_make_data, size=20 << 20), _same_data,
        peers=_DOWNLOADS,
    ),
    Case(
        "unpack-1mb", "a tar.gz of 50 files", partial(_make_archive, count=50, size=10**6),
        _same_files, peers=_UNPACKS,
    ),
)  # fmt: skip
