"""Whatever a file, a text or an answer holds, a reader returns or raises a StepError of one line.

It takes no longer than ten seconds, and changes nothing outside of its directory. `make fuzz` tries
50,000 inputs, at random; the quick suite tries the same few each time, and those that once broke
something: they lie in corpus/READER.
"""

from __future__ import annotations

import os
import re
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from fuzz import answers, files_of_runs, files_of_users
from fuzz.reader import ROOT, Reader
from hypothesis import HealthCheck, Phase, given, settings

from stepkit.errors import ConfigurationError, StepError

READERS = {**files_of_users.READERS, **files_of_runs.READERS, **answers.READERS}
CORPUS = Path(__file__).with_name("corpus")
FOUND = ROOT / ".cache/fuzz"
LONGEST = 10  # seconds of the processor for one input
WAITING = 60  # seconds for one input, on a machine with other work
TRIED = int(os.environ.get("STEPKIT_FUZZ_INPUTS", "0"))  # in all
SHARE = TRIED / sum(1 / reader.cost for reader in READERS.values())
CHANGES = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.symlink", "os.link", "os.truncate",
           "shutil.rmtree", "subprocess.Popen", "os.system"}  # fmt: skip
QUICK = 3
REFUSED = {"plan", "git-stderr", "xid"}  # its notebooks are not there; they make errors

inside: list[str] = []  # the directory in which a reader may change files, while it reads
outside: list[str] = []


class Hang(BaseException):
    """A reader took too long; no reader may catch it."""


def watch(event: str, args: tuple[Any, ...]) -> None:
    """Note each change of a file outside of the directory; Python cannot remove an audit hook."""
    if not inside or (event not in CHANGES and event != "open"):
        return
    path, flags = args[0], args[2] if event == "open" else os.O_WRONLY
    writes = isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR)
    if (
        not writes or isinstance(path, int) or path == sys.executable
    ):  # such as for a regex of a user
        return
    if not f"{os.path.realpath(os.fspath(path))}/".startswith((inside[0], "/dev/null")):
        outside.append(f"{event} {path}")


sys.addaudithook(watch)


def stop(*_: object) -> None:
    raise Hang


@contextmanager
def limited(directory: Path) -> Iterator[None]:
    """End what takes longer than LONGEST, and let it change files in ``directory`` alone."""
    timers = {
        (signal.ITIMER_PROF, signal.SIGPROF): LONGEST,
        (signal.ITIMER_REAL, signal.SIGALRM): WAITING,
    }
    for (timer, signum), seconds in timers.items():
        signal.signal(signum, stop)
        signal.setitimer(timer, seconds)
    inside.append(f"{os.path.realpath(directory)}/")
    try:
        yield
    except Hang:
        raise AssertionError("it does not end") from None
    finally:
        inside.clear()
        for timer, signum in timers:
            signal.setitimer(timer, 0)
            signal.signal(signum, signal.SIG_DFL)


def check(name: str, reader: Reader, data: bytes) -> None:
    """Let ``reader`` read ``data``, and keep what breaks it in FOUND: last the smallest."""
    outside.clear()
    try:
        with TemporaryDirectory() as made:
            path = Path(made, "in", reader.name)
            path.parent.mkdir()
            path.write_bytes(data)
            with warnings.catch_warnings(), limited(path.parent):
                warnings.simplefilter("ignore", ResourceWarning)
                read(reader, path)
        assert not outside, outside
    except BaseException:
        FOUND.mkdir(parents=True, exist_ok=True)
        (FOUND / name).write_bytes(data)
        raise


def read(reader: Reader, path: Path) -> None:
    refusal: BaseException | None = None
    refusals: tuple[type[BaseException], ...] = (StepError, *reader.raises)
    try:
        reader.read(path)
    except refusals as error:
        refusal = error
    if refusal:
        assert getattr(refusal, "exit_code", 2) in {2, 3, 4}
        assert str(refusal).strip()
        assert "\n" not in str(refusal)


def tried(reader: Reader) -> settings:
    """Return hypothesis' settings: few and the same inputs, or a share of those of `make fuzz`."""
    return settings(
        max_examples=max(1, round(SHARE / reader.cost)) if TRIED else QUICK,
        derandomize=not TRIED, database=None, deadline=None,
        suppress_health_check=list(HealthCheck), phases=[Phase.generate, Phase.shrink],
    )  # fmt: skip


@pytest.mark.parametrize("name", READERS)
def test_no_input_breaks_a_reader(name: str) -> None:
    reader = READERS[name]

    @given(reader.inputs)
    def once(data: bytes) -> None:
        check(name, reader, data)

    tried(reader)(once)()


def test_each_reader_begins_with_an_input_that_it_takes(tmp_path: Path) -> None:
    refused = set()
    for name, reader in READERS.items():
        path = tmp_path / name / reader.name
        path.parent.mkdir()
        path.write_bytes(reader.seeds[0])
        try:
            reader.read(path)
        except StepError:
            refused.add(name)

    assert refused == REFUSED


@pytest.mark.parametrize(
    "path", sorted(CORPUS.glob("*/*")), ids=lambda path: f"{path.parent.name}-{path.name}"
)
def test_what_once_broke_a_reader_does_not(path: Path) -> None:
    check(path.parent.name, READERS[path.parent.name], path.read_bytes())


def hang(_: Path) -> None:
    while True:
        pass


def write_beside(path: Path) -> None:
    (path.parents[1] / "b").write_text("")


def say_two_lines(_: Path) -> None:
    raise ConfigurationError("a\nb")


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        (hang, "it does not end"),
        (write_beside, "open .*/b"),
        (say_two_lines, "not in"),
        (lambda path: {}[path], "KeyError"),
    ],
)
def test_a_broken_reader_is_found_and_its_input_kept(
    broken: Callable[[Path], object],
    why: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(f"{__name__}.LONGEST", 0.01)
    monkeypatch.setattr(f"{__name__}.FOUND", tmp_path)

    with pytest.raises((AssertionError, KeyError)) as caught:
        check("one", Reader(read=broken, seeds=[b"x"]), b"data")

    assert re.search(why, repr(caught.value))
    assert (tmp_path / "one").read_bytes() == b"data"
