"""A file takes its target's place when it is whole, and leaves nothing before."""

import os
from pathlib import Path

import pytest
from file_systems import without_nameless_files

from stepkit.engine.staged_file import StagedFile
from stepkit.system import scratch


def test_a_staged_file_that_is_not_published_leaves_nothing(target: Path) -> None:
    for named in (False, True):
        with pytest.MonkeyPatch.context() as patch:
            if named:
                without_nameless_files(patch)
            staged = StagedFile(target)
        staged.write(b"x" * 100)
        staged.close()

    assert list(target.parent.iterdir()) == []


def test_a_staged_file_can_be_copied_from_after_it_was_published(target: Path) -> None:
    first = StagedFile(target)
    first.write(b"0123456789")
    first.publish()
    second = StagedFile(target)
    second.copy(first, 2, 5)
    second.write(b"!")
    second.publish()

    assert target.read_bytes() == b"23456!"
    assert second.size == 6
    first.close()
    second.close()


def test_a_published_file_that_was_truncated_is_detected(target: Path) -> None:
    first = StagedFile(target)
    first.write(b"0123456789")
    first.publish()
    os.truncate(target, 3)
    second = StagedFile(target)

    with pytest.raises(OSError, match="became shorter"):
        second.copy(first, 0, 10)

    first.close()
    second.close()


@pytest.mark.parametrize("named", [False, True])
def test_a_staged_file_is_locked_until_it_is_published(
    target: Path, monkeypatch: pytest.MonkeyPatch, *, named: bool
) -> None:
    if named:
        without_nameless_files(monkeypatch)
    staged = StagedFile(target)
    staged.write(b"x")
    for path in target.parent.iterdir():
        assert scratch.is_scratch(path.name)
        assert scratch.in_use(path)

    staged.publish()

    assert [path.name for path in target.parent.iterdir()] == [target.name]
    assert not scratch.in_use(target)
    staged.close()
