import pytest

from stepkit.errors import ConfigurationError
from stepkit.formats import sizes


@pytest.mark.parametrize(
    ("text", "expected"),
    [("200GiB", 200 << 30), ("1.5k", 1500), ("4096", 4096), ("500TiB", 500 << 40)],
)
def test_reads_sizes_of_volumes(text: str, expected: int) -> None:
    assert sizes.parse(text) == expected


@pytest.mark.parametrize("text", ["0.5", "50%", "much", ""])
def test_refuses_a_text_that_is_not_a_size(text: str) -> None:
    problem = r"^--free .* is not a size: write 4GiB, 500MB or a n"
    with pytest.raises(ConfigurationError, match=problem):
        sizes.parse(text, name="--free")


def test_a_forgotten_unit_is_noticed() -> None:
    with pytest.raises(ConfigurationError, match="is 10 bytes, too small: did you mean 10GiB"):
        sizes.parse("10")


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0 bytes"), (300, "300 bytes"), (64 << 20, "64.0 MiB"), (3 << 29, "1.5 GiB")],
)
def test_spells_bytes_for_people(number: int, text: str) -> None:
    assert sizes.spell(number) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1500, "1.5 kB"),
        (2_000_000, "2.0 MB"),
        (3 * 10**12, "3000.0 GB"),
    ],
)
def test_spells_bytes_in_powers_of_1000(number: int, text: str) -> None:
    assert sizes.spell(number, decimal=True) == text
