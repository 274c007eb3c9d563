"""Which web address a file of a dataset on the hub has."""

import pytest
import refusals

from stepkit.datasets import hub_files

BASE = "https://huggingface.co/datasets/lab/cells/resolve"


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("hf://datasets/lab/cells/a.h5ad", f"{BASE}/main/a.h5ad"),
        (
            "hf://datasets/lab/cells@v1.0/h5/a b.h5ad".replace(" ", "%20"),
            f"{BASE}/v1.0/h5/a%20b.h5ad",
        ),
        ("hf://datasets/lab/cells@refs/convert/parquet/a", f"{BASE}/refs%2Fconvert%2Fparquet/a"),
        ("hf://datasets/lab/cells@refs/pr/7/a", f"{BASE}/refs%2Fpr%2F7/a"),
        ("hf://datasets/lab/cells@feature%2Fx/a", f"{BASE}/feature%2Fx/a"),
        ("https://example.org/a", "https://example.org/a"),
    ],
)
def test_an_address_names_dataset_revision_and_path(url: str, address: str) -> None:
    assert hub_files.address(url, f"{hub_files.ENDPOINT}/") == address


@pytest.mark.parametrize(
    ("endpoint", "refused"),
    [
        ("hub.example.org", "'hub.example.org' is not an https:// or http:// address"),
        ("https://me:hunter2@hub.example.org", "https://hub.example.org: this URL holds a user"),
        ("https://hub.example.org?mirror=1", "must be https://HOST, without ? and #"),
        ("https://hub.example.org/#x", "must be https://HOST, without ? and #"),
    ],
)
def test_another_server_is_named_by_its_address_alone(endpoint: str, refused: str) -> None:
    text = refusals.refusal(hub_files.address, "hf://datasets/lab/cells/a.h5ad", endpoint)

    assert text.startswith("--hub-endpoint")
    assert refused in text
    assert "hunter2" not in text
