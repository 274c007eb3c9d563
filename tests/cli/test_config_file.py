"""stepkit.yaml is found in the repository alone, and all of it is checked."""

from pathlib import Path

import pytest

from stepkit.cli import config_file, option_defaults
from stepkit.errors import ConfigurationError


def write(directory: Path, *lines: str) -> Path:
    path = directory / "stepkit.yaml"
    path.write_text("\n".join(["schema: stepkit.config/1", *lines, ""]))
    return path


def test_the_file_is_read_with_paths_from_its_directory(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "notebooks: [notebooks/*.ipynb]",
        "parameters: {notebooks/*.ipynb: {n: 1, k: x}, notebooks/a.ipynb: {n: 2}}",
        "rules: rules.yaml",
        "limits: {execution-timeout: 5m, run-timeout: 90}",
        "tests: .",
        "defaults: {execute-notebook: {gpu: required}}",
    )

    found = config_file.read(path)

    assert found.notebooks == (f"{tmp_path}/notebooks/*.ipynb",)
    assert found.rules == tmp_path / "rules.yaml"
    assert found.tests == tmp_path
    assert (found.execution_timeout, found.run_timeout) == (300, 90)
    assert found.parameters_of(tmp_path / "notebooks/a.ipynb") == {"n": 2, "k": "x"}
    assert found.parameters_of(tmp_path / "notebooks/b.ipynb") == {"n": 1, "k": "x"}
    assert found.parameters_of(tmp_path / "other.ipynb") == {}
    assert found.defaults == {"execute-notebook": {"gpu": "required"}}


def test_the_file_is_looked_for_up_to_the_root_of_the_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path)
    inner = tmp_path / "repository/notebooks"
    inner.mkdir(parents=True)
    assert config_file.find(inner) is None

    (tmp_path / "repository/.git").mkdir()
    assert config_file.find(inner) is None

    path = write(tmp_path / "repository")
    monkeypatch.chdir(inner)
    found = config_file.find(Path())
    assert found == Path("../stepkit.yaml")
    assert found.samefile(path)


def test_there_is_no_file_for_a_directory_that_was_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()

    assert config_file.find(Path()) is None


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        (["notebook: [a.ipynb]"], "has an unknown key 'notebook': did you mean notebooks?"),
        (["limits: {run-timout: 5m}"], "line 2: limits: has an unknown key 'run-timout': did you"),
        (["limits: {run-timeout: soon}"], 'line 2: limits: run-timeout: cannot be "soon": write'),
        (["limits: {run-timeout: 9999999h}"], "run-timeout: '9999999h' is longer than a hundred"),
        (["notebooks: a.ipynb"], 'line 2: notebooks: must be a list, not "a.ipynb"'),
        (["rules: /etc/passwd"], "line 2: rules: /etc/passwd is not in the directory of stepkit"),
        (["notebooks:", "  - ../a.ipynb"], r"line 3: notebooks: item 1: \.\./a.ipynb is not in"),
        (["parameters: {a.ipynb: {api_key: x9}}"], "a.ipynb: api_key: a secret has no place in"),
        (["defaults: {run-tests: {marker: 'h://u:x9@h'}}"], "marker: a URL with a password has no"),
        (["defaults: {run-tests: {marker: {a: 1}}}"], "run-tests: marker: must be "),
        (["limits: {run-timeout: yes}"], "line 2: readers of YAML disagree on yes"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(tmp_path: Path, lines: list[str], why: str) -> None:
    with pytest.raises(ConfigurationError, match=why) as refused:
        config_file.read(write(tmp_path, *lines))

    assert str(refused.value).startswith(f"{tmp_path}/stepkit.yaml, line ")
    assert "x9" not in str(refused.value)


def test_a_newer_file_and_one_without_a_schema_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "stepkit.yaml"
    path.write_text("schema: stepkit.config/2\nnew: 1\n")
    with pytest.raises(ConfigurationError, match="config/2 is newer than this stepkit reads"):
        config_file.read(path)

    path.write_text("")
    with pytest.raises(ConfigurationError, match="line 1: needs schema"):
        config_file.read(path)


def test_a_link_out_of_the_directory_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "repository").mkdir()
    write(tmp_path)
    link = tmp_path / "repository/stepkit.yaml"
    link.symlink_to("../stepkit.yaml")

    with pytest.raises(ConfigurationError, match="is a link out of its directory"):
        config_file.read(link)

    (tmp_path / "repository/rules.yaml").symlink_to("../rules.yaml")
    link.unlink()
    with pytest.raises(ConfigurationError, match=r"rules\.yaml is not in the directory"):
        config_file.read(write(tmp_path / "repository", "rules: rules.yaml"))


def test_the_example_of_the_documentation_is_a_file(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs/config.md").read_text()
    block = page.partition("```yaml\n")[2].partition("```")[0]

    found = config_file.read(write(tmp_path, *block.splitlines()[1:]))

    assert block.startswith("schema: stepkit.config/1\n")
    assert found.parameters_of(tmp_path / "notebooks/analysis.ipynb") == {
        "n_pcs": 50, "resolution": 0.8
    }  # fmt: skip
    for command in option_defaults.COMMANDS_OF_FILE:
        assert f"`{command}`" in page
    assert found.defaults.keys() <= set(option_defaults.COMMANDS_OF_FILE)
