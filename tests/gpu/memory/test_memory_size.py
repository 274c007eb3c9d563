import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepkit.errors import ConfigurationError
from stepkit.gpu.memory import memory_size

GIB = 1 << 30


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1073741824", GIB),
        ("4GiB", 4 * GIB),
        ("4 gib", 4 * GIB),
        ("4Gi", 4 * GIB),
        ("1.5GiB", 3 * GIB // 2),
        ("500MB", 500_000_000),
        ("500M", 500_000_000),
        ("300B", 300),
        ("0.5", 0.5),
        ("1.0", 1.0),
        ("50%", 0.5),
        ("12.5 %", 0.125),
        ("100%", 1.0),
    ],
)
def test_reads_sizes_as_people_write_them(text: str, expected: float) -> None:
    parsed = memory_size.parse(text)

    assert parsed == expected
    assert type(parsed) is type(expected)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "lots",
        "-1GiB",
        "1e9",
        "4GiBs",
        "GiB",
        "0x10",
        "١GiB",  # noqa: RUF001
        ".",
        "1" * 5000,
        "1" * 400 + ".5GiB",
    ],
)
def test_text_that_is_not_a_size_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^--size .* is not a size: write 4GiB"):
        memory_size.parse(text, name="--size")


@pytest.mark.parametrize("text", ["eight", "10GX", "", "0.5", "1.5", "50%"])
def test_a_share_is_neither_accepted_nor_suggested_without_shares(text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        memory_size.parse(text, name="--size", shares=False)

    advice = "write 4GiB, 500MB or a number of bytes"
    assert str(caught.value) == f"--size {text!r} is not a size: {advice}"


def test_sizes_are_read_alike_without_shares() -> None:
    assert memory_size.parse("1.5GiB", shares=False) == 3 * GIB // 2


@pytest.mark.parametrize("text", ["1.5", "0.0", "0%", "150%"])
def test_a_number_that_is_not_a_share_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="is not a share of the memory"):
        memory_size.parse(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("4", "is 4 bytes, too small: did you mean 4GiB"),
        ("0", "'0' is 0 bytes, too small$"),
        ("1000000TB", "too large"),
    ],
)
def test_a_size_that_no_allocator_can_have_is_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        memory_size.parse(text)


def test_a_threshold_may_be_zero() -> None:
    assert memory_size.parse("0", least=0) == 0


@given(st.integers(memory_size.SMALLEST, memory_size.LARGEST))
def test_bytes_come_back_as_they_were_written(number: int) -> None:
    assert memory_size.parse(str(number)) == number


def test_the_host_has_memory_free() -> None:
    assert 0 < memory_size.free_on_host() < memory_size.LARGEST
