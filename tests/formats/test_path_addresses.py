"""An address that was given as a path is found again, and one that it cannot hold is refused."""

from pathlib import Path

import pytest

from stepkit.formats import path_addresses


@pytest.mark.parametrize(
    "text",
    [
        "s3://bucket/a/b.ipynb",
        "gs://b/a.ipynb",
        "https://example.org:8080/a%20b.ipynb",
        "abs://x/y",
    ],
)
def test_a_path_keeps_an_address(text: str) -> None:
    path_addresses.check(text)

    assert path_addresses.address(Path(text)) == text


@pytest.mark.parametrize("text", ["a.ipynb", "/s3/a.ipynb", "c:/a.ipynb", "s3:a"])
def test_the_path_of_a_file_is_not_an_address(text: str) -> None:
    path_addresses.check(text)

    assert path_addresses.address(Path(text)) == ""


@pytest.mark.parametrize(
    "text",
    ["https://me:pass@example.org/a", "https://example.org/a?sig=pass", "s3://b/a#pass"],
)
def test_what_may_hold_a_secret_is_refused_without_showing_it(text: str) -> None:
    with pytest.raises(ValueError, match=r"is used without user, \? and #") as caught:
        path_addresses.check(text)

    assert "pass" not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["s3://b/a//c.ipynb", "s3://b/./c.ipynb", "https://example.org/a/"]
)
def test_what_a_path_would_change_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"holds //, /./ or a last slash: download the file first"):
        path_addresses.check(text)
