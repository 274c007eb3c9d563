"""Where the plug-in keeps what the run of a notebook writes."""

from pathlib import Path

from stepkit.pytest_plugin.plugin_options import PluginOptions


def test_each_notebook_has_a_report_whatever_its_name(tmp_path: Path) -> None:
    options = PluginOptions(
        by_cell=False, compare=False, arguments=(), has_rules=False, output=tmp_path, config=None
    )
    names = ("a/b", "a__b", "a%2Fb", "ä b")
    kept = [options.directory_of(tmp_path / f"{name}.ipynb", tmp_path) for name in names]
    reports = [place[1] for place in kept if place]
    assert len({*reports}) == len(names)
    assert {report.parent for report in reports} == {tmp_path / "reports"}
    assert all(report.suffix == ".json" for report in reports)
