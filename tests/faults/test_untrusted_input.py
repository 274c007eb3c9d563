"""Rows S15 to S24 and S26: what hostile files, names and texts do to a step."""

import json
import os
import re
import socket
from contextlib import closing
from html.parser import HTMLParser
from pathlib import Path

import commands
import samples
from faults.harness import SECRET, Fault, row
from faults.test_secrets import clone, quoting
from faults.test_test_suites import OK, forging, run_tests
from rendered_markdown import Rendered

LAUGHS = """<?xml version="1.0"?><!DOCTYPE a [<!ENTITY a "ha"><!ENTITY b "{}"><!ENTITY c "{}">]>
<testsuites><testsuite><testcase name="test_a" classname="&c;"/></testsuite></testsuites>
""".format("&a;" * 100, "&b;" * 100)
INCLUDES = '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><testsuites>&x;</testsuites>'
FORGED = {
    "S15": forging(LAUGHS),
    "S16": forging(INCLUDES),
    "S17-truncated": forging("<testsuites><testsuite><testcase name='a'/>"),
    "S17-empty": forging(""),
    "S17-nul": forging("<testsuites>\0</testsuites>"),
    "S17-deep": forging(f"{'<testsuite>' * 100_000}{'</testsuite>' * 100_000}"),
    "S17-pipe": {
        "conftest.py": """
            import os
            def pytest_unconfigure(config):
                os.unlink(config.option.xmlpath)
                os.mkfifo(config.option.xmlpath)
        """
    },
    "S17-huge": {
        "conftest.py": """
            def pytest_unconfigure(config):
                with open(config.option.xmlpath, "r+b") as file:
                    file.truncate(300 << 20)
        """
    },
}


@row("S15", "S16", "S17")
def test_a_hostile_junit_file(fault: Fault) -> None:
    forged = FORGED["-".join(filter(None, [fault.number, fault.case]))]

    run_tests(fault, OK, files=forged, env={"GIT_TOKEN": SECRET})


SCRIPTS = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<iframe src='javascript:alert(1)'></iframe>",
    "<svg onload=alert(1)><a href='javascript:alert(1)'>x</a></svg>",
    "```\n<img src=x onerror=alert(1)>\n~~~~\n</pre></textarea><script>alert(1)</script>",
    "| a | b | [x](javascript:alert(1)) <!-- ",
]


class Active(HTMLParser):
    """Collects what a page would run that another one put there."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.runs = False  # whether what comes is the code of a script

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.runs = tag == "script" and given.get("type") != "application/json"
        address = given.get("href") or given.get("src") or ""
        if tag == "iframe" or address.startswith("javascript:") or {"onload", "onerror"} & {*given}:
            self.found.append(f"{tag} {attrs}")

    def handle_data(self, data: str) -> None:
        if self.runs and "alert(1)" in data:
            self.found.append(data)


def summarize(fault: Fault) -> None:
    fault.place("out", lambda path: (path / "report.html").is_file())

    fault.run("--reports", fault.private, "--summary=out/STEP_SUMMARY.md", "--html=out/report.html")

    page = (fault.directory / "out/report.html").read_text()
    summary = Rendered((fault.directory / "out/STEP_SUMMARY.md").read_text())
    assert "alert(1)" in page
    parser = Active()
    parser.feed(page)
    assert parser.found == []
    assert summary.foreign == []
    assert not any(url.startswith("javascript:") for url in summary.links.values())


@row("S18")
def test_an_error_of_a_notebook_holds_markup(fault: Fault) -> None:
    text = " ".join(SCRIPTS)
    source = f"class Error(Exception): pass\nError.__name__ = {text!r}\nraise Error({text!r})"
    samples.write_notebook(fault.private / "a.ipynb", source)
    output = fault.private / "out.ipynb"
    ended = fault.execute("execute-notebook", [fault.private / "a.ipynb", output])
    assert ended.exit == 3, ended
    (fault.private / "execute-notebook.json").write_text(json.dumps(ended.report))

    summarize(fault)


@row("S19")
def test_the_name_of_a_test_holds_markup(fault: Fault) -> None:
    checkout = fault.private / "checkout"
    checkout.mkdir()
    code = f"@pytest.mark.parametrize('v', {SCRIPTS!r})\ndef test_a(v): assert 0, v\n"
    (checkout / "test_x.py").write_text(f"import pytest\n{code}")
    given = [f"--checkout={checkout}", "--installer=none", f"--artifacts={fault.private}/out"]
    ended = fault.execute("run-tests", [*given, "--pytest-args=-pno:zarr"])
    assert ended.exit == 3, ended
    (fault.private / "run-tests.json").write_text(json.dumps(ended.report))

    summarize(fault)


def collected(fault: Fault, *more: str) -> list[str]:
    """Collect the artifacts in the directory "artifacts"; return the paths in the list."""

    def is_whole(path: Path) -> bool:
        schema: str = json.loads(path.read_text())["schema"]
        return schema.startswith("stepkit.manifest/")

    manifest = fault.place("artifacts/manifest.json", is_whole)
    fault.run("--artifacts=artifacts", *more)
    return [entry["path"] for entry in json.loads(manifest.read_text())["artifacts"]]


@row("S20")
def test_a_name_that_leads_elsewhere(fault: Fault) -> None:
    work = fault.directory
    (work / "page.html").write_text("page")
    if fault.case == "notebook":
        (work / "tests").mkdir()
        samples.write_notebook(work / "a.ipynb", "1")
        (work / "rules.yaml").write_text("schema: stepkit.rules/1\n")
        fault.place("out.ipynb", lambda _: False)
        fault.run("a.ipynb", "out.ipynb", "--rules=tests:../rules.yaml", "--checkouts=.")
    elif fault.case == "output":
        run_tests(fault, OK, "--suffix=/../../x")
    elif fault.case == "input":
        run_tests(fault, OK, "--inputs=page.html", "--input-names=../../x")
    elif fault.case == "directory":
        fault.place("run", lambda _: False)
        fault.run("--directory=run", "--directories=../x")
    else:
        (work / "artifacts").mkdir()
        (work / "artifacts/a").write_text("x")
        (work / "published").mkdir()
        fault.prepare("--artifacts=artifacts", step="collect-artifacts")
        manifest = work / "artifacts/manifest.json"
        manifest.write_text(manifest.read_text().replace('"a"', '"../page.html"'))
        fault.place("published", lambda _: False)
        fault.run("--artifacts=artifacts", "--destination=published")
    assert not list(fault.base.glob("x*"))
    assert not (work / "x").exists()


@row("S21")
def test_a_link_in_the_place_of_a_file(fault: Fault) -> None:
    victim = fault.private / "victim"
    victim.mkdir()
    (victim / "keep").write_text("work")
    work = fault.directory
    if fault.case == "input":
        (work / "checkout").mkdir()
        (work / "checkout/input").symlink_to(victim)
        (work / "page.html").write_text("page")
        run_tests(fault, OK, "--inputs=page.html")
    elif fault.case == "output":
        samples.write_notebook(work / "a.ipynb", "1")
        (work / "out.ipynb").symlink_to(victim / "keep")
        fault.place("out.ipynb", lambda path: not path.is_symlink())
        fault.run("a.ipynb", "out.ipynb")
    elif fault.case == "artifact":
        (work / "artifacts").mkdir()
        (work / "artifacts/link").symlink_to(victim / "keep")
        (work / "artifacts/directory").symlink_to(victim)
        assert collected(fault) == []
    else:
        (work / "source.backup-20200101T000000000000Z").symlink_to(victim)
        (work / "run").symlink_to(victim)
        ages = ("--runs-older-than=0", "--backups-older-than=0", "--scratch-older-than=0")
        fault.run("--directory=.", "--keep-runs=0", *ages)
    assert [(path.name, path.read_text()) for path in victim.iterdir()] == [("keep", "work")]


@row("S22", "S23", "S27")
def test_artifacts_of_odd_kinds(fault: Fault) -> None:
    artifacts = fault.directory / "artifacts"
    artifacts.mkdir()
    expected = ["a"]
    if fault.number == "S22":
        (fault.private / "work").write_text("work")
        (artifacts / "a").hardlink_to(fault.private / "work")
    elif fault.number == "S23":
        (artifacts / "a").touch()
        os.mkfifo(artifacts / "fifo")
        with closing(socket.socket(socket.AF_UNIX)) as listening:
            listening.bind(os.path.relpath(artifacts / "socket"))
        if os.geteuid() == 0:
            os.mknod(artifacts / "device", 0o020600, os.makedev(1, 3))
    else:
        odd = {"long": b"n" * 255, "newline": b"a\nb", "not-utf-8": b"\xff\xfe"}
        many = [str(number).encode() for number in range(10_000)]
        names = [odd[fault.case]] if fault.case in odd else many
        expected = sorted(os.fsdecode(name) for name in names)
        for name in names:
            (artifacts / os.fsdecode(name)).touch()

    assert sorted(collected(fault)) == expected

    if fault.number == "S22":
        assert (fault.private / "work").read_text() == "work"
    if fault.number == "S27":
        checked = commands.run("sha256sum", "--check", "--quiet", "SHA256SUMS", cwd=artifacts)
        assert (checked.returncode, checked.stderr) == (0, "")


@row("S24")
def test_modules_named_like_those_of_python(fault: Fault) -> None:
    checkout = fault.directory / "checkout"
    checkout.mkdir()
    for name in ("html", "json", "logging", "tempfile", "nbformat", "pytest"):
        (checkout / f"{name}.py").write_text("raise RuntimeError('shadowed')\n")
    samples.write_notebook(checkout / "a.ipynb", "1 + 1")
    if fault.case == "run-tests":
        run_tests(fault, OK)
        return
    place = fault.place("out", lambda path: path.stat().st_size > 0)
    given = ["--notebook=a.ipynb", f"--page={place}"]
    if fault.case == "execute-notebook":
        given = ["a.ipynb", str(place)]
    fault.run(*given, cwd=checkout)


@row("S26")
def test_control_characters_for_the_terminal(fault: Fault) -> None:
    text = "\x1b]8;;http://evil\x1b\\ \x1b[2J\n::error::injected"
    if fault.case == "url":
        clone(fault, f"http://127.0.0.1:9/{text}")
    else:
        with quoting(text) as url:
            ended = clone(fault, url, "--log-format=ci", env={"GIT_TOKEN": "of no use"})
        assert "injected" in ended.stderr
        assert not re.search(r"^::error::injected", ended.stderr, re.MULTILINE)
