from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from stepkit.tools import cgroup

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Files in the place of the kernel's: no test can make the OOM killer come everywhere."""
    monkeypatch.setattr(cgroup, "_ROOT", tmp_path / "groups")
    monkeypatch.setattr(cgroup, "_MEMBERSHIP", tmp_path / "membership")
    (tmp_path / "groups").mkdir()
    return tmp_path


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_reads_version_2_at_the_root_of_a_container(groups: Path) -> None:
    write(groups / "membership", "0::/\n")
    write(groups / "groups/memory.events", "low 0\noom 2\noom_kill 3\n")
    write(groups / "groups/memory.max", "2147483648\n")

    assert (cgroup.oom_kills(), cgroup.memory_limit()) == (3, 2 * 2**30)


def test_reads_version_2_of_the_own_group(groups: Path) -> None:
    write(groups / "membership", "0::/pod/step\n")
    write(groups / "groups/memory.events", "oom_kill 9\n")
    write(groups / "groups/pod/memory.max", "1000\n")
    write(groups / "groups/pod/step/memory.events", "oom_kill 1\n")
    write(groups / "groups/pod/step/memory.max", "max\n")

    assert (cgroup.oom_kills(), cgroup.memory_limit()) == (1, 1000)


def test_reads_version_1(groups: Path) -> None:
    write(groups / "membership", "5:cpu,cpuacct:/x\n4:memory:/pod\n0::/\n")
    write(groups / "groups/memory/pod/memory.oom_control", "under_oom 0\noom_kill 1\n")
    write(groups / "groups/memory/pod/memory.limit_in_bytes", "4096\n")

    assert (cgroup.oom_kills(), cgroup.memory_limit()) == (1, 4096)


def test_finds_the_files_of_a_container_that_is_told_its_path_outside(groups: Path) -> None:
    write(groups / "membership", "4:memory:/kubepods/pod1/abc\n")
    write(groups / "groups/memory/memory.oom_control", "oom_kill 2\n")
    write(groups / "groups/memory/memory.limit_in_bytes", f"{2**63 - 4096}\n")

    assert (cgroup.oom_kills(), cgroup.memory_limit()) == (2, None)


def test_knows_nothing_without_the_files(groups: Path) -> None:
    assert (cgroup.oom_kills(), cgroup.memory_limit()) == (None, None)

    write(groups / "groups/memory.events", "oom_kill many\n")
    assert cgroup.oom_kills() is None
