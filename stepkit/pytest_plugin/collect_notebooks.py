"""Notebooks as files of tests: a test for each, or one for each of its cells."""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from stepkit.errors import ConfigurationError, StepError
from stepkit.notebook import cell_numbers, ipynb
from stepkit.pytest_plugin import failure_text, notebook_metadata, plugin_options, run_as_test

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from stepkit.golden.differences import Difference
    from stepkit.pytest_plugin.plugin_options import PluginOptions
    from stepkit.pytest_plugin.run_as_test import Ended


class CollectNotebooks:
    """The hooks of the plugin where it is asked for."""

    def __init__(self, config: pytest.Config) -> None:
        self.options = plugin_options.read(config)
        distributed = config.getoption("dist", "no") not in {"no", "loadfile", "loadscope"}
        if self.options.by_cell and distributed:
            config.option.dist = "loadfile"  # one worker of xdist runs all cells of a notebook

    def pytest_collect_file(self, file_path: Path, parent: pytest.Collector) -> pytest.File | None:
        """Take each .ipynb file."""
        if file_path.suffix != ".ipynb":
            return None
        file: NotebookFile = NotebookFile.from_parent(parent, path=file_path, options=self.options)
        return file

    def pytest_ignore_collect(self, collection_path: Path) -> bool | None:
        """Leave out what runs wrote."""
        return True if collection_path == self.options.output else None

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Give a cell its time and its place: the first one waits for the whole notebook."""
        report = yield
        if isinstance(item, CellTest) and report.when == "call":
            report.duration = item.seconds
            if isinstance(report.longrepr, tuple):  # of one that is skipped
                report.longrepr = (str(item.path), 1, report.longrepr[2])
        return report

    def pytest_report_teststatus(
        self, report: pytest.TestReport | pytest.CollectReport
    ) -> tuple[str, str, str] | None:
        """Count apart what passed only when it ran again."""
        known = dict(getattr(report, "user_properties", ()))
        flaky = report.passed and report.when == "call" and known.get("stepkit-status") == "flaky"
        return ("flaky", "y", "FLAKY") if flaky else None


class NotebookFile(pytest.File):
    """A notebook, and how its run ended."""

    def __init__(self, *, options: PluginOptions, **node: Any) -> None:
        super().__init__(**node)
        self.options = options
        self.limits: list[str] = []
        self.rules: list[dict[str, Any]] = []

    def collect(self) -> Iterator[NotebookTest]:
        """Yield the tests. What is not a notebook is an error of collection."""
        path = Path(os.path.relpath(self.path))
        try:
            notebook = ipynb.add_ids(ipynb.read(path))
            self.rules = notebook_metadata.mocks(notebook, path, has_rules=self.options.has_rules)
            self.limits = notebook_metadata.limits(notebook, path)
            config = self.options.config
            of_config = config.markers_of(path) if config else ()
            for marker in (*of_config, *notebook_metadata.markers(notebook, path)):
                self.add_marker(marker)
        except (ConfigurationError, AttributeError, Warning) as error:  # the latter of a marker
            raise self.CollectError(str(error)) from error
        if not self.options.by_cell:
            yield NotebookTest.from_parent(self, name=self.path.stem)
            return
        for number in filter(None, cell_numbers.number_cells(notebook)):
            yield CellTest.from_parent(self, name=f"cell {number}", number=number)

    def run(self) -> Ended:
        """Execute the notebook."""
        options, path = self.options, Path(os.path.relpath(self.path))
        golden = [f"--golden={path}"] if options.compare else []
        return run_as_test.run(
            path,
            [*golden, *options.arguments, *self.limits],
            rules=self.rules,
            keep_in=options.directory_of(self.path, self.config.rootpath),
        )

    @cached_property
    def ended(self) -> Ended:
        """How the one run ended that all cells share."""
        return self.run()


class NotebookFailedError(Exception):
    """A test failed; its text is what pytest shows, ``message`` what it says in one line."""

    def __init__(
        self, error: StepError, differences: Sequence[Difference], message: str = ""
    ) -> None:
        self.error = error
        self.message = message or str(error)
        super().__init__(failure_text.text(error, differences, self.message))


class NotebookTest(pytest.Item):
    """One run of a notebook."""

    parent: NotebookFile

    def runtest(self) -> None:
        """Run it. An error that was declared to be tolerated is an expected failure."""
        ended = self.parent.run()
        self.user_properties += ended.properties().items()
        if ended.error:
            raise NotebookFailedError(ended.error, ended.differences())
        if ended.status == "tolerated":
            pytest.xfail("; ".join([ended.message, *ended.tolerated()]))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Show the cell, the error and the message."""
        if not isinstance(failed := excinfo.value, NotebookFailedError):
            return super().repr_failure(excinfo, style)
        shown = excinfo.getrepr(style="value", chain=False)
        if shown.reprcrash:
            place = failed.error.place
            shown.reprcrash.path = str(self.path)
            shown.reprcrash.lineno = (place and place.line) or 1
            shown.reprcrash.message = failed.message
        return shown

    def reportinfo(self) -> tuple[Path, None, str]:
        """Name the test above its failure."""
        return self.path, None, self.nodeid.replace("::", ": ")


class CellTest(NotebookTest):
    """One cell of the run of a notebook; ``seconds`` is the time that it took."""

    def __init__(self, *, number: int, **node: Any) -> None:
        super().__init__(**node)
        self.number = number
        self.seconds = 0.0

    def runtest(self) -> None:
        """Say how the cell ended; the first one of a notebook runs it."""
        ended = self.parent.ended
        cell = ended.cells.get(self.number)
        self.seconds = (cell and cell.seconds) or 0.0
        self.user_properties += ended.properties(cell).items()
        if ended.error and self._fails(ended):
            own = ended.differences(self.number)
            message = failure_text.difference(own[0])[0] if own else ""
            raise NotebookFailedError(ended.error, own or ended.differences(), message)
        if cell is None or cell.status == "not-run":
            by_rule = "" if cell else ended.skipped(self.number)
            pytest.skip(by_rule or f"not run: {ended.message}")
        if cell.status == "tolerated":
            pytest.xfail("; ".join(ended.tolerated(self.number)))

    def _fails(self, ended: Ended) -> bool:
        """Return whether this test reports why the run failed.

        It does if its cell failed, or if it is the last one and no cell with a test did.
        """
        chosen = [test for test in self.session.items if isinstance(test, CellTest)]
        tests = [test for test in chosen if test.parent is self.parent]
        failed = [test for test in tests if test.number in ended.failed]
        return self in (failed or tests[-1:])
