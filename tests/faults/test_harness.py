"""The harness finds each kind of defect in a step that misbehaves."""

import shlex
from base64 import b64encode
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from faults import harness
from faults.harness import SECRET, Expected, Fault

ENCODED = b64encode(f"me:{SECRET}".encode()).decode()


def misbehave(
    tmp_path: Path, script: str, exit_code: int = 4, reason: str = "network", disk: str = "old"
) -> tuple[Any, ...]:
    """Run a script in place of a step; return the kinds of defects that were found."""
    expected = Expected(
        number="G0",
        case="",
        fault="",
        step="step",
        exits=(exit_code,),
        reasons=(reason,),
        message="no answer",
        disk=disk,
        absent=("other",),
        slow=False,
        fails="",
        mended="",
    )
    (tmp_path / "work").mkdir()
    (tmp_path / "private").mkdir()
    properties: list[tuple[str, object]] = []
    fault = Fault(expected, tmp_path, properties, tmp_path)
    (fault.directory / "place").write_text("old")
    fault.place("place", lambda path: path.read_text() == "new")
    report = '{"reason": "%s", "message": "%s"}'
    body = f'say() {{ printf {shlex.quote(report)} "$1" "$2" > "$report"; }}\n{script}'
    command = ("sh", "-c", f"for report; do :; done\n{body}", "sh")
    with suppress(pytest.fail.Exception):
        fault.run(command=command)
    return tuple(kind for name, kind in properties if name == "defect")


RIGHT = "say network 'no answer'; "


@pytest.mark.parametrize(
    ("script", "kinds"),
    [
        (f"{RIGHT} exit 4", ()),
        (f"{RIGHT} exit 0", ("false success",)),
        (f"{RIGHT} exit 2", ("wrong class",)),
        ("say auth 'no answer'; exit 4", ("wrong class",)),
        ("say network 'wrong'; exit 4", ("wrong class",)),
        ("exit 4", ("wrong class",)),
        (f"{RIGHT} printf hal > place; exit 4", ("torn",)),
        (f"{RIGHT} printf new > place; exit 4", ("lost",)),
        (f"{RIGHT} rm place; exit 4", ("lost",)),
        (f"{RIGHT} mkdir .place.stepkit-abcdefgh; exit 4", ("torn",)),
        (f"{RIGHT} echo {shlex.quote(SECRET)}; exit 4", ("leaked",)),
        (f"{RIGHT} echo {ENCODED} >&2; exit 4", ("leaked",)),
        (f"{RIGHT} mkdir d; echo other > d/file; exit 4", ("leaked",)),
    ],
)
def test_what_a_failing_step_does_wrong(
    tmp_path: Path, script: str, kinds: tuple[str, ...]
) -> None:
    assert misbehave(tmp_path, script) == kinds


@pytest.mark.parametrize(
    ("script", "kinds"),
    [
        ("say ok 'no answer'; printf new > place", ()),
        ("say ok 'no answer'; printf new > place; exit 4", ("false failure",)),
        ("say ok 'no answer'", ("lost",)),
        ("say network 'no answer'; printf new > place", ("wrong class",)),
    ],
)
def test_what_a_step_that_should_succeed_does_wrong(
    tmp_path: Path, script: str, kinds: tuple[str, ...]
) -> None:
    assert misbehave(tmp_path, script, 0, "ok", "new") == kinds


def test_a_step_that_does_not_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness, "DEADLINE", 0.1)

    assert misbehave(tmp_path, "sleep 600") == ("hung",)
