"""Params that the Pipeline does not have are answered with those that were meant."""

from pathlib import Path

import older_params
import pytest

from stepkit.errors import ConfigurationError
from stepkit.run_local import arguments
from stepkit.run_local.find_tasks import load_pipeline
from stepkit.tekton.objects import Pipeline


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    return load_pipeline(Path(__file__).parents[2] / "tasks/pipelines/notebook-ci.yaml", ())


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            ("git-repo-url=u", "git-revision=main"),
            (
                "--param git-repo-url, git-revision: the Pipeline notebook-ci has no such params: "
                "git-repo-url is now notebooks-url; git-revision is now notebooks-revision "
                "(docs/from-the-older-system.md)"
            ),
        ),
        (
            ("notebok=a", "zzzzzz=1", "pytest-markers=m"),
            (
                "--param notebok, zzzzzz, pytest-markers: the Pipeline notebook-ci has no such "
                "params: pytest-markers is now marker (docs/from-the-older-system.md); "
                "notebok: did you mean notebook?"
            ),
        ),
        (
            ("notebok=a",),
            "--param notebok: the Pipeline notebook-ci has no such param: did you mean notebook?",
        ),
        (
            ("yyyyyy=a", "zzzzzz=1"),
            "--param yyyyyy, zzzzzz: the Pipeline notebook-ci has no such params",
        ),
    ],
)
def test_all_unknown_params_are_named_at_once(
    pipeline: Pipeline, given: tuple[str, ...], message: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        arguments.params(given, pipeline)

    assert str(caught.value) == message


def test_each_older_param_of_the_guide_is_known_by_its_new_name(pipeline: Pipeline) -> None:
    renamed = [row for row in older_params.rows() if not row[0].keys() & pipeline.params.keys()]
    assert len(renamed) > 10

    for older, now in renamed:
        for name in older:
            with pytest.raises(ConfigurationError) as caught:
                arguments.params([f"{name}=x"], pipeline)
            said = str(caught.value).partition(f"{name} is now ")[2].partition(" (docs/")[0]
            assert now.keys() <= set(said.split(" and "))
