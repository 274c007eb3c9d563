"""The arguments of the child process; tests/steps/test_execute_notebooks.py runs it."""

from pathlib import Path
from typing import Any

import yaml

from stepkit.batch.child_arguments import arguments
from stepkit.batch.planned_notebook import Places, Planned, Settings
from stepkit.cli import parser as cli_parser
from stepkit.gpu.step_options import GpuOptions
from stepkit.notebook.retry_options import RetryOptions
from stepkit.rules.rules_options import RulesOptions

PLACES = Places(directory=Path("/out"), reports=Path("/reports"), suffix="_lite")


def given(one: Planned, **more: Any) -> list[str]:
    usual: dict[str, Any] = {
        "gpu": GpuOptions(), "retry": RetryOptions(), "rules": RulesOptions(), "page": False,
        "log_output": False,
    }  # fmt: skip
    return arguments(one, PLACES, **{**usual, **more})


def test_a_notebook_without_settings_gets_only_paths() -> None:
    one, rules = Planned(name="a b", path=Path("-source/{a} b.ipynb")), RulesOptions()

    assert given(one, rules=rules) == [
        "execute-notebook",
        "--notebook=-source/{a} b.ipynb",
        "--output=/out/a b_lite.ipynb",
        "--log=/out/a b_lite.log",
        "--report=/reports/a b_lite.json",
    ]


def test_every_setting_is_passed_except_the_environment() -> None:
    settings = Settings(
        parameters={"list": [1, 2], "text": "2026-01-01", "big": 1e22, "yes": "no", "none": None},
        given=("n=5", "text=-x"),
        rules=Path("rules.yaml"),
        variant="lite",
        kernel="python3",
        cwd=Path("work dir"),
        env={"FLAVOUR": "vanilla"},
        execution_timeout=0.0,
        run_timeout=5400.0,
        tolerate=("KeyError:.*pca", "-x:y"),
    )
    one = Planned(name="a", path=Path("a.ipynb"), settings=settings)

    rules = RulesOptions(checkouts=Path("run-1"), allow_notebook_tolerance=True)

    argv = given(one, rules=rules, page=True, log_output=True)

    (parameters,) = [item for item in argv if item.startswith("--parameters-yaml=")]
    assert yaml.safe_load(parameters.partition("=")[2]) == dict(settings.parameters)
    assert [item for item in argv[5:] if item != parameters] == [
        "--page=/out/a_lite.html",
        "--rules=rules.yaml",
        "--checkouts=run-1",
        "--allow-notebook-tolerance=true",
        "--variant=lite",
        "--kernel=python3",
        "--cwd=work dir",
        "--execution-timeout=0.000",
        "--run-timeout=5400.000",
        "--log-output=true",
        "--tolerate=KeyError:.*pca",
        "--tolerate=-x:y",
        "--parameters=n=5",
        "--parameters=text=-x",
    ]
    assert "vanilla" not in " ".join(argv)
    parsed = cli_parser.build_parser().parse_args(argv)
    assert parsed.tolerate == ["KeyError:.*pca", "-x:y"]
    assert parsed.parameters == ["n=5", "text=-x"]
    assert (parsed.execution_timeout, parsed.run_timeout) == (0, 5400)


def test_gpu_options_are_passed_to_each_notebook() -> None:
    gpu = GpuOptions(gpu="required", rmm_mode="pool", rmm_pool_size="0.5", sampling=False)
    one = Planned(name="a", path=Path("a.ipynb"))

    argv = given(one, gpu=gpu)

    expected = {"--gpu=required", "--rmm-mode=pool", "--rmm-pool-size=0.5", "--sampling=false"}
    assert expected <= {*argv}
    assert not [flag for flag in argv if flag.startswith("--on-gpu-oom")]


def test_attempts_are_passed_to_each_notebook() -> None:
    retry = RetryOptions(attempts=3, retry_on="kernel-hung,network", fail_on_flaky=True)

    argv = given(Planned(name="a", path=Path("a.ipynb")), retry=retry)

    expected = {"--attempts=3", "--retry-on=kernel-hung,network", "--fail-on-flaky=true"}
    assert expected <= {*argv}
