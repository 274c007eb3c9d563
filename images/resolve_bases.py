"""Write what RAPIDS' notebooks images have, as far as wheels tell: python -m images.resolve_bases.

For each tag a list of packages goes to tests/images/bases, as the wheels of its RAPIDS resolved at
the end of the month of its release, with what else NVIDIA installs there. The tests of the images
check that our locks fit beside them. Conda makes the images, and may have chosen other versions.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
BASES: Final = ROOT / "tests/images/bases"
# By tag, as its release, CUDA and Python: the day after the last one whose uploads count.
TAGS: Final = {
    "25.04-cuda12-py3.11": "2025-05-01",
    "25.04-cuda12-py3.12": "2025-05-01",
    "25.06-cuda12-py3.12": "2025-07-01",
    "25.08-cuda12-py3.12": "2025-09-01",
    "25.10-cuda12-py3.12": "2025-11-01",
    "25.10-cuda13-py3.12": "2025-11-01",
    "25.12-cuda13-py3.12": "2026-01-01",
    "26.02-cuda13-py3.12": "2026-03-01",
    "26.04-cuda13-py3.12": "2026-05-01",
    "26.06-cuda13-py3.12": "2026-07-01",
    "26.08-cuda12-py3.13": "2026-09-01",
    "26.10-cuda12-py3.11": "2026-11-01",
    "26.10-cuda12-py3.12": "2026-11-01",
    "26.10-cuda12-py3.13": "2026-11-01",
    "26.10-cuda13-py3.12": "2026-11-01",
}
_BESIDE: Final = (  # of NVIDIA's Dockerfile for the notebooks image
    "dask-labextension",
    "dask-ml",
    "ipython",
    "jupyter",
    "jupyterlab==4.*",
    "jupyterlab-nvdashboard",
    "matplotlib",
    "pandas",
    "scikit-learn",
    "seaborn",
)
_CUML_HAS_WHEELS: Final = (25, 10)  # in the public index


def main() -> int:
    """Resolve each tag; return the first exit code that is not 0."""
    BASES.mkdir(exist_ok=True)
    for tag in TAGS:
        if code := resolve(tag):
            return code
    return 0


def resolve(tag: str) -> int:
    """Write the packages of one tag, and return uv's exit code."""
    release, cuda, python = tag.replace("cuda", "").replace("py", "").split("-")
    year, month = map(int, release.split("."))
    names = [f"{name}-cu{cuda}" for name in ("rmm", "cudf", "dask-cudf")] + ["dask-cuda"]
    if (year, month) >= _CUML_HAS_WHEELS:
        names.append(f"cuml-cu{cuda}")
    asked = [*(f"{name}=={year}.{month}.*" for name in names), *_BESIDE]
    command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--no-annotate"]
    command += ["--only-binary=:all:", "--no-binary=jupyterlab-nvdashboard", "--no-emit-index-url"]
    command += ["--python-platform=x86_64-manylinux_2_28", f"--python-version={python}"]
    command += [f"--exclude-newer={TAGS[tag]}", f"--output-file={BASES / tag}.txt", "-"]
    command += ["--custom-compile-command=python -m images.resolve_bases"]
    return subprocess.run(command, input="\n".join(asked), text=True, check=False).returncode  # noqa: S603 - no shell


if __name__ == "__main__":
    sys.exit(main())
