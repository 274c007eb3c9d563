"""Copy input files into a directory of a checkout, and change nothing outside that directory.

The checkout is untrusted and may hold symbolic links to anywhere. Each directory is therefore
opened relative to its parent's handle, and no link is followed.
"""

from __future__ import annotations

import os
import re
import shutil
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from stepkit.errors import ConfigurationError, Reason
from stepkit.system import atomic_files, scratch

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

KEPT: Final = frozenset({".gitkeep", ".gitignore"})  # they keep an empty directory in git

_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_FIELD: Final = re.compile(r"\{(?:name|stem|suffix)\}")


def plan(inputs: Sequence[Path], templates: Sequence[str]) -> dict[str, Path]:
    """Return the inputs by the names under which they are to be staged.

    There is one template for each input, or one for all; ``{name}``, ``{stem}`` and ``{suffix}``
    stand for the parts of the input's own name. Raises :class:`ConfigurationError` when an input
    is missing or empty, a template is wrong, or two inputs get one name.
    """
    if len(templates) not in {1, len(inputs)}:
        raise ConfigurationError(
            f"there are {len(templates)} input names for {len(inputs)} inputs: "
            "give one template for all inputs, or one for each"
        )
    repeated = templates if len(templates) == len(inputs) else [*templates] * len(inputs)
    planned: dict[str, Path] = {}
    for source, template in zip(inputs, repeated, strict=True):
        _check_source(source)
        if re.search(r"[{}]", _FIELD.sub("", template)):
            raise ConfigurationError(
                f"the input name {template!r} may hold {{name}}, {{stem}} and {{suffix}}, "
                "nothing else"
            )
        name = template.format(name=source.name, stem=source.stem, suffix=source.suffix)
        if name in {"", ".", ".."} or "/" in name or "\0" in name:
            raise ConfigurationError(
                f"the input name {template!r} makes {name!r}, which is not a file name"
            )
        if name in planned:
            raise ConfigurationError(
                f"{planned[name]} and {source} would both be staged as {name}: "
                "give each its own name with --input-names"
            )
        planned[name] = source
    return planned


def check_directory(checkout: Path, directory: str, kept: Iterable[Path]) -> None:
    """Make sure that ``directory`` of ``checkout`` may be emptied.

    Raises :class:`ConfigurationError` when it leads out of the checkout, or contains a path
    of ``kept``.
    """
    parts = PurePosixPath(directory).parts
    if not parts or directory.startswith("/") or {"..", ".git"} & set(parts):
        raise ConfigurationError(
            f"the input directory {directory!r} is not a directory inside the checkout: "
            "name one like input; it is emptied first"
        )
    path = checkout / directory
    real = path.resolve()
    for outside in kept:
        if outside.resolve().is_relative_to(real):
            raise ConfigurationError(
                f"{outside} lies in {path}, which is emptied first: keep it elsewhere"
            )


def stage(checkout: Path, directory: str, planned: Mapping[str, Path]) -> None:
    """Empty ``directory`` of ``checkout``, and copy the planned files into it.

    Raises :class:`ConfigurationError` when a part of its path is a link or a file, or when it
    holds Python code, which must not be lost.
    """
    path = checkout / directory
    with (
        atomic_files.explaining(f"cannot stage inputs in {path}"),
        _open_directory(checkout, directory) as handle,
    ):
        python_files = (
            PurePosixPath(folder, name)
            for folder, _, names, _ in os.fwalk(dir_fd=handle, follow_symlinks=False)
            for name in sorted(names)
            if name.endswith(".py")
        )
        if code := next(python_files, None):
            raise ConfigurationError(
                f"{path} holds code ({code}): not emptying it; "
                "name the directory that is meant for inputs"
            )
        with os.scandir(handle) as entries:
            for entry in list(entries):
                if entry.is_dir(follow_symlinks=False):
                    shutil.rmtree(entry.name, dir_fd=handle)
                elif entry.name not in KEPT or entry.is_symlink():
                    os.unlink(entry.name, dir_fd=handle)
        for name, source in planned.items():
            _copy(source, name, handle)


def _check_source(source: Path) -> None:
    if not source.exists():
        raise ConfigurationError(
            f"there is no input {source}{atomic_files.near_names(source)}",
            reason=Reason.ARTIFACT_MISSING,
        )
    if not source.is_file():
        raise ConfigurationError(
            f"the input {source} is not a file", reason=Reason.ARTIFACT_MISSING
        )
    if not source.stat().st_size:
        raise ConfigurationError(
            f"the input {source} is empty: did the step that makes it succeed?",
            reason=Reason.ARTIFACT_MISSING,
        )


@contextmanager
def _open_directory(checkout: Path, directory: str) -> Iterator[int]:
    """Yield a handle of ``directory`` in ``checkout``; missing parts of its path are made."""
    handle = os.open(checkout, _DIRECTORY)
    try:
        for part in PurePosixPath(directory).parts:
            with suppress(FileExistsError):
                os.mkdir(part, dir_fd=handle)
            try:
                child = os.open(part, _DIRECTORY | os.O_NOFOLLOW, dir_fd=handle)
            except NotADirectoryError as error:  # Linux raises it for a link, too
                raise ConfigurationError(
                    f"{checkout / directory} is not a directory of the checkout "
                    f"({part} is a link or a file): nothing was staged or removed"
                ) from error
            os.close(handle)
            handle = child
        yield handle
    finally:
        os.close(handle)


def _copy(source: Path, name: str, handle: int) -> None:
    beside = scratch.name_for(name)
    new = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666, dir_fd=handle)
    try:
        with os.fdopen(new, "wb") as target, source.open("rb") as content:
            scratch.hold(new)
            shutil.copyfileobj(content, target)
        os.rename(beside, name, src_dir_fd=handle, dst_dir_fd=handle)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(beside, dir_fd=handle)
        raise
