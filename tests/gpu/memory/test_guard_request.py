"""What the options request of the guard."""

import json
from pathlib import Path
from typing import Any

import pytest

from stepkit.errors import ConfigurationError
from stepkit.gpu.memory import guard_request
from stepkit.gpu.step_options import GpuOptions

NEEDS_POOL = "--rmm-pool-size needs --rmm-mode pool or async;"
REPORT = Path("/run/guard.jsonl")


def environment(**options: Any) -> dict[str, str]:
    return guard_request.settings(GpuOptions(**options), REPORT).environment()


def asked(**options: Any) -> Any:
    return json.loads(environment(**options)[guard_request.VARIABLE])


def test_a_run_without_flags_respects_the_notebook() -> None:
    assert asked() == {
        "mode": "respect",
        "initial": None,
        "maximum": None,
        "release_threshold": None,
        "overflow": None,
        "without_gpu": "raise",
        "report": "/run/guard.jsonl",
        "children": False,
    }


def test_sizes_are_bytes_or_shares() -> None:
    found = asked(rmm_mode="async", rmm_pool_size="50%", rmm_release_threshold="0")

    assert (found["initial"], found["release_threshold"]) == (0.5, 0)
    assert asked(rmm_mode="pool", rmm_pool_size="4GiB")["initial"] == 4 << 30


def test_overflow_is_a_share_of_what_the_host_has_free() -> None:
    assert asked(rmm_overflow="2GiB")["overflow"] == 2 << 30
    share = asked(rmm_overflow="0.5")["overflow"]
    assert isinstance(share, int)
    assert share > 1 << 20


def test_a_run_that_may_do_without_a_gpu_is_warned() -> None:
    assert asked(gpu="optional")["without_gpu"] == "warn"
    assert asked(gpu="required")["without_gpu"] == "raise"


def test_gpu_none_hides_every_gpu() -> None:
    assert environment(gpu="none")["CUDA_VISIBLE_DEVICES"] == ""
    assert "CUDA_VISIBLE_DEVICES" not in environment(gpu="auto")


def test_off_does_not_inherit_the_guard_of_an_outer_run() -> None:
    assert environment(rmm_mode="off") == {guard_request.VARIABLE: ""}


@pytest.mark.parametrize(
    ("limit", "variable"), [("8GiB", str(8 << 30)), ("50%", "50%"), ("0.125", "12.5%")]
)
def test_cupys_own_pool_is_limited_in_every_mode_as_cupy_spells_it(
    limit: str, variable: str
) -> None:
    for mode in ("respect", "off"):
        found = environment(rmm_mode=mode, cupy_memory_limit=limit)
        assert found["CUPY_GPU_MEMORY_LIMIT"] == variable
    assert "CUPY_GPU_MEMORY_LIMIT" not in environment()


def test_cudf_spills_when_it_is_asked_and_otherwise_as_its_environment_says() -> None:
    assert environment(cudf_spill=True)["CUDF_SPILL"] == "on"
    assert "CUDF_SPILL" not in environment()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rmm_pool_size": "4GiB"}, f"{NEEDS_POOL} it is respect: the notebook itself chooses"),
        ({"rmm_mode": "managed", "rmm_pool_size": "4GiB"}, f"{NEEDS_POOL} it is managed"),
        (
            {"rmm_mode": "pool", "rmm_release_threshold": "0"},
            "--rmm-release-threshold needs --rmm-mode async; it is pool",
        ),
        (
            {"rmm_mode": "off", "rmm_overflow": "4GiB"},
            "--rmm-overflow needs a guard: --rmm-mode off turns it off",
        ),
        (
            {"rmm_mode": "off", "rmm_children": True},
            "--rmm-children needs a guard: --rmm-mode off turns it off",
        ),
        (
            {"rmm_mode": "pool", "rmm_pool_size": "4GiB", "rmm_maximum_pool_size": "3GiB"},
            "--rmm-pool-size 4GiB is more than --rmm-maximum-pool-size 3GiB",
        ),
    ],
)
def test_refuses_what_a_mode_cannot_use(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        guard_request.settings(GpuOptions(**options), REPORT)
    assert str(caught.value) == message


def test_a_limit_of_cupy_that_is_not_a_size_is_refused() -> None:
    message = r"^--cupy-memory-limit '2\.5' is not a share of the memory: write a number above 0"
    with pytest.raises(ConfigurationError, match=message):
        environment(cupy_memory_limit="2.5")


def test_names_the_flag_whose_size_is_not_a_size() -> None:
    message = r"^--rmm-pool-size 'lots' is not a size: write 4GiB"
    with pytest.raises(ConfigurationError, match=message):
        environment(rmm_mode="pool", rmm_pool_size="lots")
