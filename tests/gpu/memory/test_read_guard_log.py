"""What is read of the log that the guard writes inside the kernel."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepkit.gpu.memory import read_guard_log


def read(directory: Path, *events: object) -> read_guard_log.GuardLog:
    """Write a log of these events, and read it."""
    path = directory / "guard.jsonl"
    path.write_text("".join(f"{json.dumps(event)}\n" for event in events))
    return read_guard_log.read(path)


INSTALLED = {"event": "installed", "pid": 7}
IMPORTED = {"event": "imported", "pid": 7, "version": "26.10.00"}
POOL = {"rung": "asked", "kind": "pool", "bytes": 4 << 30, "error": None}


def call(**changes: Any) -> dict[str, Any]:
    usual: dict[str, Any] = {
        "event": "reinitialize",
        "pid": 7,
        "by": "notebook",
        "arguments": "True",
    }
    usual |= {"asked": POOL, "served": POOL, "tried": [], "error": None, "cuda": None}
    return {**usual, **changes}


def test_without_a_log_the_guard_was_not_active(tmp_path: Path) -> None:
    found = read_guard_log.read(tmp_path / "guard.jsonl")

    assert found == read_guard_log.GuardLog()
    assert not found.active
    assert found.allocator == "unknown: the guard was not active"


def test_an_unused_guard_says_that_rmm_was_not_used(tmp_path: Path) -> None:
    found = read(tmp_path, INSTALLED)

    assert found.active
    assert found.allocator == "not RMM: nothing imported it"


def test_the_last_set_up_of_the_kernel_itself_counts(tmp_path: Path) -> None:
    child = {"event": "installed", "pid": 8}
    plain = {"rung": "plain", "kind": "cuda", "bytes": None, "error": None}
    tried = [{**POOL, "error": "MemoryError: out_of_memory"}]
    lines = [INSTALLED, IMPORTED, call(), call(served=plain, tried=tried), child, call(pid=8)]
    found = read(tmp_path, *lines)

    assert found.allocator == "plain CUDA: the pool of 4.0 GiB did not fit"
    assert found.lowered
    assert found.children == 1
    assert [entry.lowered for entry in found.calls] == [False, True, False]
    assert found.calls[1].tried == ("pool of 4.0 GiB: MemoryError: out_of_memory",)


def test_a_library_may_set_rmm_up_by_itself(tmp_path: Path) -> None:
    counts = {"event": "statistics", "pid": 7, "resource": "PrefetchResourceAdaptor"}
    found = read(tmp_path, INSTALLED, IMPORTED, counts)

    assert found.allocator == "PrefetchResourceAdaptor, as the notebook or a library set it up"


def test_an_allocator_that_the_notebook_set_itself_is_named(tmp_path: Path) -> None:
    ours = {"event": "statistics", "pid": 7, "resource": "PoolMemoryResource", "ours": True}
    theirs = {**ours, "resource": "ArenaMemoryResource", "ours": False}
    lines = [INSTALLED, IMPORTED, call(by="mode"), ours]

    found = read(tmp_path, *lines)
    assert found.allocator == "pool of 4.0 GiB, as --rmm-mode asks"
    found = read(tmp_path, *lines, theirs)
    assert found.allocator == "ArenaMemoryResource, as the notebook or a library set it up"


def test_cupys_own_pool_is_named_with_its_limit_where_nothing_uses_rmm(tmp_path: Path) -> None:
    cupy = {"event": "statistics", "pid": 7, "cupy_bytes": 1 << 30, "cupy_limit": 2 << 30}

    found = read(tmp_path, INSTALLED, cupy)
    assert found.allocator == "CuPy's own pool, limited to 2.0 GiB: nothing imported RMM"
    assert (found.kind, found.cupy_limit) == ("cupy", 2 << 30)
    found = read(tmp_path, INSTALLED, {**cupy, "cupy_limit": 0})
    assert found.allocator == "CuPy's own pool: nothing imported RMM"


def test_what_the_guard_saw_of_the_gpu_and_of_libraries_is_kept(tmp_path: Path) -> None:
    early = {"event": "statistics", "pid": 7, "resource": "CudaMemoryResource"}
    early |= {"libraries": ["cudf"], "pages_leave": None, "kind": "cuda"}
    late = {**early, "libraries": ["cudf", "cuml"], "pages_leave": False}

    found = read(tmp_path, INSTALLED, IMPORTED, early, late)
    assert found.libraries == ("cudf", "cuml")
    assert (found.pages_leave, found.version, found.kind) == (False, "26.10.00", "cuda")


def test_counts_are_of_the_process_that_used_most(tmp_path: Path) -> None:
    counts = [
        {"event": "statistics", "pid": pid, "peak_bytes": peak, "total_bytes": 9, "total_count": 2}
        for pid, peak in ((7, 5), (7, 6), (8, 4))
    ]
    cupy = {"event": "statistics", "pid": 7, "cupy_bytes": 0}
    found = read(tmp_path, INSTALLED, IMPORTED, *counts, cupy)

    assert (found.peak, found.total, found.allocations, found.cupy) == (6, 9, 2, 0)


def test_lines_that_are_torn_or_not_ours_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "guard.jsonl"
    strange = [
        b'{"event": "reinitialize", "pid": 7}\n',
        b'{"event": "statistics", "pid": 7, "peak_bytes": "many"}\n',
        b'{"event": "statistics", "pid": 7, "resource": ["CudaMemoryResource"]}\n',
        b'{"event": "statistics", "pid": 7, "libraries": [["cudf"]]}\n',
        b'{"event": "statistics", "pid": 7, "overflow_bytes": 1%s}\n' % (b"0" * 400),
        b'{"event": ["installed"], "pid": 7}\n',
        b'{"event": "warning", "pid": 7}\n',
        b"[1]\n",
        b"\xff\xfe\n",
        b'{"event": "imported", "pi',
    ]
    path.write_bytes(json.dumps(INSTALLED).encode() + b"\n" + b"".join(strange))
    found = read_guard_log.read(path)

    assert found.active
    assert not found.rmm
    assert found.torn == len(strange)


SEEN = ["text", "resource", "ours", "libraries", "pages_leave", "version"]
COUNTS = ["peak_bytes", "cupy_bytes", "cupy_limit"]
FIELDS = st.sampled_from([*call(), *POOL, *SEEN, *COUNTS])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(FIELDS, inner, max_size=3),
    max_leaves=4,
)


@given(st.data())
def test_no_line_makes_the_log_unreadable(data: st.DataObject) -> None:
    counts = {"event": "statistics", "pid": 7, "resource": "PoolMemoryResource", "peak_bytes": 1}
    warning = {"event": "warning", "pid": 7, "text": "..."}
    event = data.draw(st.sampled_from([INSTALLED, IMPORTED, call(), counts, warning]))
    changes = data.draw(st.dictionaries(FIELDS, VALUES, max_size=2))
    rung = {**POOL, **data.draw(st.dictionaries(FIELDS, VALUES, max_size=1))}
    line = json.dumps({**event, "asked": rung, "tried": [rung], **changes})
    cut = data.draw(st.integers(0, len(line)))

    found = read_guard_log.parse([json.dumps(INSTALLED), line, line[:cut]])

    assert found.active
    assert found.torn <= 2


def test_of_many_calls_the_first_and_the_last_are_kept(tmp_path: Path) -> None:
    warning = {"event": "warning", "pid": 7, "text": "the same"}
    calls = [call(arguments=str(number)) for number in range(1000)]
    found = read(tmp_path, INSTALLED, *calls, *[warning] * 1000)

    assert (len(found.calls), found.more_calls) == (100, 900)
    assert (found.calls[0].arguments, found.calls[-1].arguments) == ("0", "999")
    assert found.warnings == ("the same",)


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
def test_a_log_that_cannot_be_read_does_not_hide_the_verdict(
    tmp_path: Path, make: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    make(tmp_path / "guard.jsonl")
    found = read_guard_log.read(tmp_path / "guard.jsonl")

    assert not found.active
    assert found.allocator == "unknown: the guard's report cannot be read"
    assert "the log of the guard is lost: cannot read " in caplog.text
