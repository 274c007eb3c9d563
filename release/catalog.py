"""Write Tasks, Pipelines and StepActions as Artifact Hub reads them: `make catalog`.

    python -m release.catalog DIR

DIR is a separate repository, with a directory for each kind: `task/git-clone/0.2.0/` has
`git-clone.yaml`, `README.md` and `samples/`. Versions that are there stay.
"""

from __future__ import annotations

import argparse
import posixpath
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import yaml

import stepkit
from release import agreement
from stepkit.tekton import shipped

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT: Final = Path(__file__).parents[1]
REPOSITORY_FILE: Final = """\
# The ID is that of the repository on Artifact Hub, which shows then that its publisher is verified.
# repositoryID: 00000000-0000-0000-0000-000000000000
"""

_LINK: Final = re.compile(r"(\]\()(?!https?:|#)([^)\s]+)")


def main(argv: Sequence[str] | None = None) -> int:
    """Write all files of this version."""
    parser = argparse.ArgumentParser(
        prog="python -m release.catalog",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("directory", type=Path, metavar="DIR")
    directory = parser.parse_args(argv).directory
    samples = sorted(shipped.directory().glob("pipelines/runs/*.yaml"))
    actions = sorted(shipped.directory().glob("stepactions/*.yaml"))
    for path in (*shipped.tasks().values(), *shipped.pipelines().values(), *actions):
        _write(path, samples, directory)
    print(f"{directory}: stepkit {stepkit.__version__}")
    return 0


def _write(manifest: Path, samples: Sequence[Path], directory: Path) -> None:
    name, text = manifest.stem, manifest.read_text(encoding="utf-8")
    document = yaml.load(text, yaml.CSafeLoader)
    kind = directory / document["kind"].lower()
    place = kind / name / stepkit.__version__
    place.mkdir(parents=True, exist_ok=True)
    (place / manifest.name).write_text(_annotated(text), encoding="utf-8")
    page = ROOT / f"docs/{name}.md"
    description = f"# {name}\n\n{document['spec']['description']}\n[More](tekton.md)\n"
    readme = page.read_text(encoding="utf-8") if page.exists() else description
    (place / "README.md").write_text(_LINK.sub(_from_anywhere, readme), encoding="utf-8")
    for sample in samples:
        run = sample.read_text(encoding="utf-8")
        if f"  {kind.name}Ref:\n    name: {name}\n" in run:
            (place / "samples").mkdir(exist_ok=True)
            (place / "samples" / sample.name).write_text(run, encoding="utf-8")
    if not (kind / "artifacthub-repo.yml").exists():
        (kind / "artifacthub-repo.yml").write_text(REPOSITORY_FILE, encoding="utf-8")


def _annotated(text: str) -> str:
    """Return a manifest with what Artifact Hub asks of its annotations."""
    address = agreement.source_address(ROOT)
    ours = {
        "category": "integration-delivery",
        "license": "Apache-2.0",
        "links": f"[{{name: support, url: {address}/issues}}]",
    }
    lines = "".join(f'    artifacthub.io/{name}: "{value}"\n' for name, value in ours.items())
    return text.replace("  annotations:\n", f"  annotations:\n{lines}", 1)


def _from_anywhere(link: re.Match[str]) -> str:
    """Return a link of a page of docs/ as one to the repository, at the tag of this version."""
    target = posixpath.normpath(posixpath.join("docs", link[2]))
    address = agreement.source_address(ROOT)
    return f"{link[1]}{address}/blob/v{stepkit.__version__}/{target}"


if __name__ == "__main__":
    sys.exit(main())
