"""Our locks fit beside what RAPIDS' wheels resolve to, as docs/images.md says of each image."""

import re
import sys
from collections.abc import Mapping
from pathlib import Path

import commands
import pytest

from images import install, resolve_bases

ROOT = Path(__file__).parents[2]
SHOWN = ("nbconvert", "nbclient", "ipykernel", "numpy", "pandas", "CuPy")


@pytest.mark.parametrize("tag", resolve_bases.TAGS)
def test_the_table_says_what_was_resolved(tag: str) -> None:
    packages = packages_of(tag)
    versions = [packages[cupy(tag) if name == "CuPy" else name] for name in SHOWN]

    assert documented()[tag][:-2] == versions


def test_each_list_of_packages_has_a_line_in_the_table() -> None:
    tags = list(resolve_bases.TAGS)

    assert list(documented()) == tags
    assert sorted(path.stem for path in resolve_bases.BASES.iterdir()) == sorted(tags)


@pytest.mark.slow
@pytest.mark.parametrize("tag", resolve_bases.TAGS)
def test_the_locks_fit_beside_a_base_as_the_table_says(tmp_path: Path, tag: str) -> None:
    base = packages_of(tag)
    exported = tmp_path / "lock.txt"
    extras = [f"--extra={extra}" for extra in ("tests", "s3", "notify")]
    uv("export", "--frozen", "--no-dev", "--no-emit-project", *extras, "-o", exported)
    project = [str(ROOT / "pyproject.toml"), *extras]

    ours = why_not(tmp_path, tag, exported.read_text(), base, *project)
    other = {"12": "13", "13": "12"}[cuda(tag)]
    with_ours = {**pins(exported.read_text()), f"rapids-singlecell-cu{other}": "", **base}
    stepkit, layer = documented()[tag][-2:]
    lock = re.search(r"`(notebook-.*[.]lock)`", layer)
    text = (ROOT / "images" / (lock[1] if lock else "notebook.lock")).read_text()
    theirs = why_not(tmp_path, tag, text, with_ours)

    for cell, found in ((stepkit, ours), (layer, theirs)):
        assert cell.startswith("yes") == (found is None), found
        assert cell.startswith("yes") or cell.removeprefix("no: needs ") in (found or "")


def why_not(
    directory: Path, tag: str, lock: str, base: Mapping[str, str], *more: str
) -> str | None:
    """Return what forbids to install a lock beside a base as images/install.py does, or None."""
    wanted, kept = directory / "wanted.txt", directory / "kept.txt"
    wanted.write_text("\n".join(install.missing(lock, dict(base), set())))
    kept.write_text("\n".join(install.constraints(dict(base), set())))
    python = tag.rpartition("-py")[2]
    options = ["--no-annotate", "--no-header", f"--python-version={python}"]
    options += ["--python-platform=x86_64-manylinux_2_28", f"--constraint={kept}"]
    command = [sys.executable, "-m", "uv", "--quiet", "pip", "compile", *options, str(wanted)]
    done = commands.run(*command, *more, cwd=ROOT)
    if done.returncode:
        message = re.sub(r"\{.*?\}", "", " ".join(done.stderr.split()))  # uv's markers
        if "requirements are unsatisfiable" not in message:
            pytest.skip(f"the index cannot be asked: {message[-300:]}")
        return message
    new = pins(done.stdout).keys() - pins(wanted.read_text()).keys() - base.keys()
    return f"not in the lock: {', '.join(sorted(new))}" if new else None


def uv(*arguments: str | Path) -> None:
    done = commands.run(sys.executable, "-m", "uv", "--quiet", *arguments, cwd=ROOT)
    assert done.returncode == 0, done.stderr


def pins(lock: str) -> dict[str, str]:
    return dict(re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", lock, re.MULTILINE))


def packages_of(tag: str) -> dict[str, str]:
    return pins((resolve_bases.BASES / f"{tag}.txt").read_text())


def cuda(tag: str) -> str:
    return tag.partition("cuda")[2][:2]


def cupy(tag: str) -> str:
    return f"cupy-cuda{cuda(tag)}x"


def documented() -> dict[str, list[str]]:
    """Return the table of bases in docs/images.md: the cells of each tag."""
    section = (
        (ROOT / "docs/images.md").read_text().partition("## Which bases")[2].partition("\n#")[0]
    )
    lines = [line.strip("| ").split(" | ") for line in section.splitlines() if line[:1] == "|"]
    return {cells[0].strip("`"): [cell.strip() for cell in cells[1:]] for cells in lines[2:]}
