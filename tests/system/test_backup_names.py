import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from stepkit.system import backup_names


def test_a_backup_lies_beside_its_original_and_names_it_and_the_time() -> None:
    backup = backup_names.path_for(Path("/work/source"))

    assert backup.parent == Path("/work")
    assert backup_names.is_backup(backup)
    parsed = backup_names.parse(backup)
    assert parsed is not None
    assert parsed[0] == Path("/work/source")
    assert abs(parsed[1] - datetime.now(UTC)) < timedelta(minutes=1)


def test_a_long_name_is_cut_between_two_characters() -> None:
    backup = backup_names.path_for(Path("/work") / ("ä" * 127))

    assert len(os.fsencode(backup.name)) in {254, 255}
    assert backup.name.startswith("ä" * 100)


@pytest.mark.parametrize("time", ["20269999T000000000000Z", "20260101T000000Z"])
def test_a_time_that_stepkit_never_writes_is_not_parsed(time: str) -> None:
    backup = Path(f"source.backup-{time}")

    assert backup_names.is_backup(backup)
    assert backup_names.parse(backup) is None


def test_a_name_of_the_older_workflow_has_its_time() -> None:
    made = backup_names.parse_legacy(Path("/work/my_backup_dir_backup_20260131_235901"))

    assert made == datetime(2026, 1, 31, 23, 59, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "name",
    [
        "source_backup_20269999_000000",
        "source_backup_20260131",
        "source_backup_20260131_235901_old",
        "_backup_20260131_235901",
        "source.backup-20260131T235901000000Z",
    ],
)
def test_another_name_is_not_one_of_the_older_workflow(name: str) -> None:
    assert backup_names.parse_legacy(Path(name)) is None
