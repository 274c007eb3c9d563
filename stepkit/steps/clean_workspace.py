r"""Remove what earlier runs left in a workspace and is past its age.

Each kind of thing has its own age; a kind without an age is left alone:

    --runs-older-than     directories of runs that prepare-workspace made, in which nothing changed
                          for so long; the --keep-runs newest always stay
    --backups-older-than  changed checkouts that git-clone kept as NAME.backup-TIME beside its own
    --legacy-backups-older-than  checkouts that the workflow before stepkit kept as
                          NAME_backup_YYYYmmdd_HHMMSS
    --scratch-older-than  half-made directories of killed commands
    --cache-older-than    entries of --cache, download-dataset's, that no run used for so long
    --cache-size          the largest size of --cache; what was used longest ago goes first
    --environments-older-than  environments of --environment-cache, run-tests', that no run used for
                          so long

Nothing else is touched: what is not provably stepkit's own stays, and so does a run that may be
going on (something changed in it within the hour, or a step of it began within a day and has not
ended), and whatever has a date in the future. Links are not followed. With --dry-run true, what
would be removed is listed, and nothing is removed. What cannot be removed is named with its owner;
the rest is removed all the same, and the step ends with 4.

For example:

    stepkit clean-workspace --directory work --runs-older-than 14d --backups-older-than 7d \
        --scratch-older-than 1d --cache work/cache/datasets --cache-older-than 30d \
        --cache-size 200GiB --dry-run true
"""

from __future__ import annotations

import logging
import os
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

from stepkit.datasets import cache as dataset_cache
from stepkit.errors import ConfigurationError, StepError, ToolError
from stepkit.formats import sizes
from stepkit.options import DETAIL, DURATION, AtLeast
from stepkit.system import permissions, removal
from stepkit.test_suite import environment_cache
from stepkit.workspace import retention

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stepkit.workspace.retention import Candidate

logger = logging.getLogger(__name__)

_NAMES: Final = {
    "run": ("run", "runs"),
    "backup": ("backup", "backups"),
    "scratch": ("scratch directory", "scratch directories"),
    "cache": ("cache entry", "cache entries"),
    "environment": ("environment", "environments"),
}


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to clean, and from which age on."""

    directory: Annotated[Path, "the workspace: what holds the directories of the runs"]
    runs_older_than: Annotated[float | None, "age of runs to remove, such as 14d", DURATION] = None
    keep_runs: Annotated[int, "how many of the newest runs stay whatever their age", AtLeast(0)] = 5
    backups_older_than: Annotated[
        float | None, "age of git-clone's backups to remove, such as 7d", DURATION
    ] = None
    legacy_backups_older_than: Annotated[
        float | None, "age of checkouts called NAME_backup_YYYYmmdd_HHMMSS to remove", DURATION
    ] = None
    scratch_older_than: Annotated[
        float | None, "age of what killed commands left, such as 1d", DURATION
    ] = None
    cache: Annotated[Path | None, "cache of download-dataset"] = None
    cache_older_than: Annotated[
        float | None, "remove from the cache what no run used for so long, such as 30d", DURATION
    ] = None
    cache_size: Annotated[str | None, "largest size of the cache, such as 200GiB"] = None
    environment_cache: Annotated[Path | None, "cache of environments, of run-tests"] = None
    environments_older_than: Annotated[
        float | None, "age of environments that no run used, to remove, such as 7d", DURATION
    ] = None
    dry_run: Annotated[bool, "list what would be removed, and remove nothing"] = False


@dataclass(frozen=True, kw_only=True)
class Item:
    """One thing: ``size`` is what its removal frees, in bytes, ``why`` it goes or stays."""

    kind: str
    path: str
    why: str
    size: int = 0


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """What was removed, or with ``--dry-run`` what would be."""

    runs: Annotated[int, "number of runs that were removed"]
    runs_freed: Annotated[int, "bytes freed by that"]
    backups: Annotated[int, "number of backups that were removed"]
    backups_freed: Annotated[int, "bytes freed by that"]
    scratch: Annotated[int, "number of scratch directories that were removed"]
    scratch_freed: Annotated[int, "bytes freed by that"]
    cache_entries: Annotated[int, "number of cache entries that were removed"]
    cache_freed: Annotated[int, "bytes freed by that"]
    environments: Annotated[int, "number of environments that were removed"]
    environments_freed: Annotated[int, "bytes freed by that"]
    freed: Annotated[int, "bytes freed by all of it"]
    removed: Annotated[tuple[Item, ...], "each thing that went", DETAIL] = ()
    kept: Annotated[tuple[Item, ...], "what is old but stayed, and why", DETAIL] = ()
    message: Annotated[str, "what was removed, in one sentence"] = ""


@dataclass
class _Cleaning:
    """What one run of this step did so far."""

    dry_run: bool
    removed: list[Item] = field(default_factory=list)
    kept: list[Item] = field(default_factory=list)
    failed: list[StepError] = field(default_factory=list)

    def remove(self, found: Candidate) -> None:
        """Remove one thing, or log why it stays; a failure is noted and does not stop the rest."""
        why = found.keep or found.why
        item = Item(kind=found.kind, path=str(found.path), why=why, size=found.size)
        if found.keep:
            self.kept.append(item)
            logger.warning("kept %s: %s", found.path, why)
            return
        try:
            if self.dry_run or _remove(found):
                self.removed.append(item)
                verb = "would remove" if self.dry_run else "removed"
                logger.info("%s %s (%s): %s", verb, found.path, sizes.spell(found.size), why)
        except StepError as error:
            self.failed.append(error)
            self.kept.append(Item(kind=found.kind, path=item.path, why=str(error)))
            logger.error("%s", error)  # noqa: TRY400 - not a bug of stepkit

    def outputs(self) -> Outputs:
        """Return the counts and the message for what was removed so far."""
        counts = {kind: [i.size for i in self.removed if i.kind == kind] for kind in _NAMES}
        freed = sum(item.size for item in self.removed)
        named = {_NAMES[kind][len(found) > 1]: len(found) for kind, found in counts.items()}
        what = ", ".join(f"{count} {name}" for name, count in named.items() if count)
        verb = "would remove" if self.dry_run else "removed"
        kept = f"; {len(self.kept)} kept that may need a look" if self.kept else ""
        return Outputs(
            runs=len(counts["run"]),
            runs_freed=sum(counts["run"]),
            backups=len(counts["backup"]),
            backups_freed=sum(counts["backup"]),
            scratch=len(counts["scratch"]),
            scratch_freed=sum(counts["scratch"]),
            cache_entries=len(counts["cache"]),
            cache_freed=sum(counts["cache"]),
            environments=len(counts["environment"]),
            environments_freed=sum(counts["environment"]),
            freed=freed,
            removed=tuple(self.removed),
            kept=tuple(self.kept),
            message=f"{verb} {what or 'nothing'}, {sizes.spell(freed)}{kept}",
        )


def run(options: Options) -> Outputs:
    """Find what is old enough, remove it, and fail at the end if something could not be removed."""
    directory = _check(options)
    size = options.cache_size
    limit = None if size is None else sizes.parse(size, name="--cache-size")
    cleaning = _Cleaning(options.dry_run)
    with ExitStack() as stack:
        if not options.dry_run:
            stack.enter_context(retention.lock_cleaning(directory))
        try:
            for found in _find(options, directory, limit):
                cleaning.remove(found)
        except StepError as error:
            raise error.leaving(cleaning.outputs()) from error
    outputs = cleaning.outputs()
    if failed := cleaning.failed:
        more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
        raise ToolError(f"{failed[0]}{more}; {outputs.message}", outputs=outputs)
    return outputs


def _check(options: Options) -> Path:
    """Return the workspace as an absolute path; refuse links and contradictory options."""
    directory = Path(os.path.abspath(options.directory))  # noqa: PTH100 - follows no symlink
    for path in filter(None, (directory, options.cache, options.environment_cache)):
        if os.path.islink(path):  # noqa: PTH114 - Path.is_symlink may raise
            raise ConfigurationError(f"{path} is a symbolic link: name the directory itself")
        named = Path(os.path.abspath(path))  # noqa: PTH100 - as above
        real, root = Path(os.path.realpath(named)), os.path.realpath(directory)
        if named.is_relative_to(directory) and not real.is_relative_to(root):
            raise ConfigurationError(f"{named} leads out of {directory}, through a link")
    if not directory.is_dir():
        raise ConfigurationError(f"there is no directory {directory} to clean")
    ages = (
        options.runs_older_than,
        options.backups_older_than,
        options.legacy_backups_older_than,
        options.scratch_older_than,
    )
    of_cache = (options.cache_older_than, options.cache_size)
    if {*ages, *of_cache, options.environments_older_than} == {None}:
        raise ConfigurationError(
            "nothing to do: give at least one of --runs-older-than, --backups-older-than, "
            "--legacy-backups-older-than, --scratch-older-than, --cache-older-than, --cache-size "
            "and --environments-older-than"
        )
    if not options.environment_cache and options.environments_older_than is not None:
        raise ConfigurationError("--environments-older-than needs --environment-cache, a directory")
    if not options.cache and set(of_cache) != {None}:
        raise ConfigurationError("--cache-older-than and --cache-size need --cache, a directory")
    return directory


def _find(options: Options, directory: Path, limit: int | None) -> Iterator[Candidate]:
    """Yield all that is past its age; runs first, because they contain backups and scratch."""
    now = time.time()
    caches = [options.environment_cache.absolute()] if options.environment_cache else []
    yield from retention.find_trash([*_places(directory), *caches])
    if (age := options.runs_older_than) is not None:
        yield from retention.find_runs(directory, older_than=age, keep=options.keep_runs, now=now)
    places = _places(directory)
    if (age := options.backups_older_than) is not None:
        yield from retention.find_backups(places, older_than=age, now=now)
    if (age := options.legacy_backups_older_than) is not None:
        yield from retention.find_legacy_backups(places, older_than=age, now=now)
    if (age := options.scratch_older_than) is not None:
        yield from retention.find_scratch(places, older_than=age, now=now)
    if options.cache and (options.cache_older_than is not None or limit is not None):
        yield from retention.find_cache_entries(
            options.cache.absolute(), older_than=options.cache_older_than, limit=limit, now=now
        )
    if (age := options.environments_older_than) is not None:
        for cache in caches:
            yield from retention.find_environments(cache, older_than=age, now=now)


def _places(directory: Path) -> list[Path]:
    """Return where checkouts may be: the workspace, and each readable run in it."""
    runs = [path for path, marker in retention.marked_runs(directory) if not marker.doubt]
    closed = [path for path in runs if not os.access(path, os.R_OK | os.X_OK)]
    for path in closed:
        logger.warning("cannot look into %s: %s", path, permissions.owner(path))
    return [directory, *(path for path in runs if path not in closed)]


def _remove(found: Candidate) -> bool:
    """Remove it from the disk; return False if a cache entry was used again meanwhile."""
    if isinstance(found.entry, environment_cache.Entry):
        return environment_cache.remove(found.entry)
    if found.entry:
        return dataset_cache.remove(found.entry)
    with removal.keeping_mtime(found.path.parent):
        removal.remove(found.path)
    return True
