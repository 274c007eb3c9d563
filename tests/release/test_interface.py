"""What was released by name is still there."""

from pathlib import Path

from release import interface

ROOT = Path(__file__).parents[2]


def test_what_was_released_is_still_there() -> None:
    assert interface.lost(ROOT) == [], "docs/api-stability.md says when a name may go"


def test_a_name_that_went_is_found_and_what_is_new_is_added(tmp_path: Path) -> None:
    path = tmp_path / interface.FILE
    path.parent.mkdir()
    path.write_text("command git-clone --old-flag\noutput git-clone commit\n")
    assert interface.lost(tmp_path) == ["command git-clone --old-flag"]

    interface.record(tmp_path)

    names = path.read_text().splitlines()
    assert names == sorted(names)
    assert {
        "command git-clone --old-flag", "command git-clone GIT_TOKEN", "command show RUN",
        "output git-clone commit", "python stepkit.run", "reason cell-error",
        "Task git-clone results commit", "Pipeline notebook-ci params notebook",
    } <= set(names)  # fmt: skip
