"""Which sizes a file may have for the size that a manifest gives."""

import pytest

from stepkit.datasets.expected_size import ExpectedSize
from stepkit.errors import ConfigurationError


@pytest.mark.parametrize(
    ("given", "least", "most"),
    [
        (5, 5, 5),
        ("1700000000", 1_700_000_000, 1_700_000_000),
        ("2048 MB", 2_047_000_000, 2_049_000_000),
        ("2048MiB", 2047 * 2**20, 2049 * 2**20),
        ("1.7 GB", 1_600_000_000, 1_800_000_000),
        ("1.70GB", 1_690_000_000, 1_710_000_000),
        ("300 b", 299, 301),
    ],
)
def test_a_size_with_a_unit_may_be_wrong_by_one_in_its_last_digit(
    given: int | str, least: int, most: int
) -> None:
    size = ExpectedSize.parse(given)

    assert (size.least, size.most) == (least, most)
    assert (size.exact is None) == (least != most)
    assert [size.fits(n) for n in (least - 1, least, most, most + 1)] == [False, True, True, False]


@pytest.mark.parametrize("given", ["1 GB", "0.0GB", "-5", "5 parsecs", "1.5", ""])
def test_what_is_not_a_size_or_says_nothing_is_refused(given: str) -> None:
    with pytest.raises(ConfigurationError):
        ExpectedSize.parse(given)


@pytest.mark.parametrize(
    ("given", "size", "said"),
    [
        ("2048 MB", 2**31, "2147483648 bytes (2048 MiB) instead of 2048 MB"),
        ("1.7g", int(1.7 * 2**30), "1825361100 bytes (1.7 GiB) instead of 1.7g"),
        ("2048 MB", 5, "5 bytes instead of 2048 MB"),
        ("2048 MiB", 5, "5 bytes instead of 2048 MiB"),
        (2048, 5, "5 bytes instead of 2048"),
    ],
)
def test_a_unit_of_1024_that_was_meant_is_named(given: int | str, size: int, said: str) -> None:
    assert ExpectedSize.parse(given).instead(size) == said
