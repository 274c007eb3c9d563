r"""Run the example notebook, and its tests, through the whole pipeline on this machine.

A local git server serves the two example repositories; the tests' repository is private, with a
token that is made for this run. `stepkit run-local` then runs the Pipeline from the same YAML as a
cluster: clone, execute, convert, test, collect, summarise.

For example:

    make demo
    make demo DEMO_ARGS=--lite
    make demo DEMO_ARGS="--notebook notebooks/failing/cell_error.ipynb"
    make demo DEMO_ARGS="--revision no-such-branch"
"""

from __future__ import annotations

import argparse
import json
import secrets
import shlex
import shutil
import signal
import subprocess
import sys
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from examples.serve import GitServer, find_http_backend

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

ROOT: Final = Path(__file__).resolve().parent.parent
REPOSITORIES: Final = {
    "notebooks": ROOT / "examples/notebooks-repository",
    "tests": ROOT / "examples/tests-repository",
}
NOTEBOOK: Final = "notebooks/scrna_preprocessing.ipynb"
# Params of the Pipeline that a notebook needs to fail as it is meant to.
PARAMS: Final = {"notebooks/failing/time_limit.ipynb": {"execution-timeout": "5s"}}
LITE_SUFFIX: Final = "_lite"
LITE_PARAMETERS: Final = ("max_cells=300", "n_top_genes=200")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo and return the pipeline's exit code, or 2 if a program or package is missing."""
    arguments = _parse_arguments(argv)
    if missing := _find_missing():
        print(f"demo: {missing}", file=sys.stderr)
        return 2
    directory = arguments.directory.absolute()
    run = f"run-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    token = secrets.token_urlsafe(24)
    with (
        TemporaryDirectory(prefix="stepkit-demo-") as secret,
        GitServer(REPOSITORIES, private={"tests"}, token=token) as server,
    ):
        Path(secret, "token").touch(mode=0o600)
        Path(secret, "token").write_text(token)
        command = _make_command(arguments, directory, run, Path(secret), server)
        shown = shlex.join(command).replace(" --", " \\\n    --")  # one flag a line
        print(f"$ {shown}\n", flush=True)
        code = _run_pipeline(command)
    _show_results(directory / run, LITE_SUFFIX if arguments.lite else "")
    return code


def _parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make demo",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--lite",
        action="store_true",
        help=f"the small variant: {', '.join(LITE_PARAMETERS)}; its artifacts end in {LITE_SUFFIX}",
    )
    parser.add_argument(
        "--notebook",
        default=NOTEBOOK,
        metavar="PATH",
        help="a notebook in examples/notebooks-repository (default: %(default)s)",
    )
    parser.add_argument(
        "--revision",
        default="",
        help="branch, tag or commit of the notebooks (default: the only branch that there is)",
    )
    parser.add_argument(
        "--directory",
        type=Path,
        default=Path("demo"),
        metavar="DIR",
        help="where each run makes its directory (default: %(default)s)",
    )
    arguments = parser.parse_args(argv)
    if not (REPOSITORIES["notebooks"] / arguments.notebook).is_file():
        known = sorted(REPOSITORIES["notebooks"].glob("notebooks/**/*.ipynb"))
        names = ", ".join(str(path.relative_to(REPOSITORIES["notebooks"])) for path in known)
        parser.error(f"there is no notebook {arguments.notebook!r}: choose from {names}")
    if arguments.lite and arguments.notebook != NOTEBOOK:
        parser.error(f"--lite sets parameters of {NOTEBOOK}: leave out --notebook")
    return arguments


def _find_missing() -> str | None:
    """Return which program or package is missing, with its remedy, or None."""
    if shutil.which("git") is None:
        return "there is no git on PATH: install it (apt-get install git)"
    if find_http_backend() is None:
        return "git has no http-backend here: install the whole of git (apt-get install git)"
    for package in ("stepkit", "scanpy", "igraph", "bs4"):
        if find_spec(package) is None:
            return f"{sys.executable} has no package {package}: run `make demo`, which installs it"
    return None


def _make_command(
    arguments: argparse.Namespace, directory: Path, run: str, secret: Path, server: GitServer
) -> list[str]:
    params = {
        "notebooks-url": server.url("notebooks"),
        "notebook": arguments.notebook,
        "tests-url": server.url("tests"),
        "marker": "single_cell",
        "token-secret": "git-token",  # the name that --secret gives the directory
    }
    params |= PARAMS.get(arguments.notebook, {})
    if arguments.revision:
        params["notebooks-revision"] = arguments.revision
    if arguments.lite:
        params |= {"suffix": LITE_SUFFIX, "parameters": json.dumps(LITE_PARAMETERS)}
    command = [sys.executable, "-P", "-m", "stepkit", "run-local", "notebook-ci"]
    command += ["--workspace", f"shared={directory}", "--run", run]
    command += ["--secret", f"git-token={secret}"]
    for name, value in params.items():
        command += ["--param", f"{name}={value}"]
    return command


def _run_pipeline(command: Sequence[str]) -> int:
    """Run the pipeline with live output, and forward signals to it."""
    with subprocess.Popen(  # noqa: S603 - an argument list, never a shell
        command,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        process_group=0,  # or it would receive Ctrl-C in a terminal twice
    ) as pipeline:

        def forward(signum: int, _: FrameType | None) -> None:
            pipeline.send_signal(signum)

        before = {n: signal.signal(n, forward) for n in (signal.SIGINT, signal.SIGTERM)}
        try:
            code = pipeline.wait()
        finally:
            for number, action in before.items():
                signal.signal(number, action)
    return code if code >= 0 else 128 - code


def _show_results(run: Path, suffix: str) -> None:
    """Show the run on the terminal, and where to open its report."""
    artifacts = run / "artifacts"
    record = artifacts / f"run{suffix}.json"
    if record.is_file():
        show = [sys.executable, "-P", "-m", "stepkit", "show", str(record)]
        print(flush=True)
        subprocess.run(show, cwd=ROOT, check=False)  # noqa: S603 - an argument list, never a shell
    names = (
        ("summary", f"STEP_SUMMARY{suffix}.md"),
        ("record", f"run{suffix}.json"),
        ("page", f"output_analysis{suffix}.html"),
        ("report", f"report{suffix}.html"),
    )
    found = {what: artifacts / name for what, name in names if (artifacts / name).is_file()}
    links = [f"{what}: {path.as_uri()}" for what, path in found.items()]
    cause = json.loads(record.read_text())["cause"] if record.is_file() else None
    why = (
        (
            f"{cause['step']} {cause['status']}: {cause['message']}",
            f"what to try: stepkit explain {cause['reason']}",
        )
        if cause
        else ()
    )
    print(f"\nartifacts in {artifacts}:", *links[:-1], "", *why, *links[-1:], sep="\n", flush=True)


if __name__ == "__main__":
    sys.exit(main())
