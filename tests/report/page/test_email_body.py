"""The HTML of an e-mail: the verdict first, then why; short, and without what mail clients drop."""

import re

import pytest
import run_records

from stepkit.report.page import email_body

LINK = "https://pages.example.com/run-7/report.html"


@pytest.mark.parametrize("name", run_records.RUNS)
def test_every_run_is_a_short_document_that_loads_nothing(name: str) -> None:
    html = email_body.render(run_records.RUNS[name](), link=LINK, note="")

    assert re.findall(r"<(?:style|script|table|img|link)\b", html) == []
    assert len(html) < 30_000
    assert "None" not in html
    assert re.findall('href="(.*?)"', html) == [LINK]


def test_the_line_that_failed_is_shown_once_in_its_source() -> None:
    html = email_body.render(run_records.batch(), link="", note="")

    (evidence,) = re.findall(r"<pre.*?>(.*?)</pre>", html, re.DOTALL)
    assert evidence.endswith("7   &gt; scores(adata, &#34;pca&#34;)\n\nKeyError: &#39;pca&#39;")
    assert evidence.count("scores(adata, &#34;pca&#34;)") == 1


def test_of_many_steps_the_rest_is_counted() -> None:
    steps = [run_records.step(f"step-{number}") for number in range(33)]

    html = email_body.render(run_records.run(steps=steps), link="", note="")

    assert html.count("✓ step-") == 30
    assert "<li>and 3 more</li>" in html
