import logging
import signal
from collections.abc import Generator, Iterator
from pathlib import Path

import commands
import pytest
from hypothesis import HealthCheck, settings
from samples import Origin

pytest_plugins = [
    "clones", "kernels", "package_index", "pytester", "real_gpu", "rmm_python", "users",
]  # fmt: skip

# A shell ignores SIGINT for what it runs in the background, and nohup SIGHUP; the children of a
# process ignore what it ignores, and the tests send them both.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_configure(config: pytest.Config) -> None:
    """Let hypothesis judge no speed, and try fewer examples where the slow tests are left out."""
    settings.register_profile(
        "full",
        max_examples=200,
        deadline=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.too_slow],
    )
    settings.register_profile("quick", settings.get_profile("full"), max_examples=40)
    settings.load_profile("quick" if "not slow" in config.option.markexpr else "full")


@pytest.fixture(autouse=True)
def log_as_it_was() -> Iterator[None]:
    """Undo what a command in the test's own process did to the log: the next test has its own."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture(autouse=True)
def no_secrets_of_other_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Mask no word in a test because it was a secret in the one before."""
    monkeypatch.setattr("stepkit.redaction._registered", set())


@pytest.fixture
def origin(tmp_path: Path) -> Origin:
    (tmp_path / "server").mkdir()
    origin = Origin(tmp_path / "server/origin")
    origin.commit("first")
    return origin


@pytest.fixture
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retry without the pauses between attempts: the only thing mocked is time."""
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda _: None)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Yield the root of a file system of 1 MB; only root can mount one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    with commands.mounted(disk, "-t", "tmpfs", "-o", "size=1m", "tmpfs"):
        yield disk


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Escape lone surrogates in captured logs: a worker of xdist cannot send them and would die.

    Whether a log is captured at all depends on which test set the level before.
    """
    report = yield
    report.sections = [
        (title, text.encode(errors="backslashreplace").decode()) for title, text in report.sections
    ]
    return report
