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
