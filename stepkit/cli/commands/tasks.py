"""List the Tasks and Pipelines that come with stepkit, or write their YAML for a cluster.

With --out DIR, all files are written: Tasks, StepActions, Pipelines, examples of PipelineRuns,
triggers, and what a namespace needs, with the images of this version. --image names those of your
registry. Where a file is there with another content, nothing is written without --replace.

For example:

    stepkit tasks
    stepkit tasks --out tekton --image registry.example.com/team/stepkit
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import stepkit
from stepkit.errors import ConfigurationError
from stepkit.options import PRINTED

_NAME: Final = re.compile(r"(?:[\w.-]+(?::\d+)?/)?[a-z0-9][a-z0-9._-]*(?:/[a-z0-9][a-z0-9._-]*)*")
_ABOUT: Final = re.compile(r"^  description: >-\n(.*?)[.:]\s", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to write, and where."""

    out: Annotated[Path | None, "directory to write to; made if missing"] = None
    image: Annotated[
        str, "registry and name of your images, without a tag (default: this version's own)"
    ] = ""
    replace: Annotated[bool, "replace files in --out that have another content"] = False


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """What there is, or what was written."""

    text: Annotated[str, "the list, or what to do with the files", PRINTED]
    files: Annotated[int, "number of files"]


def run(options: Options) -> Outputs:
    """Write the files, or list what there is."""
    from stepkit.tekton import image_names

    if options.image and not _NAME.fullmatch(options.image):
        raise ConfigurationError(
            f"--image {options.image!r} is not the name of an image without a tag, such as "
            "registry.example.com/team/stepkit"
        )
    if options.out is None:
        if options.image or options.replace:
            raise ConfigurationError("--image and --replace belong to --out DIR")
        return _listed()
    count = _write(options.out, options.image, replace=options.replace)
    images = ", ".join(image_names.image(kind, options.image) for kind in image_names.SUFFIXES)
    text = (
        f"{options.out}: {count} files of stepkit {stepkit.__version__}, with the images {images}\n"
        "On a new cluster, first the namespace and what it needs:\n"
        f"kubectl apply --server-side -k {options.out}/cluster/overlays/minimal\n"
        "Then, and after each update:\n"
        f"kubectl apply --server-side -n stepkit -k {options.out}"
    )
    return Outputs(text=text, files=count)


def _write(out: Path, image: str, *, replace: bool) -> int:
    from stepkit.system import atomic_files
    from stepkit.tekton import image_names, shipped

    source = shipped.directory()
    texts = {
        out / path.relative_to(source): image_names.fill(path.read_text(encoding="utf-8"), image)
        for path in sorted(source.rglob("*"))
        if path.suffix in {".yaml", ".json"}
    }
    other = [
        path
        for path, text in texts.items()
        if path.exists() and atomic_files.read(path) != text.encode()
    ]
    if other and not replace:
        raise ConfigurationError(
            f"{other[0]} has another content: name a new directory, or add --replace "
            f"({len(other)} of {len(texts)} files)"
        )
    for path, text in texts.items():
        atomic_files.write_atomically(path, text, durable=False)
    return len(texts)


def _listed() -> Outputs:
    from stepkit.tekton import shipped

    lines = []
    for title, files in (
        ("Pipelines, for run-local NAME and for a cluster:", shipped.pipelines()),
        ("Tasks:", shipped.tasks()),
    ):
        lines += ["", title]
        for name, path in files.items():
            about = _ABOUT.search(path.read_text(encoding="utf-8"))
            lines.append(f"  {name:<22}{' '.join(about[1].split()) if about else ''}".rstrip())
    count = len(shipped.pipelines()) + len(shipped.tasks())
    return Outputs(text="\n".join(lines[1:]), files=count)
