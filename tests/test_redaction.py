"""A secret stays hidden however it is spelled."""

import base64
import html
import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest

from stepkit import redaction
from stepkit.cli import write_outcome
from stepkit.cli.destinations import Destinations
from stepkit.cli.step_report import write_report
from stepkit.formats.shorten import shorten
from stepkit.redaction import redact, register, register_url, register_variables
from stepkit.step import StepResult

SECRET = "p@ss\"w\\o'rd/\u00e9+"


def result(**fields: Any) -> StepResult:
    return StepResult(step="s", status="succeeded", started="now", seconds=1, **fields)


@pytest.mark.parametrize(
    "spell",
    [
        str,
        json.dumps,
        lambda s: json.dumps([f"a {s} b"], ensure_ascii=False),
        repr,
        lambda s: repr([s]),
        ascii,
        lambda s: repr(s.encode()),
        shlex.quote,
        lambda s: quote(s, safe=""),
        lambda s: re.sub("%..", lambda found: found[0].lower(), quote(s, safe="")),
        quote_plus,
        html.escape,
        lambda s: base64.b64encode(s.encode()).decode(),
        lambda s: base64.urlsafe_b64encode(s.encode()).decode(),
    ],
)
def test_a_secret_is_masked_in_every_spelling(spell: Callable[[str], str]) -> None:
    shown = redact(f"before {spell(SECRET)} after", [SECRET])
    assert "***" in shown
    assert re.fullmatch(r"""before [b\['"]*(a )?\*\*\*( b)?['"\]]* after""", shown)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31ma\x1b[0m long-\x1b[33msecret\x1b[0m b", "a *** b"),
        ("\x1b[31ma\x1b[0m long-secret b", "\x1b[31ma\x1b[0m *** b"),
        ("https://u:\x1b[1mpass\x1b[0m@host/", "https://***@host/"),
        ("\x1b[31mred\x1b[0m", "\x1b[31mred\x1b[0m"),
    ],
)
def test_colours_inside_of_a_secret_do_not_hide_it(text: str, shown: str) -> None:
    assert redact(text, ["long-secret"]) == shown


@pytest.mark.parametrize("user", ["", "u", "us", "use"])
def test_a_password_is_masked_in_a_basic_authorization_header(user: str) -> None:
    header = base64.b64encode(f"{user}:long-s3cret-value!".encode()).decode()
    shown = redact(f"Authorization: Basic {header}", ["long-s3cret-value"])
    assert len(shown.partition("***")[2]) < 5
    assert "***" in shown


def test_a_secret_that_is_not_text_is_masked_as_a_log_shows_it() -> None:
    assert redact("says p\ufffdssword", ["p\udcffssword"]) == "says ***"


def test_a_secret_is_masked_without_the_line_break_that_its_file_ends_with() -> None:
    assert redact("says s3cret, then", ["s3cret\n"]) == "says ***, then"


def test_each_line_of_a_secret_is_masked_unless_it_is_short() -> None:
    urls = "slack://t0ken/value\nshort\n  json://h/t0ken  \n"

    assert redact("slack://t0ken/value json://h/t0ken short", [urls]) == "*** *** short"


def test_a_registered_secret_is_masked_from_then_on() -> None:
    before = redact("says s3cret")
    register("s3cret", "")

    assert (before, redact("says s3cret", ["other"])) == ("says s3cret", "says ***")


def test_a_child_masks_what_its_parent_masks_and_hands_on_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    register("s3cret-\udcff\nline", "two words")
    environment = {"PATH": "/bin", **redaction.child_environment()}
    assert all(text.isascii() and text.isprintable() for text in environment.values())

    monkeypatch.setattr("stepkit.redaction._registered", set())
    redaction.register_of_parent(environment)

    assert redact("says s3cret-\udcff\nline, two words") == "says ***, ***"
    assert environment == {"PATH": "/bin"}


@pytest.mark.parametrize("text", ["", "no JSON", "1", "null"])
def test_a_variable_of_somebody_else_is_not_read(text: str) -> None:
    environment = {redaction.VARIABLE: text}

    redaction.register_of_parent(environment)

    assert not environment
    assert redact("no JSON 1 null") == "no JSON 1 null"


def test_short_secrets_and_other_text_stay() -> None:
    assert redact('a "b" c', ["a", ""]) == 'a "b" c'
    assert redact("https://user:pass@host/x") == "https://***@host/x"
    assert redact("https://t0ken@host/x") == "https://***@host/x"
    assert redact("ssh://git:pass@host/x") == "ssh://***@host/x"
    assert redact("ssh://git@host/x") == "ssh://git@host/x"


def test_a_report_stays_json_whatever_the_secret_is(tmp_path: Path) -> None:
    for secret in ("null", "succeeded", '",\n\t', "seconds", "true"):
        report = tmp_path / "report.json"
        outputs = {"said": f"<{secret}>", "list": ["x", secret], "none": None, "flag": True}
        write_report(result(outputs=outputs, message=f"it was {secret}!"), report, [secret])
        read = json.loads(report.read_text())
        assert read["outputs"] == {"said": "<***>", "list": ["x", "***"], "none": None,
                                   "flag": True}  # fmt: skip
        assert read["message"] == "it was ***!"
        assert read["status"] == "succeeded"


def test_a_report_with_a_name_that_is_not_text_can_be_read(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    write_report(result(message="no file \udcff\ud800"), report, [])
    assert json.loads(report.read_text("utf-8"))["message"] == r"no file \udcff\ud800"


def test_results_keep_bytes_that_are_not_text(tmp_path: Path) -> None:
    path, message = tmp_path / "path", tmp_path / "message"
    odd = result(outputs={"path": "a\udcff"}, message="odd \udcff\ud800")
    write_outcome.write(odd, Destinations(results=(("path", path), ("message", message))))
    assert path.read_bytes() == b"a\xff"
    assert message.read_bytes() == b"odd ??"


def test_a_long_message_is_cut_after_the_secret_in_it_is_masked(tmp_path: Path) -> None:
    to = Destinations(results=(("message", tmp_path / "message"),), secrets=("s3cret-value",))
    write_outcome.write(result(message="x" * 390 + "s3cret-value"), to)
    assert (tmp_path / "message").read_text() == "x" * 390 + "***"


def test_what_a_user_wrote_keeps_urls_and_words_that_are_short_secrets() -> None:
    register("test", "s3cret/token")
    text = '<testcase url="https://me@example.org">{}</testcase>'

    masked = redaction.mask(text.format(rf"s3cret/token s3cret\/token {b's3cret/token'.hex()}"))

    assert masked == text.format("*** *** ***")


def test_a_text_is_masked_before_it_is_cut() -> None:
    register("s3cret-of-a-server")

    cut = shorten("says s3cret-of-a-server and s3cret-of-a-server again", 30)

    assert cut == "says *** and *** again"
    assert shorten("s3cret-of-a-server " * 9, 20) == "*** *** *** *** *..."


def test_a_password_and_a_signature_are_masked_where_they_stand_without_their_url() -> None:
    register_url("http://me:pa%2Fss-word@proxy:3128")
    register_url("https://h/a?X-Amz-Signature=0123abcd%2B&part=1")

    shown = redact("pa/ss-word, pa%2Fss-word, 0123abcd+ and part=1")

    assert shown == "***, ***, *** and part=1"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("https_proxy", "me:long-s3cret@proxy:3128"),
        ("PIP_EXTRA_INDEX_URL", "https://a/simple https://me:long-s3cret@b/simple"),
        ("UV_INDEX_INNER_PASSWORD", "long-s3cret"),
        ("POETRY_HTTP_BASIC_INNER_PASSWORD", "long-s3cret"),
        ("POETRY_PYPI_TOKEN_INNER", "long-s3cret"),
    ],
)
def test_passwords_of_proxies_and_package_indexes_are_masked(name: str, value: str) -> None:
    register_variables({name: value, "DATABASE_URL": "postgres://me:database@db"})

    assert redact("says long-s3cret of the database") == "says *** of the database"


def test_a_secret_is_masked_as_a_page_shows_what_python_prints() -> None:
    printed = repr({"a": SECRET})

    for page in (html.escape(printed), json.dumps([printed])):
        assert "rd/" not in redact(page, [SECRET])
