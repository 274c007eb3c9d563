"""How much of a notebook ran on the CPU in the place of the GPU, in figures, words and a limit."""

from typing import Any

import pytest

from stepkit.errors import ConfigurationError, Reason
from stepkit.notebook import cpu_fallback
from stepkit.notebook.cpu_fallback import CpuFallback, SlowFunction
from stepkit.notebook.verdict import CellRun


def fallback(calls: int, *slow: tuple[str, int, float], memory: int = 0) -> CpuFallback:
    on_cpu = sum(each[1] for each in slow)
    return CpuFallback(
        share=round(on_cpu / calls, 6),
        calls=calls,
        cpu_calls=on_cpu,
        out_of_memory=memory,
        seconds=100.0,
        cpu_seconds=sum(each[2] for each in slow),
        functions=tuple(SlowFunction(name=n, calls=c, seconds=s) for n, c, s in slow),
    )


def cell(number: int, did: CpuFallback | None, title: str = "df.apply(f)") -> CellRun:
    return CellRun(number=number, index=number, id="", title=title, status="ok", cpu_fallback=did)


@pytest.mark.parametrize(
    ("calls", "on_cpu", "words"),
    [(100, 61, "61 %"), (1000, 1, "<1 %"), (1000, 999, ">99 %"), (4, 0, "0 %"), (4, 4, "100 %")],
)
def test_a_share_in_words_is_all_or_nothing_only_where_it_is(
    calls: int, on_cpu: int, words: str
) -> None:
    found = fallback(calls, ("Series.map", on_cpu, 1.0))

    assert str(found) == f"{words} of calls on the CPU: Series.map"


def test_five_functions_are_named() -> None:
    found = fallback(10, *((f"f{number}", 1, 9.0 - number) for number in range(7)), memory=1)

    assert (
        str(found) == "70 % of calls on the CPU: f0, f1, f2, f3, f4; 1 call for want of GPU memory"
    )
    assert [function.name for function in found.shortened().functions] == [
        "f0",
        "f1",
        "f2",
        "f3",
        "f4",
    ]
    assert found.shortened().cpu_calls == 7


def test_cells_add_up() -> None:
    first = fallback(4, ("map", 1, 1.0), ("apply", 1, 0.5), memory=1)

    found = cpu_fallback.total([first, fallback(6, ("apply", 2, 2.0)), fallback(10)])

    assert found
    assert (found.share, found.calls, found.cpu_calls, found.out_of_memory) == (0.2, 20, 4, 1)
    assert (found.seconds, found.cpu_seconds) == (300.0, 3.5)
    assert [(f.name, f.calls, f.seconds) for f in found.functions] == [
        ("apply", 3, 2.5),
        ("map", 1, 1.0),
    ]
    assert cpu_fallback.total([]) is None


@pytest.mark.parametrize(
    ("text", "share"),
    [("0", 0), ("1", 1), ("0.2", 0.2), (".5", 0.5), ("20%", 0.2), (" 12.5 % ", 0.125), ("100%", 1)],
)
def test_a_limit_is_a_share_or_percent(text: str, share: float) -> None:
    assert cpu_fallback.parse_limit(text) == share


@pytest.mark.parametrize("text", ["20", "1.01", "101%", "-0.1", "half", "", "0,2", "nan", "1e-1"])
def test_what_is_no_share_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        cpu_fallback.parse_limit(text)

    assert str(refused.value) == (
        f"--max-cpu-fallback {text!r} is not a share: write a number from 0 to 1, or 20% for 0.2"
    )


@pytest.mark.parametrize("limit", [None, 0.4, 1.0])
def test_a_notebook_within_its_limit_has_no_error(limit: float | None) -> None:
    found = fallback(10, ("map", 4, 1.0))

    assert cpu_fallback.exceeded(limit, found, [cell(1, found)]) is None
    assert cpu_fallback.exceeded(0.0, fallback(3), [cell(1, fallback(3))]) is None
    assert cpu_fallback.exceeded(None, None, []) is None


def test_a_notebook_above_its_limit_says_where_most_of_the_time_went() -> None:
    first, second = fallback(6, ("map", 2, 1.0)), fallback(4, ("DataFrame.apply", 4, 8.0))
    cells = [cell(1, first), cell(2, None), cell(7, second, title="df.apply(f, axis=1)")]

    error: Any = cpu_fallback.exceeded(0.2, cpu_fallback.total([first, second]), cells)

    assert (error.exit_code, error.reason) == (3, Reason.CPU_FALLBACK)
    assert str(error) == (
        "60 % of calls ran on the CPU, and --max-cpu-fallback accepts 20 %: DataFrame.apply, map. "
        "Most of that time went into cell 7 (`df.apply(f, axis=1)`)"
    )


def test_a_share_just_above_its_limit_is_not_spelled_like_it() -> None:
    found = fallback(1000, ("map", 201, 1.0))

    error = cpu_fallback.exceeded(0.2, found, [cell(1, found)])

    assert str(error).startswith(
        "20.1 % of calls ran on the CPU, and --max-cpu-fallback accepts 20 %"
    )


def test_a_limit_is_not_met_where_nothing_was_counted() -> None:
    error: Any = cpu_fallback.exceeded(1.0, None, [cell(1, None)])

    assert (error.exit_code, error.reason) == (3, Reason.CPU_FALLBACK)
    assert "no call of cudf.pandas or cuml.accel was counted" in str(error)
    assert "%load_ext cudf.pandas" in str(error)
