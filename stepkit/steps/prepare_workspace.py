r"""Make the directory of a run, for every user of its group, and check that there is room.

The directory, and those named with --directories in it, are made if they are missing and opened
to their group (setgid, g=rwX, never to everybody), so that steps whose images run as other users
can write there. What belongs to another user is not changed: where that would be needed, the step
names the owner. Then a file is written and removed in each directory, and the free space of the
disk is compared with --free and --free-inodes.

The file .stepkit-run.json marks the directory as the run's own; a repeated step does not change
it. The directory must be new, or empty, or marked already, because clean-workspace removes it with
all its content once it is old. With --clean true, what an earlier attempt left in the
--directories of a marked directory is removed first.

The Task passes its version as --tasks-version: Tasks that are newer than the image may use options
that it does not have, and are refused before a later step fails by one.

For example:

    stepkit prepare-workspace --directory work/run-17 --directories artifacts reports \
        --free 10GiB --shm 1GiB
"""

from __future__ import annotations

import logging
import os
import shutil
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated, ClassVar, Final

from stepkit.errors import ConfigurationError, Reason, ToolError
from stepkit.formats import sizes
from stepkit.options import AtLeast
from stepkit.step import InReport
from stepkit.system import mounts, permissions, removal
from stepkit.tekton import tasks_version
from stepkit.workspace import run_marker

logger = logging.getLogger(__name__)

_SHM: Final = Path("/dev/shm")  # noqa: S108 - not used for temporary files
_DEFAULT_SHM: Final = 64 << 20  # bytes; docker's and Kubernetes' default


@dataclass(frozen=True, kw_only=True)
class Options:
    """Which directory to prepare, and how much room it needs."""

    directory: Annotated[Path, "the run's own directory in the workspace"]
    directories: Annotated[tuple[str, ...], "directories to make in it"] = ()
    run: Annotated[str | None, "name of the run; by default the directory's"] = None
    clean: Annotated[
        bool, "remove what an earlier attempt of this run left in the --directories"
    ] = False
    free: Annotated[str | None, "what must be free on its disk, such as 10GiB"] = None
    free_inodes: Annotated[int, "how many more files its disk must take", AtLeast(0)] = 1000
    shm: Annotated[str | None, "least size of /dev/shm, such as 1GiB"] = None
    tasks_version: Annotated[
        str | None, "version of the Tasks of the run; those newer than this stepkit are refused"
    ] = None


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """The directory, and what was measured; what cannot be measured is empty."""

    in_report: ClassVar[InReport] = InReport(section="workspace")

    directory: Annotated[Path, "absolute path of the run's directory"]
    free: Annotated[int, "bytes that are free on its disk"]
    free_inodes: Annotated[int | None, "how many more files its disk takes; empty for no limit"]
    shm: Annotated[int | None, "size of /dev/shm in bytes; empty without one"]
    uid: Annotated[int, "user id of this process"]
    gid: Annotated[int, "group id of the directory"]
    file_system: Annotated[str, "type of its file system, such as ext4"]
    message: Annotated[str, "what was prepared, in one sentence"] = ""


def run(options: Options) -> Outputs:
    """Make, share, mark and test the directories, then compare the free space with the options."""
    if options.tasks_version:
        tasks_version.check(options.tasks_version)
    free, shm = _bytes(options.free, "--free"), _bytes(options.shm, "--shm")
    names = [_relative(name) for name in options.directories]
    directory = Path(os.path.abspath(options.directory))  # noqa: PTH100 - follows no symlink
    above = [path for path in directory.parents if not os.path.lexists(path)]
    _make(directory)
    for path in reversed(above):  # a closed directory would close what is in it
        permissions.share(path)
    marker = run_marker.read(directory)
    if marker is None:
        run_marker.check_unused(directory)
    elif options.clean:
        _remove_earlier_attempt(directory, marker)
    # Each directory on the way is made by itself, because a link there might lead out of the run.
    inside = [directory / part for name in names for part in (*reversed(name.parents), name)]
    made = list(dict.fromkeys([directory, *inside]))
    for path in made:
        _make(path)
    for path in made:
        permissions.share(path)
    if marker is None:
        directories = tuple(map(str, names))
        run_marker.write(directory, run=options.run or directory.name, directories=directories)
    elif marker.doubt:
        logger.warning("clean-workspace will leave %s alone: %s", directory, marker.doubt)
    for path in made:
        permissions.check_writable(path)
    outputs = _measure(directory)
    _check_room(options, outputs, free, shm)
    return outputs


def _bytes(text: str | None, flag: str) -> int | None:
    return None if text is None else sizes.parse(text, name=flag)


def _relative(name: str) -> PurePosixPath:
    path = PurePosixPath(name)
    if path.is_absolute() or not path.parts or ".." in path.parts or "\0" in name:
        raise ConfigurationError(
            f"--directories {name!r} is not a directory inside --directory: "
            "write one like artifacts"
        )
    return path


def _make(directory: Path) -> None:
    with permissions.explaining(directory, "cannot make"):
        if directory.is_symlink():
            raise ConfigurationError(f"{directory} is a symbolic link: name the directory itself")
        directory.mkdir(parents=True, exist_ok=True)


def _remove_earlier_attempt(directory: Path, marker: run_marker.Marker) -> None:
    """Remove the directories that this step made for the run earlier, and nothing else."""
    if marker.doubt:
        raise ConfigurationError(
            f"--clean true would remove what is in {directory}, but {marker.doubt}: "
            "give the run a new directory"
        )
    for name in marker.directories:
        path = directory / _relative(name)
        if path.is_dir() and path.resolve().is_relative_to(directory.resolve()):
            removal.remove(path)
            logger.info("removed %s of an earlier attempt", path)


def _measure(directory: Path) -> Outputs:
    with permissions.explaining(directory, "cannot measure"):
        disk = os.statvfs(directory)
        gid = directory.stat().st_gid
    free = disk.f_bavail * disk.f_frsize
    shm = shutil.disk_usage(_SHM).total if _SHM.is_dir() else None
    kind = mounts.file_system(directory)
    return Outputs(
        directory=directory,
        free=free,
        free_inodes=disk.f_favail if disk.f_files else None,  # btrfs and others have no limit
        shm=shm,
        uid=os.geteuid(),
        gid=gid,
        file_system=kind,
        message=f"{directory.name} is ready for uid {os.geteuid()} and group {gid}: "
        f"{sizes.spell(free)} free{f' on {kind}' if kind else ''}, "
        f"{'no' if shm is None else sizes.spell(shm)} shared memory",
    )


def _check_room(options: Options, found: Outputs, free: int | None, shm: int | None) -> None:
    """Raise ToolError if the disk, which may be emptied, or ConfigurationError if shm is small."""
    if free is not None and found.free < free:
        raise ToolError(
            f"{sizes.spell(found.free)} are free in {found.directory}, {sizes.spell(free)} are "
            "asked for: run clean-workspace, or use a larger volume",
            reason=Reason.DISK_FULL,
            outputs=found,
        )
    if found.free_inodes is not None and found.free_inodes < options.free_inodes:
        raise ToolError(
            f"the disk of {found.directory} takes {found.free_inodes} more files (inodes), "
            f"{options.free_inodes} are asked for: run clean-workspace, or use a larger volume",
            reason=Reason.DISK_FULL,
            outputs=found,
        )
    if shm is not None and (found.shm or 0) < shm:
        usual = ", a container's default" if found.shm == _DEFAULT_SHM else ""
        raise ConfigurationError(
            f"{_SHM} has {sizes.spell(found.shm or 0)}{usual}, {sizes.spell(shm)} are asked for: "
            "mount an emptyDir with medium: Memory there (docker run --shm-size=1g)",
            outputs=found,
        )
