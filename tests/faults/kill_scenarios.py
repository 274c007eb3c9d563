"""The steps that are killed, what is there before them, and what they must leave whole."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import data_server
import message_servers
import yaml
from samples import Origin, write_notebook
from step_reports import write_report

from stepkit.steps import collect_artifacts, git_clone, prepare_workspace
from stepkit.workspace import run_marker

if TYPE_CHECKING:
    from collections.abc import Callable

DATA: Final = bytes(range(256)) * 1500
_OLD: Final = 40 * 86400  # seconds
_PIPELINE: Final = {
    "apiVersion": "tekton.dev/v1",
    "kind": "Pipeline",
    "metadata": {"name": "p"},
    "spec": {
        "workspaces": [{"name": "shared"}],
        "tasks": [
            {
                "name": name,
                "taskSpec": {
                    "results": [{"name": "r"}],
                    "steps": [{"name": "only", "image": "i", "command": ["sh", "-c", command]}],
                },
                **more,
            }
            for name, command, more in (
                ("one", "printf 1 > $(results.r.path)", {}),
                ("two", "echo two > $(workspaces.shared.path)/two", {"runAfter": ["one"]}),
            )
        ],
    },
}


@dataclass
class World:
    """What all rounds share, below ``directory``: a repository, servers, notebooks."""

    directory: Path
    closing: ExitStack = field(default_factory=ExitStack)

    @cached_property
    def origin(self) -> Origin:
        """A repository of two commits, tagged ``old`` and ``new``."""
        (self.directory / "server").mkdir()
        origin = Origin(self.directory / "server/origin")
        origin.commit("first", "src/one.txt")
        origin.commit("old", "two.txt")
        origin.git("tag", "old")
        origin.commit("changed", "src/one.txt")
        origin.commit("new", "three.txt")
        origin.git("tag", "new")
        return origin

    @cached_property
    def archive(self) -> bytes:
        """A .tar.gz of five files."""
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
            for number in range(5):
                member = tarfile.TarInfo(f"data/part{number}.bin")
                member.size = 20_000
                tar.addfile(member, io.BytesIO(bytes([number]) * member.size))
        return buffer.getvalue()

    @cached_property
    def data(self) -> str:
        """The address of a server of DATA."""
        return self.closing.enter_context(data_server.serving(DATA)).url

    @cached_property
    def archives(self) -> str:
        """The address of a server of the archive."""
        return self.closing.enter_context(data_server.serving(self.archive)).url

    @cached_property
    def chat(self) -> message_servers.Web:
        """A server that takes messages."""
        return self.closing.enter_context(message_servers.web())


@dataclass(frozen=True)
class Scenario:
    """A step in a directory ``work``, which ``prepare`` fills.

    ``arguments`` are those of the command line; ``inside`` is a directory of ``work`` in which it
    runs. ``grows`` is for what may lie between old and new when it is killed: checkpoints of a
    notebook, and entries that are moved one after the other. Each file is whole all the same.
    ``copies`` is false where the prepared directory cannot be copied.
    """

    step: str
    name: str
    prepare: Callable[[World, Path], None]
    arguments: Callable[[World, Path], list[Any]]
    environment: Callable[[World], dict[str, str]] = lambda _: {}
    inside: str = ""
    grows: bool = False
    copies: bool = True
    slow: bool = False


def _nothing(_: World, work: Path) -> None:
    """Begin with an empty directory."""


def _clone(world: World, destination: Path, revision: str) -> None:
    git_clone.run(
        git_clone.Options(url=world.origin.url, destination=destination, revision=revision)
    )


def _old_checkout(world: World, work: Path) -> None:
    _clone(world, work / "src", "old")


def _changed_checkout(world: World, work: Path) -> None:
    _clone(world, work / "src", "old")
    (work / "src/mine.txt").write_text("my work")


def _clone_arguments(world: World, work: Path) -> list[Any]:
    return ["--url", world.origin.url, "--revision", "new", "--destination", work / "src"]


def _dataset(world: World, work: Path) -> list[Any]:
    sha256 = hashlib.sha256(DATA).hexdigest()
    return [
        "--url", f"{world.data}/d.bin", "--sha256", sha256, "--directory", work / "data",
        "--cache", work / "cache",
    ]  # fmt: skip


def _partial_dataset(_: World, work: Path) -> None:
    sha256 = hashlib.sha256(DATA).hexdigest()
    (work / "cache").mkdir()
    (work / "cache" / f"{sha256}.part").write_bytes(DATA[:100_000])
    (work / "data").mkdir()
    (work / "data/d.bin").write_bytes(b"an older one")


def _archive(world: World, work: Path) -> list[Any]:
    sha256 = hashlib.sha256(world.archive).hexdigest()
    return [
        "--url", f"{world.archives}/d.tar.gz", "--sha256", sha256, "--directory", work / "data",
        "--cache", work / "cache", "--path", "set", "--unpack", "tar",
    ]  # fmt: skip


def _artifacts(_: World, work: Path) -> None:
    (work / "out").mkdir()
    (work / "out/page.html").write_text("<html>a page</html>")
    (work / "out/papermill.log").write_text("done\n")
    (work / "results").mkdir()
    for number in range(3):
        (work / f"results/figure{number}.png").write_bytes(b"\x89PNG" + bytes([number]) * 50_000)


def _collect(_: World, work: Path) -> list[Any]:
    figures = sorted((work / "results").glob("*.png"))
    return ["--artifacts", work / "out", "--files", *figures, "--expect", "page.html"]


def _collected(world: World, work: Path) -> None:
    _artifacts(world, work)
    collect_artifacts.run(
        collect_artifacts.Options(
            artifacts=work / "out", files=tuple(sorted((work / "results").glob("*.png")))
        )
    )
    (work / "there/run-7").mkdir(parents=True)
    (work / "there/run-7/figure0.png").write_bytes(b"another one")


def _publish(_: World, work: Path) -> list[Any]:
    return [
        "--artifacts", work / "out", "--destination", work / "there", "--prefix", "run-7",
        "--overwrite", "true", "--index", "true",
    ]  # fmt: skip


def _old_workspace(world: World, work: Path) -> None:
    moment = time.time() - _OLD
    for number in range(2):
        run = work / f"run-{number}"
        prepare_workspace.run(
            prepare_workspace.Options(directory=run, directories=("artifacts/deep",))
        )
        (run / "artifacts/deep/page.html").write_text("<html></html>")
        marker = run / run_marker.NAME
        fields = json.loads(marker.read_text())
        fields["created"] = datetime.fromtimestamp(moment, UTC).isoformat()
        marker.write_text(json.dumps(fields))
        for path in [*run.rglob("*"), run]:
            os.utime(path, (moment, moment))
    _clone(world, work / "src", "old")
    (work / "src").rename(work / "src.backup-20260101T000000000000Z")
    _clone(world, work / "src", "new")


def _clean(_: World, work: Path) -> list[Any]:
    return [
        "--directory", work, "--runs-older-than", "1d", "--keep-runs", "0",
        "--backups-older-than", "1d",
    ]  # fmt: skip


def _notebook(_: World, work: Path) -> None:
    write_notebook(work / "a.ipynb", *(f"print({n})" for n in range(4)))


def _two_notebooks(_: World, work: Path) -> None:
    for name in "ab":
        write_notebook(work / f"{name}.ipynb", "print(1)", "print(2)")


def _pipeline(_: World, work: Path) -> None:
    (work / "p.yaml").write_text(yaml.safe_dump(_PIPELINE))


def _reports(_: World, work: Path) -> None:
    write_report(work / "reports", "run-tests", outputs={"total": 5, "passed": 5})


SCENARIOS: Final = (
    Scenario("git-clone", "fresh", _nothing, _clone_arguments),
    Scenario("git-clone", "replace", _old_checkout, _clone_arguments),
    Scenario("git-clone", "replace-changed", _changed_checkout, _clone_arguments),
    Scenario(
        "git-clone", "in-place", _changed_checkout, _clone_arguments, inside="src", grows=True,
    ),
    Scenario("download-dataset", "cache", _nothing, _dataset),
    Scenario("download-dataset", "resume", _partial_dataset, _dataset),
    Scenario("download-dataset", "unpack", _nothing, _archive),
    Scenario("collect-artifacts", "files", _artifacts, _collect),
    Scenario("publish-artifacts", "directory", _collected, _publish),
    Scenario("clean-workspace", "old-runs", _old_workspace, _clean, copies=False),
    Scenario(
        "notify", "chat", _reports,
        lambda _, work: ["--reports", work / "reports", "--attempts", "1"],
        lambda world: {"NOTIFY_WEBHOOK": world.chat.url},
    ),
    Scenario(
        "execute-notebook", "checkpoints", _notebook,
        lambda _, work: [
            "--notebook", work / "a.ipynb", "--output", work / "out/a.ipynb",
            "--autosave-cell-every", "1",
        ],
        grows=True, slow=True,
    ),
    Scenario(
        "execute-notebooks", "two", _two_notebooks,
        lambda _, work: ["--notebooks", *sorted(work.glob("*.ipynb")), "--directory", work / "out"],
        grows=True, slow=True,
    ),
    Scenario(
        "run-local", "pipeline", _pipeline,
        lambda _, work: [work / "p.yaml", "--workspace", f"shared={work}/shared", "--run", "r1"],
        grows=True, slow=True,
    ),
)  # fmt: skip
