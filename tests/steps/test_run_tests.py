"""run-tests, with a real pytest in a separate repository for each test."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

import commands
import pytest
from waiting import until

from stepkit.errors import (
    Cancelled,
    ConfigurationError,
    Evidence,
    Reason,
    StepError,
    ToolError,
    UserCodeError,
)
from stepkit.steps import run_tests
from stepkit.steps.run_tests import Outputs

STOPPED = "pytest stopped before all tests ran"
# The two reports are half of the time of a small run.
NO_REPORTS: dict[str, Any] = {"with_coverage": False, "with_html": False}


class Repository:
    """A test repository, and the run of its tests."""

    def __init__(self, tmp_path: Path) -> None:
        self.path = tmp_path / "repository"
        self.artifacts = tmp_path / "artifacts"
        self.evidence = Evidence()
        (self.path / "tests").mkdir(parents=True)

    def write(self, name: str, text: str) -> Path:
        path = self.path / name
        path.write_text(textwrap.dedent(text))
        return path

    def write_tests(self, text: str) -> Path:
        return self.write("tests/test_x.py", text)

    def run(self, **options: Any) -> Outputs:
        options = {"installer": "none", **options}
        # zarr, which the demo brings, adds a plugin to pytest that imports CuPy.
        options["pytest_args"] = ("-p", "no:zarr", *options.get("pytest_args", ()))
        chosen = run_tests.Options(checkout=self.path, artifacts=self.artifacts, **options)
        return run_tests.run(chosen)

    def fail(self, kind: type[StepError], reason: Reason, **options: Any) -> tuple[str, Outputs]:
        """Run the tests, which must fail with ``reason``; return the message and the outputs.

        ``evidence`` is what shows why.
        """
        with pytest.raises(kind) as caught:
            self.run(**options)
        assert caught.value.reason is reason
        outputs = caught.value.outputs
        assert isinstance(outputs, run_tests.Outputs)
        assert outputs.log == self.artifacts / "pytest_output.log"
        assert outputs.message == str(caught.value)
        assert outputs.status == "failed"
        assert caught.value.evidence
        self.evidence = caught.value.evidence
        return str(caught.value), outputs

    def time_out_after(self, reached: str) -> tuple[str, Outputs, float]:
        """Run out of time after pytest printed ``reached``; a busy machine needs a longer limit."""
        for timeout in (5.0, 20.0, 80.0):
            message, outputs = self.fail(UserCodeError, Reason.TIMEOUT, timeout=timeout)
            assert outputs.log
            if reached in outputs.log.read_text():
                return message, outputs, timeout
        raise AssertionError(message)

    def fail_as_broken(self, **options: Any) -> tuple[str, Outputs]:
        return self.fail(UserCodeError, Reason.TESTS_BROKEN, **options)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path)


MIXED = """
import pytest

pytestmark = pytest.mark.single_cell


def test_good():
    assert True


class TestGroup:
    @pytest.mark.parametrize("value", ["<a>", "x=1"])
    def test_bad(self, value):
        assert value == "right", "wrong\\nsecond line"


@pytest.fixture
def broken():
    raise RuntimeError("no fixture")


def test_setup(broken):
    pass


@pytest.mark.skip(reason="no gpu")
def test_skipped():
    pass


@pytest.mark.xfail
def test_expected():
    assert False
"""


def test_the_tests_of_a_marker_pass_on_the_staged_page(
    repository: Repository, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    page = tmp_path / "output_analysis.html"
    page.write_text("<html>fine</html>")
    repository.write(
        "tests/test_page.py",
        """
        import pathlib, pytest

        def branch(x):
            if x:
                return 1
            return 2

        @pytest.mark.single_cell
        def test_page():
            assert branch(1) == 1
            assert "fine" in pathlib.Path("input/std_output_analysis.html").read_text()

        def test_other():
            assert False
        """,
    )
    with caplog.at_level("INFO"):
        outputs = repository.run(
            inputs=(page,), input_names=("std_{stem}.html",), marker="single_cell", suffix="_lite"
        )
    assert (outputs.total, outputs.passed, outputs.failed, outputs.skipped) == (1, 1, 0, 0)
    assert (outputs.status, outputs.message) == ("succeeded", "1 test: 1 passed")
    assert outputs.coverage is not None
    assert 50 < outputs.coverage < 100
    assert [(test.name, test.status) for test in outputs.slowest] == [
        ("tests/test_page.py::test_page", "passed")
    ]
    assert outputs.junit == repository.artifacts / "pytest_results_lite.xml"
    assert outputs.coverage_report == repository.artifacts / "coverage_lite.xml"
    assert outputs.html_report == repository.artifacts / "pytest_report_lite.html"
    assert outputs.log == repository.artifacts / "pytest_output.log"
    reports = (outputs.junit, outputs.coverage_report, outputs.html_report, outputs.log)
    assert {*repository.artifacts.iterdir()} == {*reports}
    assert "1 passed, 1 deselected" in outputs.log.read_text()
    assert "pytest: tests/test_page.py::test_page PASSED" in caplog.text
    assert "uses the marker single_cell, but its markers do not list it" in caplog.text
    left = {str(path.relative_to(repository.path)) for path in repository.path.rglob("*")}
    assert left == {"tests", "tests/test_page.py", "input", "input/std_output_analysis.html"}


def test_failures_are_counted_named_and_shown(
    repository: Repository, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    repository.write_tests(MIXED)
    message, outputs = repository.fail(
        UserCodeError, Reason.TESTS_FAILED, marker="single_cell", pytest_args=("-W", "ignore")
    )
    assert message == (
        "3 of 6 tests failed: test_bad[<a>], test_bad[x=1], test_setup "
        "(1 in setup, teardown or collection)"
    )
    assert (outputs.total, outputs.passed, outputs.failed, outputs.errors) == (6, 1, 2, 1)
    assert (outputs.skipped, outputs.allowed) == (2, 0)
    bad = "tests/test_x.py::TestGroup::test_bad["
    assert [(failure.name, failure.message) for failure in outputs.failures] == [
        (f"{bad}<a>]", "AssertionError: wrong"),
        (f"{bad}x=1]", "AssertionError: wrong"),
        ("tests/test_x.py::test_setup", 'failed on setup with "RuntimeError: no fixture"'),
    ]
    assert [(skip.name, skip.reason) for skip in outputs.skips] == [
        ("tests/test_x.py::test_skipped", "no gpu"),
        ("tests/test_x.py::test_expected", "xfail"),
    ]
    assert all(failure.seconds is not None for failure in outputs.failures)
    assert "AssertionError: wrong" in outputs.failures[0].text
    assert "E         - right" in outputs.failures[0].text
    evidence = repository.evidence
    assert (evidence.ename, evidence.evalue) == ("AssertionError", "wrong")
    assert evidence.traceback == outputs.failures[0].text
    shown = caplog.messages[caplog.messages.index(f"FAILED {bad}<a>] - AssertionError: wrong") :]
    assert '    >       assert value == "right", "wrong\\nsecond line"' in shown
    assert "    E         - right" in shown
    assert f"FAILED {bad}x=1] - AssertionError: wrong" in shown
    setup = 'failed on setup with "RuntimeError: no fixture"'
    assert f"FAILED tests/test_x.py::test_setup - {setup}" in shown
    for path in (outputs.junit, outputs.coverage_report, outputs.html_report):
        assert path
        assert path.stat().st_size


def test_allowed_failures_are_tolerated_and_shown(
    repository: Repository, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    repository.write_tests(MIXED)
    outputs = repository.run(
        allow_failures=(
            "tests/test_x.py::TestGroup::test_bad[x=1]=known, see issue=7",
            "tests.test_x.TestGroup::test_bad[[]*",
            "*::test_bad*=known, see issue=7",
            "*::test_setup=no fixture yet",
            "*::test_good",
            "*::test_gone=reason",
        ),
        **NO_REPORTS,
    )
    assert outputs.status == "tolerated"
    assert (outputs.failed, outputs.errors, outputs.allowed) == (0, 0, 3)
    allowed = "3 allowed failures (known, see issue=7; no fixture yet)"
    assert outputs.message == f"6 tests: 1 passed, 2 skipped, {allowed}"
    reasons = [failure.reason for failure in outputs.failures]
    assert reasons == ["known, see issue=7", "known, see issue=7", "no fixture yet"]
    assert all(failure.allowed for failure in outputs.failures)
    failed = "tests/test_x.py::test_setup: failed on setup with"
    assert f'allowed: {failed} "RuntimeError: no fixture": no fixture yet' in caplog.messages
    assert "--allow-failures *::test_gone matches no test that ran" in caplog.text
    assert "--allow-failures *::test_good is not needed: it passed" in caplog.text


@pytest.mark.slow
def test_one_failure_too_many_is_not_tolerated(repository: Repository) -> None:
    repository.write_tests(MIXED)
    bad = ("*::test_bad*",)
    message, outputs = repository.fail(UserCodeError, Reason.TESTS_FAILED, allow_failures=bad)
    assert message.startswith("1 of 6 tests failed: test_setup")
    assert message.endswith("2 more failures allowed")
    assert (outputs.failed, outputs.errors, outputs.allowed) == (0, 1, 2)
    evidence = repository.evidence
    assert (evidence.ename, evidence.evalue) == ("RuntimeError", "no fixture")


@pytest.mark.slow
def test_a_run_that_stops_at_an_allowed_failure_fails(repository: Repository) -> None:
    repository.write_tests(MIXED)
    message, _ = repository.fail_as_broken(allow_failures=("*::test_bad*",), pytest_args=("-x",))
    assert message == f"{STOPPED}: stopping after 1 failures"


@pytest.mark.slow
def test_a_module_that_cannot_be_imported_is_named(repository: Repository) -> None:
    repository.write_tests(MIXED)
    repository.write("tests/test_bad.py", "import no_such_module\n")
    message, outputs = repository.fail_as_broken(allow_failures=("*",))
    assert message == (
        "the tests could not be collected: "
        "tests/test_bad.py: ModuleNotFoundError: No module named 'no_such_module'"
    )
    assert outputs.passed == 0
    assert "import no_such_module" in repository.evidence.traceback


def test_a_broken_conftest_is_named(repository: Repository) -> None:
    repository.write_tests(MIXED)
    repository.write("conftest.py", "import no_such_module\n")
    message, outputs = repository.fail_as_broken(**NO_REPORTS)
    assert "could not be collected" in message
    assert "conftest.py: ModuleNotFoundError: No module named 'no_such_module'" in message
    assert (outputs.total, outputs.coverage, outputs.junit) == (0, None, None)
    assert "E   ModuleNotFoundError: No module named 'no_such_module'" in repository.evidence.output


def test_addopts_that_pytest_refuses_are_named(repository: Repository) -> None:
    repository.write("pytest.ini", "[pytest]\naddopts = --no-such-option\n")
    message, _ = repository.fail_as_broken(**NO_REPORTS)
    assert "pytest refused to start: unrecognized arguments: --no-such-option" in message
    assert f"look at addopts in {repository.path / 'pytest.ini'} and --pytest-args" in message


@pytest.mark.slow
@pytest.mark.parametrize("addopts", ["--stepkit", "-p stepkit --stepkit"])
def test_notebooks_are_not_run_as_tests(repository: Repository, addopts: str) -> None:
    repository.write_tests("def test_x(): pass\n")
    repository.write("conftest.py", "pytest_plugins = ['stepkit.pytest_plugin']\n")
    repository.write("a.ipynb", "{")
    repository.write(
        "pytest.ini",
        f"[pytest]\naddopts = {addopts}\nstepkit = true\nstepkit_args = --gpu none\n"
        "filterwarnings = error\n",
    )

    outputs = repository.run()

    assert (outputs.passed, outputs.failed) == (1, 0)


def test_a_plugin_that_breaks_fails_the_run(repository: Repository) -> None:
    repository.write_tests("def test_x(): pass\n")
    repository.write("conftest.py", "def pytest_runtest_logfinish(): raise ValueError('boom')\n")
    message, _ = repository.fail_as_broken()
    assert message == "pytest or one of its plugins broke: ValueError: boom"


@pytest.mark.slow
def test_the_error_for_a_marker_without_tests_lists_the_markers(repository: Repository) -> None:
    repository.write("pytest.ini", "[pytest]\nmarkers =\n  single_cell: one cell\n  other\n")
    repository.write_tests(MIXED)
    message, outputs = repository.fail(UserCodeError, Reason.NO_TESTS, marker="gpu")
    assert message.startswith("pytest found no test to run for the marker 'gpu' (known: ")
    assert "single_cell" in message
    assert "hypothesis" not in message
    message, _ = repository.fail(UserCodeError, Reason.NO_TESTS, marker="other")
    assert message.endswith("for the marker 'other': it is declared, but no test has it")
    message, outputs = repository.fail(UserCodeError, Reason.NO_TESTS, marker="singel_cell")
    assert message == (
        "pytest found no test to run for the marker 'singel_cell': did you mean single_cell?"
    )
    assert outputs.total == 0


@pytest.mark.slow
def test_a_repository_without_tests_fails(repository: Repository) -> None:
    message, _ = repository.fail(UserCodeError, Reason.NO_TESTS)
    assert message == "pytest found no test to run"


@pytest.mark.slow
def test_a_run_in_which_all_tests_were_skipped_fails(repository: Repository) -> None:
    text = "import pytest\n@pytest.mark.skip(reason='no gpu')\ndef test_{0}(): pass\n"
    repository.write_tests(text.format("a") + text.format("b"))
    message, outputs = repository.fail(UserCodeError, Reason.NO_TESTS)
    assert message == "all 2 tests were skipped: no gpu"
    assert outputs.skipped == 2


@pytest.mark.slow
def test_a_run_in_which_all_tests_failed_as_expected_fails(repository: Repository) -> None:
    text = "import pytest\n@pytest.mark.xfail\ndef test_a(): assert 0\n"
    repository.write_tests(text)
    message, _ = repository.fail(UserCodeError, Reason.NO_TESTS)
    assert message == "none of 1 test passed: 1 failed as expected, 0 were skipped"


@pytest.mark.slow
def test_a_run_that_only_collects_the_tests_fails(repository: Repository) -> None:
    repository.write_tests("def test_a(): pass\n")
    message, _ = repository.fail(UserCodeError, Reason.NO_TESTS, pytest_args=("--collect-only",))
    assert message == "pytest ran no test"


@pytest.mark.slow
def test_a_test_that_exits_python_fails_the_run_and_no_older_report_is_used(
    repository: Repository,
) -> None:
    test = repository.write_tests("def test_a(): pass\n")
    assert repository.run().junit
    test.write_text("import os\ndef test_a(): os._exit(0)\n")
    message, outputs = repository.fail_as_broken()
    assert "is missing: pytest ended without writing it" in message
    assert (outputs.total, outputs.junit, outputs.html_report) == (0, None, None)
    assert outputs.coverage is None


STOPS_AT_B = """
import pytest
def test_a(): pass
def test_b(): pytest.exit({0!r}, returncode=0)
def test_c(): assert 0
"""


@pytest.mark.parametrize(
    ("exit_reason", "addopts"),
    [("enough", ""), ("x" * 100, ""), ("two\nlines", ""), ("enough", "-p no:terminal")],
)
@pytest.mark.slow
def test_a_call_of_pytest_exit_is_recorded_whatever_pytest_prints(
    repository: Repository, exit_reason: str, addopts: str
) -> None:
    repository.write("pytest.ini", f"[pytest]\naddopts = {addopts}\n")
    repository.write_tests(STOPS_AT_B.format(exit_reason))
    message, outputs = repository.fail_as_broken()
    assert message == f"{STOPPED}: Exit: {' '.join(exit_reason.split())}"
    assert outputs.failed == 0  # test_c never ran
    assert not list(repository.path.rglob("*stepkit_record*"))


@pytest.mark.parametrize("option", ["--setup-only", "--setup-plan"])
@pytest.mark.slow
def test_a_run_that_only_sets_the_tests_up_fails(repository: Repository, option: str) -> None:
    repository.write("pytest.ini", f"[pytest]\naddopts = {option}\n")
    repository.write_tests("def test_a(): assert 0\n")
    message, _ = repository.fail_as_broken()
    assert message == f"{STOPPED}: --setup-only and --setup-plan run no test"


@pytest.mark.slow
def test_a_test_that_a_plugin_leaves_out_is_named(repository: Repository) -> None:
    repository.write_tests("def test_a(): pass\ndef test_b(): assert 0\n")
    leaves_out = "def pytest_runtest_protocol(item): return item.name == 'test_b' or None\n"
    repository.write("conftest.py", leaves_out)
    message, _ = repository.fail_as_broken()
    assert message == f"{STOPPED}: 1 of 2 tests did not run: tests/test_x.py::test_b"


@pytest.mark.slow
def test_tests_on_several_workers_are_all_accounted_for(repository: Repository) -> None:
    pytest.importorskip("xdist")
    test = repository.write_tests("def test_a(): pass\ndef test_b(): pass\n")
    assert repository.run(pytest_args=("-n2",)).passed == 2
    test.write_text("import os\ndef test_a(): pass\ndef test_b(): os._exit(0)\n")
    message, _ = repository.fail(UserCodeError, Reason.TESTS_FAILED, pytest_args=("-n2",))
    assert message.startswith("1 of 2 tests failed: test_b")
    test.write_text(STOPS_AT_B.format("enough"))
    with pytest.raises(UserCodeError):
        repository.run(pytest_args=("-n1",))


@pytest.mark.slow
def test_printed_text_does_not_stop_the_run_and_subprocesses_do_not_see_the_plugin(
    repository: Repository,
) -> None:
    repository.write("pytest.ini", "[pytest]\naddopts = -rP\n")
    repository.write_tests("""
        import os
        def test_a():
            print("!!!!!!!!! Exit: something !!!!!!!!!")
            assert "stepkit" not in os.environ.get("PYTHONPATH", "")
        def test_b(): pass
    """)
    outputs = repository.run(pytest_args=("--deselect=tests/test_x.py::test_b",))
    assert (outputs.total, outputs.passed) == (1, 1)


@pytest.mark.parametrize(
    "change", ["session.exitstatus = 1", "session.exitstatus = 1; session.testsfailed += 1"]
)
@pytest.mark.slow
def test_an_exit_code_that_a_plugin_set_is_not_tolerated(
    repository: Repository, change: str
) -> None:
    repository.write_tests("def test_a(): pass\ndef test_b(): assert 0\n")
    assert repository.run(allow_failures=("*::test_b",)).status == "tolerated"
    repository.write("conftest.py", f"def pytest_sessionfinish(session): {change}\n")
    message, _ = repository.fail(UserCodeError, Reason.TESTS_FAILED, allow_failures=("*::test_b",))
    assert message.startswith("pytest ended with exit code 1 though only allowed tests failed")


@pytest.mark.slow
def test_a_report_that_was_overwritten_is_not_trusted(repository: Repository) -> None:
    repository.write_tests("def test_a(): pass\n")
    repository.write(
        "conftest.py",
        """
        def pytest_unconfigure(config):
            with open(config.option.xmlpath, "w") as file:
                file.write("<testsuites><testsuite tests='7'>")
        """,
    )
    message, outputs = repository.fail_as_broken()
    assert "is not XML that can be read" in message
    assert outputs.total == 0


# Each puts FORGED, a report, in the place of pytest's own, and makes pytest's exit code 0.
FORGERS = {
    "pytest_unconfigure": """
        def pytest_sessionfinish(session):
            session.exitstatus = 0
        def pytest_unconfigure(config):
            open(config.option.xmlpath, "w").write(FORGED)
    """,
    "atexit": """
        import atexit, os
        def pytest_configure(config):
            @atexit.register
            def forge():
                with open(config.option.xmlpath, "w") as file:
                    file.write(FORGED)
                os._exit(0)
    """,
}
FAILED_AND_PASSED = (
    "def test_ok(): pass\ndef test_bad(): assert False\ndef test_worse(): assert 0\n"
)
SKIPPED = "import pytest\n@pytest.mark.skip(reason='no gpu')\ndef test_ok(): pass\n"
PASSED = '<testcase classname="tests.test_x" name="test_ok"/>'


@pytest.mark.parametrize(
    ("forger", "tests", "forged", "what"),
    [
        (
            "pytest_unconfigure",
            FAILED_AND_PASSED,
            PASSED + '<testcase name="test_bad"><failure/></testcase>',
            "2 tests failed (test_bad, test_worse), and the report lists 1",
        ),
        pytest.param(
            "atexit",
            FAILED_AND_PASSED,
            PASSED,
            "2 tests failed (test_bad, test_worse), and the report lists 0",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "pytest_unconfigure",
            SKIPPED,
            PASSED,
            "the report lists 1 of 1 test as passed, and none did",
            marks=pytest.mark.slow,
        ),
    ],
    ids=["only an allowed failure", "no failure", "a skipped test"],
)
def test_a_report_that_contradicts_the_run_breaks_it(
    repository: Repository, forger: str, tests: str, forged: str, what: str
) -> None:
    repository.write("tests/test_x.py", tests)
    forged = f"<testsuites><testsuite>{forged}</testsuite></testsuites>"
    repository.write("conftest.py", FORGERS[forger].replace("FORGED", repr(forged)))

    message, outputs = repository.fail_as_broken(allow_failures=("test_bad",), **NO_REPORTS)

    assert message == (
        f"the test report contradicts the run: {what}: look in conftest.py and in pytest's plugins "
        "for what rewrites it"
    )
    assert outputs.junit
    assert outputs.junit.read_text() == forged


@pytest.mark.slow
def test_a_failure_that_a_plugin_hides_is_found_in_the_report(repository: Repository) -> None:
    repository.write_tests("def test_a(): assert 0\n")
    repository.write("conftest.py", "def pytest_sessionfinish(session): session.exitstatus = 0\n")
    message, _ = repository.fail(UserCodeError, Reason.TESTS_FAILED)
    assert message == "1 of 1 test failed: test_a"


@pytest.mark.slow
def test_an_exit_code_that_no_test_explains_fails_the_run(repository: Repository) -> None:
    repository.write_tests("def test_a(): pass\n")
    repository.write("conftest.py", "def pytest_sessionfinish(session): session.exitstatus = 1\n")
    message, _ = repository.fail(UserCodeError, Reason.TESTS_FAILED)
    assert message.startswith("pytest ended with exit code 1 though no test failed")


@pytest.mark.parametrize("allow", [pytest.param((), marks=pytest.mark.slow), ("*::test_b",)])
@pytest.mark.slow
def test_too_low_a_coverage_fails_the_run(repository: Repository, allow: tuple[str, ...]) -> None:
    bad = "def test_b(): assert 0\n" if allow else ""
    repository.write_tests(f"def test_a(): pass\ndef never():\n    return 1\n{bad}")
    repository.write(".coveragerc", "[report]\nfail_under = 99\n")
    message, _ = repository.fail(UserCodeError, Reason.TESTS_FAILED, allow_failures=allow)
    assert "but: Required test coverage of 99" in message or "but: Coverage failure" in message


@pytest.mark.slow
def test_the_coverage_is_unknown_without_a_coverage_report(repository: Repository) -> None:
    repository.write_tests("def test_a(): pass\n")
    outputs = repository.run(pytest_args=("--no-cov",))
    assert (outputs.coverage, outputs.coverage_report) == (None, None)


@pytest.mark.slow
def test_a_test_that_hangs_is_named_when_time_is_up(repository: Repository) -> None:
    repository.write_tests("import time\ndef test_hangs(): time.sleep(600)\n")
    message, outputs, limit = repository.time_out_after("test_hangs")
    assert f"did not end within {limit:g} s; its last line: tests/test_x.py::test_hangs" in message
    assert outputs.junit is None
    assert "test_hangs" in repository.evidence.output[-1]


@pytest.mark.slow
def test_a_timeout_after_the_last_test_shows_the_counts(repository: Repository) -> None:
    repository.write_tests("""
        import threading, time
        def test_a(): threading.Thread(target=time.sleep, args=[600]).start()
    """)
    message, outputs, limit = repository.time_out_after("1 passed")
    assert f"did not end within {limit:g} s (1 test: 1 passed by then)" in message
    assert outputs.passed == 1


@pytest.mark.parametrize(
    ("name", "kind", "reason", "message"),
    [
        ("SIGKILL", ToolError, Reason.KILLED, "pytest was killed by SIGKILL from outside"),
        ("SIGSEGV", UserCodeError, Reason.TESTS_BROKEN, "pytest crashed with SIGSEGV"),
    ],
)
@pytest.mark.slow
def test_a_signal_ends_the_run(
    repository: Repository, name: str, kind: type[StepError], reason: Reason, message: str
) -> None:
    kills = f"import os, signal\ndef test_a(): os.kill(os.getpid(), signal.{name})\n"
    repository.write_tests(kills)
    assert repository.fail(kind, reason)[0].startswith(message)


@pytest.mark.slow
def test_variables_that_steer_pytest_do_not_reach_it(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTEST_ADDOPTS", "--collect-only")
    monkeypatch.setenv("PYTEST_PLUGINS", "no_such_plugin")
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("COVERAGE_FILE", "/nowhere/at/all")
    repository.write("helper.py", "VALUE = 1\n")
    repository.write_tests("import helper\ndef test_a(): assert helper.VALUE\n")
    monkeypatch.setenv("PYTHONSAFEPATH", "1")
    assert repository.run().passed == 1


@pytest.mark.slow
def test_a_configuration_above_the_checkout_is_ignored(
    repository: Repository, tmp_path: Path
) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --collect-only\n")
    repository.write_tests("def test_a(): pass\n")
    outputs = repository.run()
    assert outputs.passed == 1
    assert outputs.log
    log = outputs.log.read_text()
    assert "configfile: none" in log
    assert "/dev/null" not in log


def test_a_repository_that_shadows_the_standard_library_breaks_its_own_tests_alone(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repository.path)
    repository.write_tests("def test_a(): pass\n")
    repository.write("json.py", "raise RuntimeError('shadowed')\n")
    # The check of the environment uses json, too, and passes.
    message, _ = repository.fail_as_broken(**NO_REPORTS)
    assert message.endswith("pytest's last line: RuntimeError: shadowed")


def test_a_missing_input_is_reported_before_anything_is_changed(
    repository: Repository, tmp_path: Path
) -> None:
    (tmp_path / "analysis.html").write_text("x")
    (repository.path / "input").mkdir()
    (repository.path / "input" / "old.html").touch()
    with pytest.raises(ConfigurationError, match=r"analysis\.html\?") as caught:
        repository.run(inputs=(tmp_path / "analysys.html",))
    assert caught.value.reason is Reason.ARTIFACT_MISSING
    assert (repository.path / "input" / "old.html").exists()
    assert not repository.artifacts.exists()


def test_artifacts_in_the_input_directory_are_refused(
    repository: Repository, tmp_path: Path
) -> None:
    page = tmp_path / "a.html"
    page.write_text("x")
    repository.artifacts = repository.path / "input" / "artifacts"
    with pytest.raises(ConfigurationError, match="is emptied first: keep it elsewhere"):
        repository.run(inputs=(page,))


def test_the_error_for_a_missing_checkout_names_a_similar_one(
    repository: Repository, tmp_path: Path
) -> None:
    repository.path = tmp_path / "repositroy"
    with pytest.raises(ConfigurationError, match=r"there is no checkout .*repository\?") as caught:
        repository.run()
    assert caught.value.reason is Reason.NOT_FOUND


def test_a_suffix_cannot_leave_the_artifacts_directory(repository: Repository) -> None:
    with pytest.raises(ConfigurationError, match="contains a slash: it is a part of a file's name"):
        repository.run(suffix="/../x")


def test_a_directory_where_a_report_goes_is_not_removed(repository: Repository) -> None:
    (repository.artifacts / "coverage.xml").mkdir(parents=True)
    with pytest.raises(ConfigurationError, match=r"cannot remove the earlier .*coverage\.xml"):
        repository.run()
    assert (repository.artifacts / "coverage.xml").is_dir()


@pytest.mark.slow
def test_two_runs_on_one_checkout_take_turns(repository: Repository, tmp_path: Path) -> None:
    repository.write_tests("""
        import pathlib, time
        def test_a():
            time.sleep(1)
            names = [path.name for path in pathlib.Path("input").iterdir()]
            assert len(names) == 1
    """)
    pages = [tmp_path / "a.html", tmp_path / "b.html"]
    command = [sys.executable, "-P", "-m", "stepkit", "run-tests", "--installer=none"]
    command.append(f"--checkout={repository.path}")
    runs = []
    for page in pages:
        page.write_text("x")
        flags = [f"--artifacts={tmp_path}/artifacts-{page.stem}", f"--inputs={page}"]
        runs.append(subprocess.Popen([*command, *flags], stderr=subprocess.DEVNULL))
    assert [run.wait(60) for run in runs] == [0, 0]


def test_a_cancelled_run_leaves_its_log_and_no_process(repository: Repository) -> None:
    repository.write_tests("""
        import os, pathlib, time
        def test_a():
            pathlib.Path("pid").write_text(str(os.getpid()))
            time.sleep(60)
    """)
    pid = repository.path / "pid"

    def interrupt() -> None:
        until(lambda: pid.exists() and pid.read_text())
        os.kill(os.getpid(), signal.SIGUSR1)

    def cancel(*_: object) -> None:
        raise Cancelled(signal.SIGTERM)

    before = signal.signal(signal.SIGUSR1, cancel)
    try:
        threading.Thread(target=interrupt).start()
        with pytest.raises(Cancelled) as caught:
            repository.run(**NO_REPORTS)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert isinstance(caught.value.outputs, run_tests.Outputs)
    assert caught.value.outputs.log
    assert not Path(f"/proc/{pid.read_text()}").exists()


def test_the_tests_run_in_a_separate_environment(repository: Repository) -> None:
    repository.write_tests("""
        import os, shutil, sys
        def test_a():
            assert sys.prefix == os.environ["VIRTUAL_ENV"]
            assert shutil.which("python") == sys.executable
    """)
    project = make_linked_project(repository)
    outputs = repository.run(installer="uv", extra_packages=(str(project),), **NO_REPORTS)
    assert (outputs.passed, outputs.installer, outputs.installer_reason) == (1, "uv", "asked for")
    assert (repository.path.parent / ".repository.environment").is_dir()


@pytest.mark.slow
@pytest.mark.usefixtures("index")
def test_a_later_run_uses_the_environment_in_the_cache(
    repository: Repository, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    cache = repository.path.parent / "cache/environments"
    repository.write_tests("""
        import sys, tinydep
        def test_a():
            print("prefix", sys.prefix)
    """)
    repository.write("requirements.txt", "tinydep<2\n")
    chosen: dict[str, Any] = {
        "installer": "uv",
        "environment_cache": cache,
        "pytest_args": ("-s",),
    }

    first = repository.run(**chosen)
    repository.path = repository.path.rename(repository.path.with_name("of-another-run"))
    second = repository.run(**chosen)

    assert (first.passed, second.passed, second.coverage) == (1, 1, 100)
    (environment,) = (path for path in cache.iterdir() if path.is_dir())
    assert f"prefix {environment}\n" in (repository.artifacts / "pytest_output.log").read_text()
    assert f"the test environment {environment} is up to date" in caplog.text
    assert caplog.text.count("installing into") == 1
    # A resumed run compares the packages of this environment, too.
    options = run_tests.Options(checkout=repository.path, artifacts=repository.artifacts, **chosen)
    assert environment in Outputs.resumable.environments(options)
    assert not list(repository.path.parent.glob(".*.environment"))


@pytest.mark.usefixtures("index")
def test_an_environment_that_depends_on_further_files_is_not_cached(
    repository: Repository, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    project = make_linked_project(repository)
    cache = repository.path.parent / "environments"

    repository.run(
        installer="uv", extra_packages=(str(project),), environment_cache=cache, only_prepare=True
    )

    assert "the environment is not cached: its packages depend on further files" in caplog.text
    assert (repository.path.parent / ".repository.environment").is_dir()
    assert not cache.exists()


def test_reports_that_need_a_plugin_are_left_out_if_they_are_not_wanted(
    repository: Repository, caplog: pytest.LogCaptureFixture
) -> None:
    repository.write_tests("def test_a(): pass")

    outputs = repository.run(**NO_REPORTS)

    assert "coverage is unknown" not in caplog.text

    assert (outputs.passed, outputs.coverage) == (1, None)
    assert (outputs.coverage_report, outputs.html_report) == (None, None)
    assert {path.name for path in repository.artifacts.iterdir()} == {
        "pytest_output.log",
        "pytest_results.xml",
    }


def test_tests_beside_stepkit_have_an_environment_that_no_installer_made(
    repository: Repository,
) -> None:
    outputs = repository.run(installer="none", only_prepare=True)

    assert outputs.message == "the tests' environment is ready, stepkit's own"
    assert outputs.installer == "none"


def test_the_environment_is_made_before_the_inputs_exist(repository: Repository) -> None:
    project = make_linked_project(repository)
    repository.artifacts.mkdir()
    older = repository.artifacts / "pytest_output.log"
    older.write_text("of an earlier run")
    chosen = {"installer": "uv", "extra_packages": (str(project),), "only_prepare": True}

    outputs = repository.run(inputs=(repository.artifacts / "page.html",), **chosen)

    assert outputs.message == "the tests' environment is ready, made by uv"
    assert (outputs.total, outputs.log, outputs.status) == (0, None, "succeeded")
    assert older.read_text() == "of an earlier run"
    python = repository.path.parent / ".repository.environment/bin/python"
    assert subprocess.run([python, "-m", "pytest", "--version"], check=False).returncode == 0


def test_only_prepare_fails_when_the_environment_cannot_be_made(repository: Repository) -> None:
    repository.write("pyproject.toml", "[dependency-groups]\ndev = []\n")
    with pytest.raises(StepError, match="missing-project") as caught:
        repository.run(installer="uv", extra_packages=("./missing-project",), only_prepare=True)
    assert caught.value.exit_code in {2, 4}
    assert list(repository.artifacts.iterdir()) == []


def make_linked_project(repository: Repository) -> Path:
    """Make a project that adds our own packages to the environment by a path file."""
    repository.write("pyproject.toml", "[dependency-groups]\ndev = []\n")
    site = next(path for path in sys.path if path.endswith("site-packages"))
    project = repository.path.parent / "link"
    project.mkdir()
    (project / "pyproject.toml").write_text(
        "[build-system]\nrequires = []\nbuild-backend = 'backend'\nbackend-path = ['.']\n"
        "[project]\nname = 'linked'\nversion = '1'\n"
    )
    (project / "backend.py").write_text(BACKEND.replace("SITE", site))
    return project


BACKEND = """
import zipfile, pathlib

def build_wheel(directory, config_settings=None, metadata_directory=None):
    info = "linked-1.dist-info/"
    texts = {
        "linked.pth": "SITE\\n",
        info + "METADATA": "Metadata-Version: 2.1\\nName: linked\\nVersion: 1\\n",
        info + "WHEEL": "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
    }
    name = "linked-1-py3-none-any.whl"
    with zipfile.ZipFile(pathlib.Path(directory, name), "w") as wheel:
        for path, text in texts.items():
            wheel.writestr(path, text)
        listed = [f"{path},,\\n" for path in [*texts, info + "RECORD"]]
        wheel.writestr(info + "RECORD", "".join(listed))
    return name
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "options", [pytest.param("size=1m", marks=pytest.mark.slow), "size=50m,nr_inodes=60"]
)
def test_tests_that_cannot_write_say_nothing_about_what_they_test(
    repository: Repository, options: str
) -> None:
    code = """
        from pathlib import Path

        def test_a():
            for number in range(1000):
                Path(f"file-{number}").write_bytes(bytes(5000))
    """
    with commands.mounted(repository.path, "-t", "tmpfs", "-o", options, "tmpfs"):
        (repository.path / "test_a.py").write_text(textwrap.dedent(code))
        message, outputs = repository.fail(ToolError, Reason.DISK_FULL)

    lacking = "inodes" if "inodes" in options else "space"
    assert f"the disk of {repository.path} has no {lacking} left" in message
    assert ": 1 of 1 test failed: test_a: free some and run again" in message
    assert outputs.failed == 1
