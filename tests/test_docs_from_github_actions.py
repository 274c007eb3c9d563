"""The commands and the patch of the guide from GitHub Actions do what it says."""

import os
import re
import shutil
import subprocess
import sys
from itertools import product
from pathlib import Path
from typing import Any

import commands
import pytest
import yaml
from samples import write_notebook
from tasks.cel_expressions import outcome
from tasks.github_events import commit, pull_request, push

ROOT = Path(__file__).parents[1]
GUIDE = (ROOT / "docs/from-github-actions.md").read_text(encoding="utf-8")
HASHES = ["".join(pair) + 38 * "0" for pair in product("0123456789abcdef", repeat=2)]
TEST = """\
from pathlib import Path
import pytest
@pytest.mark.single_cell
def test_page(): assert list(Path('input').glob('output_analysis.html'))
"""


@pytest.mark.slow
def test_the_commands_run_on_a_runner_with_the_variables_of_the_workflow(tmp_path: Path) -> None:
    block = re.findall(r"```bash\n(.*?)```", GUIDE, flags=re.DOTALL)[0]
    write_notebook(tmp_path / "notebooks/a.ipynb", "print('ran')")
    (tmp_path / "tests/input").mkdir(parents=True)
    (tmp_path / "tests/test_page.py").write_text(TEST)
    env = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "NOTEBOOK_RELATIVED_DIR": "notebooks",
        "NOTEBOOK_FILENAME": "a.ipynb",
        "DOCKER_WRITEABLE_DIR": f"{tmp_path}/out",
        "OUTPUT_NOTEBOOK": "output_analysis.ipynb",
        "OUTPUT_NOTEBOOK_HTML": "output_analysis.html",
    }

    done = commands.run("bash", "-e", "-c", block, cwd=tmp_path, env=env, timeout=120)

    assert done.returncode == 0, done.stderr
    kept = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"output_analysis.ipynb", "output_analysis.html", "papermill.log"} <= kept
    assert {"coverage.xml", "pytest_results.xml", "pytest_report.html"} <= kept
    assert ": passed" in (tmp_path / "out/STEP_SUMMARY.md").read_text().splitlines()[0]


def shares() -> list[tuple[str, float]]:
    """The filters of the stages, and the share of commits that each names."""
    rows = re.findall(r"^\| \d \| (\d+) % \| `(.+?)` \|", GUIDE, flags=re.MULTILINE)
    return [(pattern, int(share) / 100) for share, pattern in rows]


def test_each_stage_takes_its_share_of_the_commits() -> None:
    assert len(shares()) == 2
    for pattern, share in shares():
        taken = sum(bool(re.search(pattern, one)) for one in HASHES) / len(HASHES)
        assert taken == pytest.approx(share, abs=0.01)


def test_the_patch_adds_the_share_to_both_triggers(tmp_path: Path) -> None:
    if not shutil.which("kubectl"):
        pytest.skip("there is no kubectl here")
    (block,) = re.findall(r"```yaml\n(- target:.*?)```", GUIDE, flags=re.DOTALL)
    shutil.copytree(ROOT / "tasks/triggers", tmp_path / "triggers")
    (tmp_path / "mine").mkdir()
    mine = {"resources": ["../triggers"], "patches": yaml.safe_load(block)}
    (tmp_path / "mine/kustomization.yaml").write_text(yaml.safe_dump(mine))
    made = subprocess.run(
        ["kubectl", "kustomize", tmp_path / "mine"], capture_output=True, text=True, check=True
    ).stdout
    (listener,) = (one for one in yaml.safe_load_all(made) if one["kind"] == "EventListener")
    of_push, of_pull_request = map(filters, listener["spec"]["triggers"])

    pattern, _ = shares()[0]
    assert of_push[1] == f"body.after.matches('{pattern}')"
    assert of_pull_request[1] == f"body.pull_request.head.sha.matches('{pattern}')"
    for sha, taken in (("0" * 40, True), ("1d" + 38 * "0", False), ("19" + 38 * "0", True)):
        event = push(commit("[gpu]"), after=sha)
        assert [outcome(one, event) for one in of_push] == [True, taken]
        change = pull_request()
        change["pull_request"]["head"]["sha"] = sha
        assert [outcome(one, change) for one in of_pull_request] == [True, taken]


def filters(trigger: dict[str, Any]) -> list[str]:
    """The filters of a trigger, in the order in which they are asked."""
    params = [param for one in trigger["interceptors"] for param in one.get("params", [])]
    return [param["value"] for param in params if param["name"] == "filter"]
