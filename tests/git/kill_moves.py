"""Kill a process at each change that it makes to a directory, and check what it leaves.

The script prints one line for each state that is neither the old nor the new one, and at the end
the number of kills. It runs in a separate process, because one with threads must not fork.
"""

import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

from stepkit.git import swap_contents

CHANGES = ("rename", "replace", "unlink", "rmdir", "mkdir", "link")

OLD = {"a": "old", "d/x": "old", "d/mine": "mine", "gone": "old", ".git/HEAD": "old"}
NEW = {"a": "new", "d/x": "new", "fresh/y": "new", ".git/HEAD": "new"}
WHOLE = swap_contents.Moves(
    out=(".git", "a", "d", "gone"), into=(".git", "a", "d", "fresh"), backup=Path()
)
OVER = swap_contents.Moves(
    out=(".git", "a", "d/x", "gone"), into=(".git", "a", "d/x", "fresh"), backup=Path()
)


def fill(directory: Path, content: dict[str, str]) -> None:
    for name, text in content.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(text)


def content(directory: Path) -> dict[str, str]:
    return {
        str(path.relative_to(directory)): path.read_text()
        for path in directory.rglob("*")
        if path.is_file() and ".backup-" not in str(path.relative_to(directory))
    }


def killing(number: int) -> Callable[[], None]:
    """Have this process killed just before its change ``number``, counted from 1; never for 0."""
    made = [0]

    def count() -> None:
        made[0] += 1
        if made[0] == number:
            os.kill(os.getpid(), signal.SIGKILL)

    def wrapped(call: Any) -> Any:
        def change(*args: Any, **more: Any) -> Any:
            count()
            return call(*args, **more)

        return change

    for name in CHANGES:
        setattr(os, name, wrapped(getattr(os, name)))
    return count


def child(work: Callable[[], object], kill_at: int) -> bool:
    """Run ``work`` in a child process; return whether it was killed."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            killing(kill_at)
            work()
            status = 0
        finally:
            os._exit(status)
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        return True
    assert status == 0, f"the child failed when it was to be killed at {kill_at}"
    return False


def replace(directory: Path, moves: swap_contents.Moves) -> None:
    with swap_contents.locked(directory), swap_contents.scratch(directory) as new:
        fill(new, NEW)
        swap_contents.move(directory, new, moves)


def recover(directory: Path) -> None:
    with swap_contents.locked(directory):
        pass


def wrong(directory: Path, moves: swap_contents.Moves) -> str:
    """Describe a state that is neither the old nor the new one; return "" for these."""
    kept = list(directory.glob("*.backup-*"))
    found = content(directory)
    over = {"d/mine": "mine"} if "d" not in moves.out else {}
    if found == OLD and not kept:
        return ""
    if found == NEW | over:
        backup = content(kept[0]) if kept else {}
        if bool(kept) == bool(moves.backup) and backup.items() <= OLD.items():
            lost = OLD.keys() - backup.keys() - over.keys() if moves.backup else None
            return f"lost {lost}" if lost else ""
    return f"{found}, backups {[content(one) for one in kept]}"


def tries(directory: Path, plan: swap_contents.Moves, at: int, *, keep: bool) -> Iterator[str]:
    """Kill a run at its change ``at``, and then its recovery at each of its changes."""
    second, going_on = 0, True
    while going_on:
        fill(directory, OLD)
        backup = directory / "d.backup-20260101T000000000000Z" if keep else None
        moves = swap_contents.Moves(out=plan.out, into=plan.into, backup=backup)
        killed = child(lambda: replace(directory, moves), at)  # noqa: B023
        again = bool(second) and child(lambda: recover(directory), second)
        if killed:
            yield "killed"
        recover(directory)
        if problem := wrong(directory, moves):
            yield f"{at} {second} {moves}: {problem}"
        shutil.rmtree(directory)
        going_on = killed and keep and plan is WHOLE and (again or not second)
        second += 1


def main(place: Path) -> None:
    said: list[str] = []
    for plan, keep in product((WHOLE, OVER), (False, True)):
        at, new = 1, ["killed"]
        while new:
            new = list(tries(place / "d", plan, at, keep=keep))
            said += new
            at += 1
    problems = [one for one in said if one != "killed"]
    sys.stdout.write("\n".join([*problems, f"killed {said.count('killed')} times", ""]))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
