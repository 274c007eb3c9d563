"""Rows D: what goes wrong with a download, its server, its disk and its file."""

import gzip
import hashlib
import io
import json
import random
import signal
import socketserver
import ssl
import subprocess
import sys
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import quote

import certificates
import children
import commands
import loopback
import pytest
import waiting
from data_server import DataServer, Reply, cut, fine, flip, page, serving, status
from faults.harness import SECRET, Ended, Fault, row

CONTENT = random.Random(46).randbytes(300_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
Server: TypeAlias = Callable[[Reply], Reply]


@pytest.fixture
def server() -> Iterator[DataServer]:
    with serving(CONTENT) as server:
        yield server


def is_whole(path: Path) -> bool:
    return path.read_bytes() == CONTENT


def flags(url: str, *more: str | Path, sha256: str = SHA256, cache: str = "cache") -> list[str]:
    optional = [f"--{name}={value}" for name, value in (("sha256", sha256), ("cache", cache))]
    given = [flag for flag in optional if not flag.endswith("=")]
    return [f"--url={url}", "--directory=data", "--attempts=2", *given, *map(str, more)]


def download(
    fault: Fault, server: DataServer, *more: str, sha256: str = SHA256, **process: Any
) -> Ended:
    """Download the server's file to its place, which must be whole or as it was."""
    fault.place("data/census.bin", is_whole)
    return fault.run(*flags(f"{server.url}/census.bin", *more, sha256=sha256), **process)


def cut_off(**more: Any) -> Server:
    return lambda reply: replace(cut()(reply), **more)


def header(**headers: str) -> Server:
    return lambda reply: reply.having(**headers)


COMPRESSED = Reply(body=gzip.compress(CONTENT, mtime=0)).having(Content_Encoding="gzip")
# What the server does: to the first requests, and to all that come after them.
SERVERS: dict[str, tuple[list[Server], Server]] = {
    "D1-with-sha256": ([], fine),
    "D1-without": ([], fine),
    **{f"D2-{code}": ([], status(code)) for code in (401, 403, 404, 410)},
    "D3": ([status(500), status(502)], fine),
    "D4-429": ([status(429, Retry_After="1")], fine),
    "D4-503": ([status(503, Retry_After="1")], fine),
    "D5": ([], status(502)),
    "D6": ([cut(), cut(), cut(2)], fine),
    "D7-with-sha256": ([], cut_off(sends_length=False)),
    "D7-with-size": ([], cut_off(sends_length=False)),
    "D7-with-neither": ([], cut_off(sends_length=False)),
    "D8": ([], cut_off(chunked=True)),
    "D9": ([], lambda reply: replace(reply, cut=1000, hangs=True)),
    "D10": ([], lambda reply: replace(reply, drips=True)),
    "D11": ([flip], fine),
    "D12-twice": ([], flip),
    "D12-only-attempt": ([], flip),
    "D13": ([], page),
    "D14": ([], lambda reply: replace(reply, reset=True)),
    "D24-is-the-file": ([], header(Content_Encoding="gzip")),
    "D24-is-another": ([], lambda _: COMPRESSED),
    "D24-without-sha256": ([], header(Content_Encoding="gzip")),
    "D25": ([], fine),
    "D43": ([], fine),
}
FLAGS = {
    "D3": ["--attempts=3"],
    "D7-with-size": [f"--size={len(CONTENT)}"],
    "D9": ["--stall-timeout=1"],
    "D10": ["--stall-timeout=1"],
    "D12-only-attempt": ["--attempts=1"],
    "D25": [f"--size={len(CONTENT) - 1}"],
}
SHA256S = {
    **dict.fromkeys(("D1-without", "D7-with-size", "D7-with-neither", "D24-without-sha256"), ""),
    "D43": "0" * 64,
}


@row("D1", "D2", "D3", "D4", "D5", "D6", "D7", "D8", "D9", "D10", "D11", "D12", "D13", "D14",
     "D24", "D25", "D43")  # fmt: skip
def test_a_server_sends_what_it_should_not(fault: Fault, server: DataServer) -> None:
    name = "-".join(filter(None, [fault.expected.number, fault.case]))
    server.faults, server.always = SERVERS[name]

    download(fault, server, *FLAGS.get(name, ()), sha256=SHA256S.get(name, SHA256))

    if fault.expected.number in {"D1", "D2"}:
        assert len(server.requests) == 1, "it was tried again"


def begin(fault: Fault, server: DataServer, content: bytes, etag: str = '"v1"') -> None:
    """Leave what a killed run has fetched of the file."""
    part = fault.directory / f"cache/{SHA256}.part"
    part.parent.mkdir()
    part.write_bytes(content)
    source = hashlib.sha256(f"{server.url}/census.bin".encode()).hexdigest()
    sidecar = {"source": source, "validator": etag, "total": len(CONTENT)}
    part.with_name(f"{part.name}.json").write_text(json.dumps(sidecar))


@row("D15", "D16", "D17", "D18", "D19", "D20", "D21", "D22")
def test_a_part_of_an_earlier_run_is_there(fault: Fault, server: DataServer) -> None:
    number = fault.expected.number
    begun = {
        "D16": b"x" * 1000,
        "D17": CONTENT[999::-1],
        "D18": CONTENT[999::-1],
        "D21": CONTENT + b"x",
        "D22": CONTENT,
    }
    begin(fault, server, begun.get(number, CONTENT[:1000]), '"v0"' if number == "D17" else '"v1"')
    server.heeds_if_range, server.heeds_ranges = number != "D18", number != "D19"
    if number == "D20":
        server.always = header(Content_Range="bytes 5-9/300000")

    download(fault, server)

    first = {"D21": [None], "D22": []}.get(number, ["bytes=1000-"])
    assert server.ranges[:1] == first
    assert len(server.ranges) == (2 if number in {"D16", "D18", "D20"} else len(first))


@row("D23")
def test_a_file_without_a_validator_is_begun_anew(fault: Fault, server: DataServer) -> None:
    server.etag = 'W/"v1"' if fault.case == "weak" else ""
    server.faults = [cut()]

    download(fault, server, sha256="")

    assert server.ranges == [None, None]


@row("D26")
def test_a_redirect(fault: Fault, server: DataServer) -> None:
    with serving(CONTENT) as other:
        to = {"loop": "/census.bin", "other-host": f"{other.url}/x", "metadata": METADATA[0]}
        times = 20 if fault.case == "loop" else 1
        server.faults = [status(302, Location=to.get(fault.case, "/x"))] * times
        if fault.case == "to-http":
            certificate = certificates.make_certificate(fault.private / "certificate.pem")
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            with serving(CONTENT, tls=context) as encrypted:
                encrypted.always = status(302, Location=f"{other.url}/x")
                download(fault, encrypted, env={"SSL_CERT_FILE": str(certificate)})
        else:
            download(fault, server, "--auth=DATASET_TOKEN", env={"DATASET_TOKEN": SECRET})

    assert server.requests == [] or server.requests[0]["Authorization"] == f"Bearer {SECRET}"
    assert not any("Authorization" in request for request in other.requests)


METADATA = ["http://169.254.169.254/x", "http://2852039166/x"]


@row("D39")
def test_a_url_of_the_machine_itself(fault: Fault) -> None:
    urls = {"file": "file:///etc/passwd", "metadata-address": METADATA[0]}
    urls |= {"metadata-number": METADATA[1], "ftp": "ftp://127.0.0.1/x"}
    fault.place("data/x", lambda _: False)

    fault.run(*flags(urls[fault.case], sha256=""))


@contextmanager
def disk(fault: Fault, options: str) -> Iterator[Path]:
    fault.needs("root", "mount")
    path = fault.directory / "disk"
    path.mkdir()
    with commands.mounted(path, "-t", "tmpfs", "-o", options, "tmpfs"):
        yield path


@row("D27", "D28", "D29", "D30")
def test_a_disk_that_takes_no_more(fault: Fault, server: DataServer) -> None:
    number = fault.expected.number
    sizes = {"D29": "ro", "D30": "size=4m,nr_inodes=2"}
    if number == "D28":  # the step learns the size only when it is too late
        server.always = lambda reply: replace(reply, chunked=True)
    with disk(fault, sizes.get(number, "size=100k")) as path:
        fault.place("disk/data/census.bin", is_whole)
        fault.run(*flags(f"{server.url}/census.bin", f"--directory={path}/data", cache=""))

    assert len(server.requests) == (0 if number in sizes else 1)


@row("D31", "D32", "D33")
def test_a_damaged_file_is_replaced(fault: Fault, server: DataServer) -> None:
    given = flags(f"{server.url}/census.bin")
    if fault.expected.number == "D33":
        (fault.directory / "data").mkdir()
        (fault.directory / "data/census.bin").write_bytes(bytes(len(CONTENT)))
    else:
        fault.prepare(*given)
        cached = fault.directory / "cache" / SHA256
        cached.chmod(0o644)
        cached.write_bytes(CONTENT[:1000] if fault.expected.number == "D32" else flipped(CONTENT))
        (fault.directory / "data/census.bin").unlink()
        server.requests.clear()

    download(fault, server)

    assert len(server.requests) == 1


def flipped(content: bytes) -> bytes:
    return flip(Reply(body=content)).body


@row("D34")
def test_six_processes_at_once(fault: Fault, server: DataServer) -> None:
    place = fault.place("data/census.bin", is_whole)
    given = flags(f"{server.url}/census.bin", f"--stall-timeout={waiting.SOON}")
    waits: list[bytes] = []

    def hold(reply: Reply) -> Reply:
        waiting.until(lambda: len(waits) == 5 or len(server.requests) > 1)
        return reply

    def look(process: subprocess.Popen[bytes]) -> None:
        assert process.stderr
        waits.extend(line for line in process.stderr if b"waiting" in line)

    def run(number: int) -> Ended:
        elsewhere = [*given, f"--directory=data-{number}"]
        return fault.execute("download-dataset", elsewhere, meanwhile=look)

    server.faults = [hold]
    with ThreadPoolExecutor(5) as pool:
        runs = pool.map(run, range(5))
        fault.run(*given, meanwhile=look)

    assert [ended.exit for ended in runs] == [0] * 5
    assert all(map(is_whole, fault.directory.glob("data-*/census.bin")))
    assert is_whole(place)
    assert len(server.requests) == 1


HOLD = """\
import fcntl, sys, time
file = open({!r}, "w")
fcntl.flock(file, fcntl.LOCK_EX)
print("ready", flush=True)
time.sleep(600)
"""


@row("D35")
def test_a_lock_whose_holder_is_killed_while_another_run_waits(
    fault: Fault, server: DataServer
) -> None:
    (fault.directory / "cache").mkdir()
    code = HOLD.format(str(fault.directory / f"cache/{SHA256}.lock"))
    with children.child(code) as holder:
        waits = threading.Event()

        def kill(process: subprocess.Popen[bytes]) -> None:
            assert process.stderr
            while b"waiting" not in process.stderr.readline():
                assert process.poll() is None
            waits.set()
            holder.kill()

        download(fault, server, meanwhile=kill)

    assert waits.is_set()


@row("D36")
def test_kills_at_random_moments(fault: Fault, server: DataServer) -> None:
    dice = random.Random(36)

    def kill(process: subprocess.Popen[bytes]) -> None:
        waiting.until(lambda: server.requests or process.poll() is not None)
        with suppress(subprocess.TimeoutExpired):
            process.wait(dice.uniform(0, 0.1))
        process.kill()

    for _ in range(8):
        server.requests.clear()
        download(fault, server, meanwhile=kill)
        (fault.directory / "data/census.bin").unlink(missing_ok=True)

    fault.prepare(*flags(f"{server.url}/census.bin"))
    assert is_whole(fault.directory / "data/census.bin")


@row("D37")
def test_a_stopped_download_is_continued(fault: Fault, server: DataServer) -> None:
    server.faults = [cut_off(hangs=True)]

    def stop(process: subprocess.Popen[bytes]) -> None:
        part = fault.directory / f"cache/{SHA256}.part"
        waiting.until(lambda: part.exists() and part.stat().st_size == len(CONTENT) // 3)
        process.send_signal(signal.SIGTERM)

    download(fault, server, meanwhile=stop)

    fault.prepare(*flags(f"{server.url}/census.bin"))
    assert server.ranges == [None, "bytes=100000-"]
    assert is_whole(fault.directory / "data/census.bin")


@row("D38")
def test_a_name_that_is_none(fault: Fault, server: DataServer) -> None:
    paths = {"slash": "/tmp/census.bin", "dot-dot": "../census.bin", "300-bytes": "n" * 300}
    ends = {"nul": "/census%00.bin", "query": "/census.bin?to=/../../x"}
    more = [f"--path={paths[fault.case]}"] if fault.case in paths else []
    fault.place("data/census.bin", is_whole)

    fault.run(*flags(server.url + ends.get(fault.case, "/census.bin"), *more))

    assert not list(fault.base.glob("census*"))


def tar(name: str, **fields: Any) -> bytes:
    member = tarfile.TarInfo(name)
    for field, value in fields.items():
        setattr(member, field, value)
    with io.BytesIO() as buffer:
        with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
            archive.addfile(member, io.BytesIO(bytes(member.size)))
        return buffer.getvalue()


def zipped(*names: str) -> bytes:
    with io.BytesIO() as buffer:
        with zipfile.ZipFile(buffer, "w") as archive:
            for name in names:
                archive.writestr(name, b"x")
        return buffer.getvalue()


def bomb() -> bytes:
    """Return a tar file of 2 MB that holds 2.1 GB of zeros."""
    member = tarfile.TarInfo("zeros")
    member.size = 2_100_000_000
    return gzip.compress(member.tobuf()) + gzip.compress(bytes(10_000_000)) * 210


@row("D40")
def test_a_hostile_archive(fault: Fault, server: DataServer) -> None:
    make: dict[str, Callable[[], bytes]] = {
        "tar-slip": lambda: tar("../../evil"),
        "zip-slip": lambda: zipped("../../evil"),
        "link": lambda: tar("link", type=tarfile.SYMTYPE, linkname="/etc"),
        "device": lambda: tar("device", type=tarfile.CHRTYPE, devmajor=1, devminor=3),
        "bomb": bomb,
        "duplicate": lambda: zipped("a", "./a"),
    }
    server.content = make[fault.case]()
    fault.place("data/archive", lambda _: False)

    sha256 = hashlib.sha256(server.content).hexdigest()
    name = "archive.zip" if server.content.startswith(b"PK") else "archive.tar.gz"
    fault.run(*flags(f"{server.url}/{name}", "--unpack=auto", "--path=archive", sha256=sha256))

    assert not list(fault.base.rglob("evil"))


@row("D41")
def test_a_file_that_is_no_hdf5(fault: Fault, server: DataServer) -> None:
    head = b"\x89HDF\r\n\x1a\n\x02\x08\x08\x00" + bytes(8) + b"\xff" * 8
    if fault.case == "cut":
        server.content = head + (400).to_bytes(8, "little") + bytes(300)
    fault.place("data/census.h5ad", lambda _: False)

    fault.run(*flags(f"{server.url}/census.h5ad", sha256=""))


JUMPING_CLOCK = """\
import itertools, time
from stepkit.__main__ import run
real, days = time.time, itertools.cycle((0, 400, -400))
time.time = lambda: real() + 86400 * next(days)
raise SystemExit(run())
"""


@row("D42")
def test_a_clock_that_jumps(fault: Fault, server: DataServer) -> None:
    server.faults = [cut(), status(503, Retry_After="Fri, 01 Jan 2010 00:00:00 GMT"), cut()]

    download(fault, server, command=(sys.executable, "-P", "-c", JUMPING_CLOCK))


@row("D44")
def test_two_files_for_one_place(fault: Fault, server: DataServer) -> None:
    entries = [{"url": f"{server.url}/{folder}/census.bin"} for folder in "ab"]
    (fault.directory / "datasets.json").write_text(json.dumps({"datasets": entries}))
    fault.place("data/census.bin", is_whole)

    fault.run("--manifest=datasets.json", "--directory=data")

    assert server.requests == []


LENGTH = f"Content-Length: {len(CONTENT)}\r\n\r\n".encode() + CONTENT
CHUNK = b"%x;a=b\r\n%b\r\n0\r\nX-Sum: 1\r\n\r\n" % (len(CONTENT), CONTENT)
MOVED = "HTTP/1.1 302 Found\r\nLocation: {}\r\nContent-Length: 0\r\n\r\n"
ODD_ANSWERS = {
    "http-1.0": b"HTTP/1.0 200 OK\r\n" + LENGTH,
    "early-hints": b"HTTP/1.1 102 Wait\r\n\r\nHTTP/1.1 103 Hints\r\nLink: </a>\r\n\r\n"
    b"HTTP/1.1 200 OK\r\n" + LENGTH,
    "trailers": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNK,
    "fragment": MOVED.format("/there#part?a=b").encode(),
    "blanks": MOVED.format("/there é").encode(),
}


@row("D47")
def test_an_answer_that_few_servers_give(fault: Fault) -> None:
    class Odd(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            path = self.rfile.readline().split()[1]
            moved = path in {b"/there", b"/there%20%C3%A9"}
            self.wfile.write(ODD_ANSWERS["http-1.0" if moved else fault.case])

    with loopback.running(socketserver.ThreadingTCPServer(("127.0.0.1", 0), Odd)) as server:
        fault.place("data/census.bin", is_whole)
        fault.run(*flags(f"http://127.0.0.1:{server.server_address[1]}/census.bin"))


@row("D45")
def test_a_proxy_that_refuses(fault: Fault) -> None:
    fault.place("data/x", lambda _: False)
    proxy = f"http://user:{quote(SECRET, safe='')}@127.0.0.1:9"

    fault.run(*flags("http://stepkit.invalid/x"), env={"http_proxy": proxy, "no_proxy": ""})


@row("D46")
def test_a_signed_url(fault: Fault, server: DataServer) -> None:
    server.always = status(503)
    signed = f"{server.url}/census.bin?X-Amz-Signature={quote(SECRET, safe='')}"
    manifest = fault.private / "datasets.json"
    manifest.write_text(json.dumps({"datasets": [{"url": signed, "sha256": SHA256}]}))
    fault.place("data/census.bin", is_whole)

    fault.run(f"--manifest={manifest}", "--directory=data", "--cache=cache", "--attempts=2")

    assert len(server.paths) == 2
    assert all(quote(SECRET, safe="") in path for path in server.paths)
