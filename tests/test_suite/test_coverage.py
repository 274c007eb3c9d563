from pathlib import Path

import pytest

from stepkit.test_suite import coverage


@pytest.mark.parametrize(
    ("text", "percent"),
    [
        ('<coverage lines-valid="8" lines-covered="7" line-rate="0.1"/>', 87.5),
        ('<coverage lines-valid="10000" lines-covered="9999"/>', 99.9),
        ('<coverage lines-valid="3" lines-covered="3"><packages/></coverage>', 100.0),
        ('<coverage lines-valid="3" lines-covered="0"/>', 0.0),
        ('<coverage lines-valid="0" lines-covered="0" line-rate="1"/>', None),
        ('<coverage line-rate="0.9"/>', None),
        ('<coverage lines-valid="3" lines-covered="4"/>', None),
        ('<coverage lines-valid="-3" lines-covered="-4"/>', None),
        ('<testsuites lines-valid="3" lines-covered="3"/>', None),
        ('<coverage lines-valid="3" lines-covered="3"><packages>', None),
        (
            '<!DOCTYPE c [<!ENTITY a "3">]><coverage lines-valid="&a;" lines-covered="3"/>',
            None,
        ),
        ("87 %", None),
        ("", None),
    ],
)
def test_coverage_is_counted_from_lines_and_never_guessed(
    tmp_path: Path, text: str, percent: float | None
) -> None:
    report = tmp_path / "coverage.xml"
    report.write_text(text)
    assert coverage.read(report) == percent


def test_without_a_report_the_coverage_is_unknown(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert coverage.read(tmp_path / "coverage.xml") is None
    assert "the coverage is unknown" in caplog.text


def test_a_huge_report_is_not_read(tmp_path: Path) -> None:
    report = tmp_path / "coverage.xml"
    with report.open("wb") as file:
        file.truncate(coverage.MAX_BYTES + 1)
    assert coverage.read(report) is None
