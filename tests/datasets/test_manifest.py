"""Manifests of datasets: what is accepted, and which line an error names."""

from pathlib import Path

import pytest

from stepkit.datasets import manifest as dataset_manifest
from stepkit.errors import ConfigurationError

SHA256 = "a1" * 32
EXAMPLE = Path(__file__).parents[2] / "examples/datasets.yaml"


def read(tmp_path: Path, text: str) -> list[dataset_manifest.Dataset]:
    path = tmp_path / "m.yaml"
    path.write_text(text)
    return dataset_manifest.read(path)


def test_a_dataset_says_where_it_is_and_where_it_goes(tmp_path: Path) -> None:
    entry = f"url: https://h/a/census%20v1.h5ad?x=1\n  sha256: {SHA256.upper()}\n  size: 5"
    (one,) = read(tmp_path, f"version: 1\ndatasets:\n- {entry}\n  mirrors: [https://m/b]\n")

    assert (str(one.path), one.sha256) == ("census v1.h5ad", SHA256)
    assert one.size
    assert one.size.exact == 5
    assert one.mirrors == ("https://m/b",)
    assert not one.unpacked


def test_the_example_can_be_read() -> None:
    paths = [str(one.path) for one in dataset_manifest.read(EXAMPLE)]
    assert paths == ["h5/census.h5ad", "markers", "cells.h5ad", "atlas.h5ad"]


@pytest.mark.parametrize(
    ("name", "unpack", "path"),
    [
        ("a.tar.gz", "auto", "a"),
        ("a.h5ad", "auto", "a.h5ad"),
        ("a.tar.gz", "false", "a.tar.gz"),
        ("a.zip", "true", "a"),
    ],
)
def test_an_unpacked_archive_loses_its_suffix(
    tmp_path: Path, name: str, unpack: str, path: str
) -> None:
    (one,) = read(tmp_path, f"datasets:\n- url: https://h/{name}\n  unpack: {unpack}\n")

    assert str(one.path) == path
    assert one.unpacked == (path == "a")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "m.yaml, line 1: the file must be a mapping"),
        ("datasets: []", "line 1: datasets must not be empty"),
        ("datasets:\n- sha256: x", r"line 2: datasets\[0\] needs url"),
        ("datasets:\n- url: https://h/a\n  sha265: x", "did you mean sha256"),
        ("datasets:\n- url: https://h/a\n  sha256: x", "64 hexadecimal digits"),
        (
            "datasets:\n- url: https://h/a\n  size: 1.7XB",
            "'1.7XB' is not a size: write a number of bytes",
        ),
        ("datasets:\n- url: https://h/a\n  size: 1 GB", "'1 GB' is too rough"),
        ("datasets:\n- url: https://h/a\n  size: 0", "must be at least 1"),
        ("datasets:\n- url: https://h/a\n  md5: x", "an md5 has 32 hexadecimal digits"),
        ("version: 2\ndatasets: [{url: https://h/a}]", "line 1: version must be 1, the only"),
        ("version: '1'\ndatasets: [{url: https://h/a}]", 'must be 1, the only version.*not "1"'),
        ("datasets:\n- url: s3://bucket", "names no object: write s3://bucket/key"),
        ("datasets:\n- url: s3://u:hunter2@h/a", r"s3://\.\.\. names no object"),
        ("datasets:\n- url: gs://bucket/a?x=1", "names no object: write gs://bucket/key"),
        ("datasets:\n- url: s3://bucket/../a", r"s3://bucket/\.\./a has a key that cannot be read"),
        ("datasets:\n- url: s3://bucket//a", "s3://bucket//a has a key that cannot be read"),
        ("datasets:\n- url: gs://bucket/a%0Ab", "gs://bucket/a%0Ab has a key that cannot be read"),
        (
            "datasets:\n- url: s3://bucket/a\n  endpoint-url: https://h",
            "an unknown key .endpoint-url",
        ),
        ("datasets:\n- url: s3://bucket/a\n  auth: T", "come by the environment: leave auth out"),
        ("datasets:\n- url: https://h/a\n  auth: anonymous", "is for s3:// and gs://"),
        ("datasets:\n- url: hf://datasets/owner/a.h5ad", "write hf://datasets/OWNER/NAME/PATH"),
        ("datasets:\n- url: hf://owner/name/a.h5ad", "write hf://datasets/OWNER/NAME/PATH"),
        ("datasets:\n- url: hf://datasets/o/n/../../x/a", "names no file of a dataset"),
        ("datasets:\n- url: hf://datasets/o/n@v1/", "names no file of a dataset"),
        ("datasets:\n- url: https://h/a\n  unpack: rar", "auto, true, false, tar or zip"),
        ("datasets:\n- url: https://h/a\n- url: https://i/a", "line 3.*also the path of .*line 2"),
        ("datasets:\n- url: https://h/a\n- url: https://h/b\n  path: a/b", "inside of a"),
        ("datasets:\n- url: https://h/a\n  mirrors: [https://m/a]", "mirrors need a sha256"),
        ("datasets:\n- url: https://h/", "does not end in a file name"),
        ("datasets:\n- url: https://h/..", "leads out of the directory"),
        ("datasets:\n- url: https://h/a%2Fb", "does not end in a file name"),
        ("datasets:\n- url: https://h/a%00", "holds a control character"),
        (f"datasets:\n- url: https://h/{'x' * 300}", "more than 200 bytes"),
        ("datasets:\n- url: https://h/a\n  path: ../b", "leads out of the directory"),
        ("datasets:\n- url: https://h/a\n  path: /b", "leads out of the directory"),
        ("datasets:\n- url: https://h/a\n  path: .", "leads out of the directory"),
        ("datasets:\n- url: file:///etc/passwd", "not an https:// or http:// address"),
        ("datasets:\n- url: https://u:hunter2@h/a", "holds a user name or password"),
        ("datasets:\n- url: http://169.254.169.254/a", "where clouds keep credentials"),
        ("datasets:\n- url: http://[fe80::1]/a", "where clouds keep credentials"),
        ("datasets:\n- url: http://metadata.google.internal/a", "where clouds keep"),
        ("datasets:\n- url: http://example.org/a\n  auth: T", "over https:// only"),
        ("datasets:\n- url: 'https://h/a b'", "holds a blank or line break"),
        ("datasets:\n- url: 'https://u:hunter2 x@h/a'", "holds a blank or line break"),
        ("datasets:\n- url: https://u:hunter2/x@h/a", "'https://...' is not a URL"),
        ("datasets:\n- url: https://u:hunter2?x@h/a", "'https://...' is not a URL"),
    ],
)
def test_an_error_names_its_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said) as caught:
        read(tmp_path, text)

    assert "m.yaml, line " in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_further_mistakes_are_evidence_and_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("ERROR")  # what --quiet shows

    with pytest.raises(ConfigurationError, match=r"line 2: .* \(and 2 more\)$") as found:
        read(tmp_path, "datasets:\n- url: 5\n- url: https://h/a\n  size: {}\n- {}\n")

    path = tmp_path / "m.yaml"
    assert found.value.evidence
    first, second = found.value.evidence.output
    assert first.startswith(f"{path}, line 4: ")
    assert second.startswith(f"{path}, line 5: ")
    assert [f"also wrong: {line}" for line in (first, second)] == caplog.messages
