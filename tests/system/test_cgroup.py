from pathlib import Path

import pytest

from stepkit.system import cgroup


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Files that replace the kernel's: a test cannot cause an OOM kill everywhere."""
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


def test_finds_the_files_of_a_container_without_a_cgroup_namespace(groups: Path) -> None:
    write(groups / "membership", "4:memory:/kubepods/pod1/abc\n")
    write(groups / "groups/memory/memory.oom_control", "oom_kill 2\n")
    write(groups / "groups/memory/memory.limit_in_bytes", f"{2**63 - 4096}\n")

    assert (cgroup.oom_kills(), cgroup.memory_limit()) == (2, None)


def test_nothing_is_known_without_the_files(groups: Path) -> None:
    assert (cgroup.oom_kills(), cgroup.memory_limit()) == (None, None)

    write(groups / "groups/memory.events", "oom_kill many\n")
    assert cgroup.oom_kills() is None


def test_what_is_free_is_the_limit_less_what_is_used_without_the_idle_cache(groups: Path) -> None:
    write(groups / "membership", "0::/\n")
    write(groups / "groups/memory.max", "1000\n")
    write(groups / "groups/memory.current", "700\n")
    write(groups / "groups/memory.stat", "anon 400\ninactive_file 250\nactive_file 50\n")

    assert cgroup.memory_free() == 1000 - (700 - 250)


def test_of_nested_groups_the_tightest_counts(groups: Path) -> None:
    write(groups / "membership", "0::/pod/step\n")
    write(groups / "groups/pod/step/memory.max", "max\n")
    write(groups / "groups/pod/step/memory.current", "10\n")
    write(groups / "groups/pod/memory.max", "1000\n")
    write(groups / "groups/pod/memory.current", "1200\n")  # above it, for a moment
    write(groups / "groups/memory.max", "500\n")
    write(groups / "groups/memory.current", "100\n")

    assert cgroup.memory_free() == 0


def test_what_is_free_is_read_from_version_1_too(groups: Path) -> None:
    write(groups / "membership", "4:memory:/pod\n")
    write(groups / "groups/memory/pod/memory.limit_in_bytes", "4096\n")
    write(groups / "groups/memory/pod/memory.usage_in_bytes", "2048\n")
    write(groups / "groups/memory/pod/memory.stat", "inactive_file 1\ntotal_inactive_file 1024\n")
    write(groups / "groups/memory/memory.limit_in_bytes", f"{2**63 - 4096}\n")
    write(groups / "groups/memory/memory.usage_in_bytes", "9999\n")

    assert cgroup.memory_free() == 3072


def test_without_a_limit_free_memory_is_unknown(groups: Path) -> None:
    write(groups / "groups/memory.current", "700\n")

    assert cgroup.memory_free() is None
