"""Rows T1 to T19 and T29 to T38: what goes wrong with pytest, its reports and its inputs."""

import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import commands
import waiting
from faults.harness import Ended, Fault, row

OK = "def test_a(): pass\n"
BAD = "def test_a(): assert 0\n"
XML = "<testsuites><testsuite>{}</testsuite></testsuites>"
PASSED = '<testcase classname="tests.test_x" name="test_a"/>'
LYING = '<testsuite tests="1" failures="0"><testcase name="a"><failure/></testcase></testsuite>'
REPORTS = ("--with-coverage=true", "--with-html=true")


def is_junit(path: Path) -> bool:
    return ET.parse(path).getroot().tag == "testsuites"


def run_tests(
    fault: Fault, code: str, *flags: str | Path, files: dict[str, str] | None = None, **process: Any
) -> Ended:
    """Run the tests in ``code``, beside ``files`` of the checkout, by stepkit's own Python."""
    checkout = fault.directory / "checkout"
    for name, text in {"tests/test_x.py": code, **(files or {})}.items():
        path = checkout / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
    if not code:
        (checkout / "tests/test_x.py").unlink()
    fault.place("artifacts/pytest_results.xml", is_junit)
    return fault.run(*FLAGS, *flags, **process)


# zarr, which the demo brings, adds a plugin to pytest that imports CuPy.
FLAGS = ("--checkout=checkout", "--artifacts=artifacts", "--installer=none",
         "--with-coverage=false", "--with-html=false", "--pytest-args=-pno:zarr")  # fmt: skip


def forging(report: str) -> dict[str, str]:
    """Return a conftest.py that writes ``report`` over that of pytest."""
    return {
        "conftest.py": f"""
            def pytest_unconfigure(config):
                open(config.option.xmlpath, "w").write({report!r})
        """
    }


AGAIN = """
    from _pytest.runner import runtestprotocol
    def pytest_runtest_protocol(item, nextitem):
        for _ in range(2):
            item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
            runtestprotocol(item, nextitem=nextitem)
            item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True
"""
FORGED_COVERAGE = """
    import atexit, sys
    path = next(word[len("--cov-report=xml:"):] for word in sys.argv if "=xml:" in word)
    atexit.register(lambda: open(path, "w").write({!r}))
"""
FIXTURE = (
    "import pytest\n@pytest.fixture\ndef f():\n    {}\n    raise OSError('x')\ndef test_a(f): 0"
)
NAMES = ["<b>x</b>", "&amp;\"'", "]]>", "a::b", "\x1b[31m", "\n::error::x"]
NEVER = "import signal, time\ndef test_a():\n    {}\n    time.sleep(600)\n"
IGNORE = "signal.signal(signal.SIGTERM, signal.SIG_IGN)"

HANGING = "import threading\ndef test_a(): threading.Timer(600, print).start()\n"

# The tests, further files of the repository, flags.
SUITES: dict[str, tuple[str, dict[str, str], tuple[str, ...]]] = {
    "T1": (OK, {}, REPORTS),
    "T2": (BAD, {}, ()),
    "T3": ("import no_such_module\n", {}, ()),
    "T4": (OK, {"conftest.py": "def pytest_runtest_logfinish(): raise OSError('boom')"}, ()),
    "T5": (OK, {"pytest.ini": "[pytest]\naddopts = --no-such-option\n"}, ()),
    "T6": ("x = 1\n", {}, ()),
    "T7-SIGKILL": ("import os\ndef test_a(): os.kill(os.getpid(), 9)\n", {}, ()),
    "T7-SIGSEGV": ("import os\ndef test_a(): os.kill(os.getpid(), 11)\n", {}, ()),
    "T8": ("import os\ndef test_a(): os._exit(0)\n", {}, ()),
    "T11-cut": (OK, forging("<testsuites><testsuite><testcase name='a'/>"), ()),
    "T11-empty": (OK, forging(""), ()),
    "T12-counts": (OK, forging(LYING), ()),
    "T12-cases": (BAD, forging(XML.format(PASSED)), ()),
    "T13-passes": (OK, {"conftest.py": AGAIN}, ()),
    "T13-fails-first": ("n = []\ndef test_a():\n    n.append(0)\n    assert len(n) > 1\n",
                        {"conftest.py": AGAIN}, ()),
    "T14-skipped": ("import pytest\n@pytest.mark.skip('no gpu')\ndef test_a(): pass\n", {}, ()),
    "T14-expected-failures": ("import pytest\n@pytest.mark.xfail\ndef test_a(): 1 / 0\n", {}, ()),
    "T15-setup": (FIXTURE.format("pass"), {}, ()),
    "T15-teardown": (FIXTURE.format("yield"), {}, ()),
    "T16": (f"import pytest\n@pytest.mark.parametrize('v', {NAMES!r})\ndef test_a(v): pass\n",
            {}, REPORTS),
    "T17-no-lines": (OK, {".coveragerc": "[run]\nomit = *\n"}, REPORTS),
    "T17-missing": (OK, {}, (*REPORTS, "--pytest-args=--no-cov")),
    "T17-malformed": (OK, {"conftest.py": FORGED_COVERAGE.format("<coverage")}, REPORTS),
    "T17-impossible": (
        OK,
        {"conftest.py": FORGED_COVERAGE.format('<coverage lines-valid="1" lines-covered="9"/>')},
        REPORTS,
    ),
    "T18": (f"{OK}def never():\n    return 1\n", {".coveragerc": "[report]\nfail_under = 99\n"},
            REPORTS),
    "T19-sleeps": (NEVER.format("pass"), {}, ("--timeout=4",)),
    "T19-ignores-SIGTERM": (NEVER.format(IGNORE), {}, ("--timeout=4",)),
    "T29": ("import pytest\n@pytest.mark.other\ndef test_a(): pass\n", {}, ("--marker=wanted",)),
    "T30-import": (OK, {"conftest.py": "import no_such_module\n"}, ()),
    "T30-syntax": (OK, {"conftest.py": "this is not Python\n"}, ()),
    "T30-exits": (OK, {"conftest.py": "raise SystemExit(0)\n"}, ()),
    "T30-os-exits": (OK, {"conftest.py": "import os\nos._exit(0)\n"}, ()),
    "T31": ("def test_a(): open('left', 'w'); open('../left', 'w')\n", {}, ()),
    "T32": (HANGING, {}, ("--timeout=5",)),
    "T35-no-tests": ("", {}, ()),
    "T35-no-repository": (OK, {}, ("--checkout=missing",)),
}  # fmt: skip


@row("T1", "T2", "T3", "T4", "T5", "T6", "T7", "T8", "T11", "T12", "T13", "T14", "T15", "T16",
     "T17", "T18", "T19", "T29", "T30", "T31", "T32", "T35")  # fmt: skip
def test_a_test_suite_that_is_not_as_it_should_be(fault: Fault) -> None:
    code, files, flags = SUITES["-".join(filter(None, [fault.number, fault.case]))]

    ended = run_tests(fault, code, *flags, files=files)

    if fault.number == "T13":
        assert ended.report["outputs"]["total"] == 1
    if fault.number == "T17":
        assert ended.report["outputs"]["coverage"] is None
    assert "cov" in "".join(flags) or not list(fault.directory.glob("artifacts/cov*"))


@row("T9")
def test_variables_that_steer_pytest(fault: Fault) -> None:
    steering = {"PYTEST_ADDOPTS": "--collect-only", "PYTEST_PLUGINS": "no_such_plugin"}

    ended = run_tests(fault, OK, env=steering)

    assert ended.report["outputs"]["passed"] == 1


@row("T10")
def test_a_junit_file_of_an_earlier_run(fault: Fault) -> None:
    (fault.directory / "artifacts").mkdir()
    (fault.directory / "artifacts/pytest_results.xml").write_text(XML.format(PASSED))

    ended = run_tests(fault, SUITES["T8"][0])

    assert ended.report["outputs"]["junit"] is None
    assert not (fault.directory / "artifacts/pytest_results.xml").exists()


SEES_PAGE = "def test_a(): assert open('input/page.html').read(4) == 'page'\n"


@row("T33")
def test_a_directory_for_inputs(fault: Fault) -> None:
    (fault.directory / "page.html").write_text("page")
    work = fault.directory / "work"
    work.mkdir()
    (work / "mine").write_text("work")
    place = fault.directory / "checkout/input"
    place.parent.mkdir()
    if fault.case == "file":
        place.write_text("work")
    elif fault.case == "link":
        place.symlink_to(work)
    elif fault.case == "directories":
        (place / "old").mkdir(parents=True)
        (place / "link").symlink_to(work)
    elif fault.case == "code":
        place.mkdir()
        (place / "mine.py").write_text("work")

    run_tests(fault, SEES_PAGE, "--inputs=page.html")

    assert (work / "mine").read_text() == "work"
    kept = {"file": place, "code": place / "mine.py"}.get(fault.case)
    assert not kept or kept.read_text() == "work"
    assert fault.case != "directories" or [path.name for path in place.iterdir()] == ["page.html"]


@row("T34")
def test_a_page_to_test(fault: Fault) -> None:
    page = fault.directory / "page.html"
    if fault.case != "missing":
        page.write_text("page" if fault.case == "huge" else "")
    if fault.case == "huge":
        with page.open("r+b") as file:
            file.truncate(300 << 20)

    run_tests(fault, SEES_PAGE, "--inputs=page.html")


@row("T36")
def test_a_checkout_that_is_read_only(fault: Fault) -> None:
    fault.needs("root", "mount")
    checkout = fault.directory / "checkout"
    (checkout / "tests").mkdir(parents=True)
    (checkout / "tests/test_x.py").write_text(OK)
    (fault.directory / "page.html").write_text("page")
    fault.place("artifacts/pytest_results.xml", is_junit)

    with commands.mounted(checkout, "--bind", checkout):
        commands.run("mount", "-o", "remount,bind,ro", checkout).check_returncode()
        fault.run(*FLAGS, *(["--inputs=page.html"] if fault.case == "inputs" else []))


@row("T37")
def test_two_runs_at_once(fault: Fault) -> None:
    checkout = fault.directory / "checkout"
    checkout.mkdir()
    (checkout / "test_x.py").write_text(
        "import os, time\n"
        "def test_a():\n"
        "    time.sleep(0.5)\n"
        "    assert len(os.listdir('input')) == 1\n"
    )
    for name in ("a.html", "b.html"):
        (fault.directory / name).write_text("page")

    with ThreadPoolExecutor(2) as pool:
        runs = [
            pool.submit(fault.run, *FLAGS, f"--inputs={name}.html", f"--artifacts={name}")
            for name in "ab"
        ]

    assert [run.result().exit for run in runs] == [0, 0]


@row("T38")
def test_a_test_that_ends_its_parent(fault: Fault) -> None:
    seconds = 600 if fault.case == "SIGTERM" else 0  # nobody is left to end the test after SIGKILL
    code = f"""
        import os, signal, time
        def test_a():
            open("pid", "w").write(str(os.getpid()))
            os.kill(os.getppid(), signal.{fault.case})
            time.sleep({seconds})
    """

    run_tests(fault, code)

    pid = (fault.directory / "checkout/pid").read_text()
    waiting.until(lambda: not Path(f"/proc/{pid}").exists())
