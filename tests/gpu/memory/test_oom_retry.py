"""The rungs of the ladder, and a run down it on a simulated GPU."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from guarded import ON_HOST
from rmm_attempts import Outputs, attempting, caught

from stepkit.errors import ConfigurationError, Reason, UserCodeError
from stepkit.gpu.memory import guard_request, memory_size, oom_retry
from stepkit.gpu.memory.read_guard_log import GuardLog
from stepkit.gpu.step_options import GpuOptions
from stepkit.notebook import attempts
from stepkit.notebook.attempts import AS_ASKED, Rung
from stepkit.notebook.retry_options import RetryOptions

GIB = 1 << 30


@dataclass(frozen=True, kw_only=True)
class Options(GpuOptions):
    variant: str | None = None


def lowered(**given: Any) -> list[Rung]:
    options = Options(on_gpu_oom="retry-lower", **given)
    return list(oom_retry.rungs(options, variant=options.variant, managed_limit=4 * GIB))


def modes(rungs: list[Rung]) -> list[str]:
    return [rung.changes.get("rmm_mode", "asked") for rung in rungs]


def test_by_default_there_is_one_rung_whatever_else_is_asked() -> None:
    assert oom_retry.rungs(Options(rmm_mode="pool")) == (AS_ASKED,)


def test_a_variant_that_no_attempt_would_run_is_refused() -> None:
    with pytest.raises(ConfigurationError) as refused:
        oom_retry.rungs(Options(gpu_oom_variant="lite"))
    assert str(refused.value) == "--gpu-oom-variant needs --on-gpu-oom retry-lower"


@pytest.mark.parametrize(
    ("asked", "lower"),
    [
        ("respect", ["async", "cuda", "managed"]),
        ("pool", ["async", "cuda", "managed"]),
        ("async", ["cuda", "cuda", "managed"]),
        ("cuda", ["cuda", "managed"]),
    ],
)
def test_no_rung_needs_more_than_the_one_before(asked: str, lower: list[str]) -> None:
    rungs = lowered(rmm_mode=asked)

    assert modes(rungs) == ["asked", *lower]
    assert rungs[0].changes == {}
    assert [rung.phrase for rung in rungs if "cudf_spill" in rung.changes] == ["with CUDF_SPILL=on"]


@pytest.mark.parametrize("asked", ["managed", "off"])
def test_a_retry_without_a_lower_rung_is_refused_before_the_first_attempt(asked: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        lowered(rmm_mode=asked)
    assert str(caught.value) == (
        f"--on-gpu-oom retry-lower: no allocator needs less than --rmm-mode {asked}: "
        f"choose another mode, or name a --gpu-oom-variant"
    )


def test_the_changes_are_options_and_a_first_size_does_not_follow_to_lower_rungs() -> None:
    options = Options(
        on_gpu_oom="retry-lower",
        rmm_mode="pool",
        rmm_pool_size="0.5",
        rmm_maximum_pool_size="8GiB",
        gpu_oom_variant="lite",
    )
    found = [replace(options, **r.changes) for r in oom_retry.rungs(options, managed_limit=GIB)]

    assert [(o.rmm_mode, o.rmm_pool_size, o.rmm_overflow, o.variant) for o in found] == [
        ("pool", "0.5", None, None),
        ("async", None, None, None),
        ("cuda", None, None, None),
        ("managed", None, str(GIB), None),
        ("managed", None, str(GIB), "lite"),
    ]
    assert {o.rmm_maximum_pool_size for o in found} == {"8GiB"}  # a promise to other processes


def test_managed_memory_takes_as_much_of_the_host_as_the_user_allows() -> None:
    managed = lowered(rmm_overflow="12GiB")[-1]

    assert managed.changes["rmm_overflow"] == str(12 * GIB)
    assert managed.phrase == "with managed memory and up to 12.0 GiB of the host's"


@pytest.mark.parametrize(("overflow", "share"), [(None, 0.5), ("25%", 0.25)])
def test_a_share_of_the_host_is_a_share_of_its_free_memory(
    overflow: str | None, share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory_size, "free_on_host", lambda: 40 * GIB)

    managed = oom_retry.rungs(Options(on_gpu_oom="retry-lower", rmm_overflow=overflow))[-1]

    assert managed.changes["rmm_overflow"] == str(int(40 * GIB * share))
    assert managed.phrase.endswith(f"up to {40 * share:.1f} GiB of the host's")


def test_an_overflow_that_is_not_a_size_is_refused_before_the_first_attempt() -> None:
    with pytest.raises(ConfigurationError, match="--rmm-overflow 'much' is not a size: "):
        lowered(rmm_overflow="much")


@pytest.mark.parametrize("asked", ["respect", "pool", "async", "cuda"])
def test_the_guard_takes_the_options_of_each_rung(asked: str, tmp_path: Path) -> None:
    sizes = {"rmm_pool_size": "1GiB", "rmm_maximum_pool_size": "0.8"} if asked == "pool" else {}
    options = Options(on_gpu_oom="retry-lower", rmm_mode=asked, **sizes)  # type: ignore[arg-type]

    rungs = oom_retry.rungs(options)
    found = [
        guard_request.settings(replace(options, **r.changes), tmp_path / "report") for r in rungs
    ]

    assert [settings.mode for settings in found] == [asked, *modes(list(rungs))[1:]]
    assert found[-1].overflow


def test_the_variant_comes_last_on_the_lowest_allocator_and_only_if_it_is_another() -> None:
    assert modes(lowered(gpu_oom_variant="lite"))[-2:] == ["managed", "managed"]
    assert lowered(gpu_oom_variant="lite")[-1].changes["variant"] == "lite"
    assert len(lowered(gpu_oom_variant="lite", variant="lite")) == 4

    only = lowered(rmm_mode="off", gpu_oom_variant="lite")
    assert [(rung.phrase, rung.changes) for rung in only] == [
        ("as asked", {}),
        ("as variant lite", {"variant": "lite"}),
    ]


def test_on_a_gpu_simulated_in_host_memory_managed_memory_holds_what_cuda_could_not(
    tmp_path: Path, python: str
) -> None:
    options = GpuOptions(rmm_mode="cuda", on_gpu_oom="retry-lower")
    code = """\
import rmm
rmm.reinitialize()
resource = rmm.mr.get_per_device_resource(0)
print(sum(resource.allocate(32 << 20) > 0 for _ in range(3)))
"""
    served: list[str] = []
    how = {"python": python, "env": {"HOST_GPU_BYTES": str(64 << 20)}}

    outputs = attempts.run(
        attempting(tmp_path, options, ON_HOST + caught(code), served, **how),
        oom_retry.rungs(options, managed_limit=64 << 20),
        lambda _: (),
        below=oom_retry.below,
        retry=RetryOptions(),
    )

    first, second = outputs.attempts
    assert (first.reason, second.reason) == (Reason.GPU_OUT_OF_MEMORY, Reason.OK)
    assert first.message.startswith("MemoryError: ")
    assert outputs.message == (
        "sum 3, on attempt 2 of 2, with managed memory and up to 64.0 MiB of the host's"
    )
    assert [text.split(",")[0] for text in served] == ["plain CUDA", "managed memory"]


def guarded_outputs(**guard: Any) -> Outputs:
    """Return what a run leaves in which RMM served, unless ``guard`` says otherwise."""
    log = asdict(GuardLog(active=True, rmm=True, allocator="what served"))
    return Outputs(notebook=Path("out.ipynb"), guard={**log, **guard})


def left(asked: str = "respect", variant: str | None = "lite", **guard: Any) -> list[str]:
    """Return the rungs that are left after the first attempt, and what says why if none is."""
    rungs = tuple(lowered(rmm_mode=asked, gpu_oom_variant=variant))
    found, why = oom_retry.below(rungs[1:], guarded_outputs(**guard))
    return [shown(rung) for rung in found] or [why]


def shown(rung: Rung) -> str:
    spilling = "spilling" if rung.changes.get("cudf_spill") else rung.changes["rmm_mode"]
    return f"{rung.changes['variant']} on {spilling}" if "variant" in rung.changes else spilling


def test_a_notebook_without_rmm_skips_the_allocators_and_says_why_if_nothing_is_left() -> None:
    assert left(rmm=False) == ["lite on managed"]
    assert left(kind="cuda", peak=0, cupy=GIB) == ["lite on managed"]  # imported it, no more
    assert left(kind="cuda", peak=1, cupy=GIB) == ["managed", "lite on managed"]
    (why,) = left(variant=None, rmm=False)
    assert why.startswith("another allocator of RMM's would not help")


@pytest.mark.parametrize("guard", [None, {"active": False}])
def test_without_a_guard_all_rungs_are_tried_that_do_not_need_to_know_cudf(
    guard: dict[str, Any] | None,
) -> None:
    rungs = tuple(lowered())

    found, _ = oom_retry.below(rungs[1:], Outputs(notebook=Path("out.ipynb"), guard=guard))

    assert [shown(rung) for rung in found] == ["async", "managed"]


@pytest.mark.parametrize(
    ("served", "lower"),
    [
        (None, ["async", "spilling", "managed"]),
        ("pool", ["async", "spilling", "managed"]),
        ("async", ["spilling", "managed"]),
        ("cuda", ["spilling", "managed"]),
        ("managed pool", ["managed"]),
        ("managed", []),
    ],
)
def test_rungs_that_need_as_much_as_what_served_or_more_are_skipped(
    served: str | None, lower: list[str]
) -> None:
    assert left(kind=served, libraries=("cudf",)) == [*lower, "lite on managed"]


def test_when_nothing_needs_less_than_what_served_the_message_says_so() -> None:
    assert left(variant=None, kind="managed", allocator="managed memory, as asked") == [
        "no allocator needs less than the one that served, managed memory, as asked: "
    ]


@pytest.mark.parametrize(
    ("libraries", "version", "spilling"),
    [
        ((), "26.10.00", []),
        (("cudf",), "25.04.00", ["spilling"]),
        (("cudf", "cuml"), "25.08.01", []),  # its handler would wait for Python's lock
        (("cudf", "cuml"), None, []),
        (("cudf", "cuml"), "9" * 5000, ["spilling"]),  # the notebook's code can write it
        (("cudf", "cuml"), "25.10.00a7", ["spilling"]),
    ],
)
def test_cudf_spills_where_it_is_used_and_cannot_hang(
    libraries: tuple[str, ...], version: str | None, spilling: list[str]
) -> None:
    found = left(kind="cuda", libraries=libraries, version=version)

    assert found == [*spilling, "managed", "lite on managed"]


def test_no_rung_has_managed_memory_where_pages_cannot_leave_the_gpu() -> None:
    assert left(kind="pool", pages_leave=False) == ["async", "lite on cuda"]
    assert left(kind="cuda", pages_leave=False, variant=None) == [
        "no allocator needs less than the one that served, what served: "
    ]


def test_the_kernel_spills_on_that_rung_alone(tmp_path: Path) -> None:
    options = Options(on_gpu_oom="retry-lower")
    found = [
        guard_request.settings(replace(options, **rung.changes), tmp_path / "report").environment()
        for rung in lowered()
    ]

    assert [env.get("CUDF_SPILL") for env in found] == [None, None, "on", None]


@pytest.mark.slow
def test_on_a_simulated_gpu_a_notebooks_own_managed_memory_is_not_followed_by_more(
    tmp_path: Path, python: str
) -> None:
    options = GpuOptions(on_gpu_oom="retry-lower")
    code = """\
import rmm
rmm.reinitialize(managed_memory=True)
raise MemoryError("std::bad_alloc: out_of_memory")
"""
    served: list[str] = []
    how = {"python": python}

    with pytest.raises(UserCodeError) as refused:
        attempts.run(
            attempting(tmp_path, options, ON_HOST + caught(code), served, **how),
            oom_retry.rungs(options, managed_limit=64 << 20),
            lambda _: (),
            below=oom_retry.below,
            retry=RetryOptions(),
        )

    assert served == ["managed memory, as asked"]
    assert str(refused.value) == (
        "no allocator needs less than the one that served, managed memory, as asked: "
        "MemoryError: std::bad_alloc: out_of_memory"
    )
