r"""Check out one revision of a git repository.

The checkout appears at its destination all at once: if anything goes wrong, an earlier
checkout there stays as it was. An earlier checkout that was changed since (edited files, new
files, ignored ones too, commits, branches, stashes, settings) is kept beside the destination as
NAME.backup-TIME. In a mount point, or where other files stay, one entry after the other is moved;
if the run is killed meanwhile, the next run undoes it.

For example:

    stepkit git-clone --url https://github.com/rapidsai/notebooks --revision main \
        --destination work/source
"""

from __future__ import annotations

import logging
import os
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from stepkit.errors import ConfigurationError, Reason, StepError
from stepkit.git import commands as git_commands
from stepkit.git import credentials as git_credentials
from stepkit.git import destination as git_destination
from stepkit.git import fetch as git_fetch
from stepkit.git import lfs as git_lfs
from stepkit.git import links as git_links
from stepkit.git import ssh as git_ssh
from stepkit.git import swap_contents, unchanged
from stepkit.git import urls as git_urls
from stepkit.git.destination import Place
from stepkit.git.environment import Access, Credential, origin
from stepkit.git.fetch import Wanted
from stepkit.options import DURATION, AtLeast, FromEnv, NameIn
from stepkit.step import InReport
from stepkit.system import atomic_files, retry

logger = logging.getLogger(__name__)

# The cause of these is the server or the disk. Another error may come from a broken object of the
# older checkout, and may not occur again when all objects are fetched anew.
_SERVER_REASONS = {
    Reason.AUTH,
    Reason.NOT_FOUND,
    Reason.NETWORK,
    Reason.CHECKSUM,
    Reason.DISK_FULL,
}


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to clone, and to where."""

    url: Annotated[str, "repository to clone, without a password: https, http, file, ssh"]
    revision: Annotated[str, "branch, tag, full commit or ref; HEAD is the default branch"] = "HEAD"
    destination: Annotated[Path, "directory for the checkout; replaces an older checkout"]
    attempts: Annotated[int, "how often to try when the server or network fails", AtLeast(1)] = 5
    timeout: Annotated[float, "limit for each git command", DURATION, AtLeast(1)] = 600.0
    username: Annotated[str, "user name that goes with the token"] = "x-access-token"
    token_file: Annotated[Path | None, "file that holds the token, instead of GIT_TOKEN"] = None
    token: Annotated[str | None, "token for a private repository", FromEnv("GIT_TOKEN")] = None
    basic_auth: Annotated[
        Path | None, "directory with .git-credentials, or username and password; before the token"
    ] = None
    ssh_directory: Annotated[Path | None, "directory with private keys and known_hosts"] = None
    host_key_policy: Annotated[
        git_ssh.HostKeyPolicy, "yes: known servers alone; accept-new: trust one on first contact"
    ] = "yes"
    refspec: Annotated[tuple[str, ...], "refspecs to fetch before the revision is looked up"] = ()
    depth: Annotated[int, "how many commits to fetch; 0 is the whole history", AtLeast(0)] = 1
    tags: Annotated[bool, "fetch all tags"] = False
    filter: Annotated[str, "partial clone, such as blob:none: fetch files when needed"] = ""
    submodules: Annotated[bool, "fetch submodules, and theirs"] = False
    submodule_paths: Annotated[tuple[str, ...], "fetch only these, comma-separated"] = ()
    sparse_checkout_directories: Annotated[
        tuple[str, ...], "check out only these directories, comma-separated; !PATTERN leaves out"
    ] = ()
    lfs: Annotated[
        Literal["auto", "true", "false"],
        "Git LFS: fetch files that are kept there; true: fail without git-lfs; false: pointers",
    ] = "auto"
    outside_links: Annotated[
        Literal["warn", "refuse"], "symbolic links that lead out of the checkout"
    ] = "warn"
    delete_existing: Annotated[
        bool, "replace all that is at the destination; false keeps what the repository lacks"
    ] = True
    ssl_verify: Annotated[bool, "check the server's certificate"] = True
    ca_directory: Annotated[Path | None, "directory with CA certificates to trust"] = None
    ca_file: Annotated[
        str,
        "file of CA certificates to trust: a path, or a name in --ca-directory",
        NameIn("ca-directory"),
    ] = ""
    http_proxy: Annotated[str, "proxy for http://, instead of the environment's"] = ""
    https_proxy: Annotated[str, "proxy for https://, instead of the environment's"] = ""
    no_proxy: Annotated[str, "hosts to reach without a proxy, comma-separated"] = ""
    verbose: Annotated[bool, "log each git command"] = False
    user_friendly_errors: Annotated[bool, "ignored: errors always say what to do"] = False
    git_init_image: Annotated[str, "ignored: there is no other image"] = ""


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """What was checked out."""

    in_report: ClassVar[InReport] = InReport(section="checkout")

    commit: Annotated[str, "full commit that was checked out"]
    checkout: Annotated[Path, "absolute path of the checkout"]
    url: Annotated[str, "where it came from"]
    backup: Annotated[Path | None, "where the changed older checkout went, if there was one"] = None
    committer_date: Annotated[int, "when the commit was made, in seconds since 1970"]


def run(options: Options) -> Outputs:
    """Clone beside the destination, or inside it, and move the checkout into place."""
    _check(options)
    destination = Path(os.path.abspath(options.destination))  # noqa: PTH100 - follows no symlink
    place = Place(destination=destination, delete_existing=options.delete_existing)
    with ExitStack() as stack:
        access = _access(options, stack)
        git_urls.check_url(access)
        stack.enter_context(git_destination.prepared(place))

        def fetch(checkout: Path, have: Path | None) -> str:
            return retry.call(options.attempts, _fetch, options, checkout, access, have)

        try:
            kept = retry.call(options.attempts, _find_unchanged, options, destination, access)
            commit, backup = (kept, None) if kept else git_destination.fill(place, fetch)
        except StepError as error:
            for line in error.evidence.output if error.evidence else ():
                logger.info("git: %s", line)
            raise
    done = "%s of %s at %s is there, unchanged" if kept else "checked out %s of %s at %s"
    logger.info(done, options.revision, options.url, commit)
    return Outputs(
        commit=commit,
        checkout=destination,
        url=options.url,
        backup=backup,
        committer_date=git_fetch.committer_date(destination, timeout=options.timeout),
    )


def _find_unchanged(options: Options, destination: Path, access: Access) -> str | None:
    """Return the commit of the revision if the destination already is exactly that, else None."""
    wanted = _wanted(options)
    recorded = unchanged.recorded_commit(destination, options.url, wanted)
    if not recorded or git_commands.resolve(access, options.revision) != recorded:
        return None
    beside = swap_contents.permanent(destination)
    if not unchanged.is_exact(
        destination, recorded, wanted, ignore=beside, timeout=options.timeout
    ):
        return None
    git_links.check(destination, refuse=options.outside_links == "refuse", ignore=beside)
    return recorded


def _fetch(options: Options, checkout: Path, access: Access, have: Path | None) -> str:
    atomic_files.empty(checkout)  # an earlier attempt may have left files
    try:
        commit = git_fetch.check_out(access, _wanted(options), checkout, have=have)
    except StepError as error:
        if have is None or error.reason in _SERVER_REASONS:
            raise
        logger.warning("fetching all anew: with what %s holds: %s", have, error)
        return _fetch(options, checkout, access, None)
    git_links.check(checkout, refuse=options.outside_links == "refuse")
    # A disk may not have taken all that git wrote: then this fails, and is tried again.
    git_fetch.committer_date(checkout, timeout=options.timeout)
    return commit


def _check(options: Options) -> None:
    """Refuse options that cannot work, before anything is fetched; warn of those without effect."""
    git_urls.check_revision(options.revision)
    for refspec in _wanted(options).refspecs:
        git_urls.check_refspec(refspec)
    git_fetch.check_filter(options.filter)
    if options.lfs == "true" and not git_lfs.installed():
        raise ConfigurationError(
            "--lfs true, and there is no git-lfs on PATH: install it (apt-get install git-lfs)"
        )
    if options.git_init_image:
        logger.warning("--git-init-image is ignored: git runs in the image of stepkit itself")
    if options.user_friendly_errors:
        logger.info("--user-friendly-errors is ignored: errors always say what to do")
    if not options.ssl_verify:
        logger.warning("--ssl-verify false: anybody on the way can change what is cloned")


def _wanted(options: Options) -> Wanted:
    return Wanted(
        revision=options.revision,
        refspecs=tuple(one for text in options.refspec for one in text.split()),
        depth=options.depth,
        tags=options.tags,
        filter=options.filter,
        sparse=_separate(options.sparse_checkout_directories),
        pointers=options.lfs == "false",
        submodules=options.submodules,
        submodule_paths=_separate(options.submodule_paths),
    )


def _separate(values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(part.strip() for text in values for part in text.split(",") if part.strip())


def _access(options: Options, stack: ExitStack) -> Access:
    """Gather what is needed to reach the server; ssh keys are removed when ``stack`` ends."""
    token = git_credentials.from_token(
        options.username, options.token, options.token_file, timeout=options.timeout
    )
    credentials: tuple[Credential, ...] = (token,) if token else ()
    if options.basic_auth:
        stored = git_credentials.from_directory(options.basic_auth, options.url)
        ours = any(one.origin in {"", origin(options.url)} for one in stored)
        credentials = stored if ours else (*stored, *credentials)
    ca_file, ssh_command = _ca_file(options), ""
    if options.ssh_directory:
        ssh = git_ssh.command(options.ssh_directory, options.host_key_policy)
        ssh_command = stack.enter_context(ssh)
    return Access(
        url=options.url,
        credentials=credentials,
        ssh_command=ssh_command,
        verify=options.ssl_verify,
        ca_file=ca_file,
        ca_directory=options.ca_directory and options.ca_directory.absolute(),
        http_proxy=options.http_proxy,
        https_proxy=options.https_proxy,
        no_proxy=options.no_proxy,
        lfs=options.lfs != "false" and git_lfs.installed(),
        timeout=options.timeout,
        verbose=options.verbose,
    )


def _ca_file(options: Options) -> Path | None:
    if not options.ca_file:
        return None
    file = Path(options.ca_file)
    if "/" not in options.ca_file:
        if options.ca_directory is None:  # the Task always passes a name
            if file.exists():
                logger.warning(
                    "--ca-file %s counts with --ca-directory alone: write ./%s", file, file
                )
            return None
        file = options.ca_directory / file
    if not file.is_file():
        near = atomic_files.near_names(file)
        raise ConfigurationError(f"there is no file {file}{near}", reason=Reason.NOT_FOUND)
    return file.absolute()
