"""Datasets on the Hugging Face hub, as a server of the test's own: hf:// and its token."""

from dataclasses import replace

import pytest
from data_server import Reply, serving, status
from download_places import CONTENT, SHA256, Place

from stepkit.errors import ConfigurationError, Reason

pytestmark = pytest.mark.usefixtures("no_waiting")

ENTRY = {"url": "hf://datasets/lab/cells@v1/h5/census.bin", "sha256": SHA256}
GATED = Reply(status=401, body=b"Access to dataset lab/cells is restricted.").having(
    Content_Type="text/plain; charset=utf-8"
)


def test_the_hub_gets_the_token_and_the_server_behind_it_does_not(place: Place) -> None:
    with serving(b"") as hub:
        hub.always = status(302, Location=f"{place.server.url}/blob?Signature=secret")
        entry = {**ENTRY, "auth": "DATASET_TOKEN"}
        outputs = place.run(entry, hub_endpoint=f"{hub.url}/", token="hf_topsecret")

    assert place.file.read_bytes() == CONTENT
    assert hub.paths == ["/datasets/lab/cells/resolve/v1/h5/census.bin"]
    assert hub.requests[0]["Authorization"] == "Bearer hf_topsecret"
    assert "Authorization" not in place.server.requests[0]
    assert outputs.datasets[0].url == ENTRY["url"]


@pytest.mark.parametrize(
    ("token", "code", "advice"),
    [
        (None, 401, "accept its terms at {page} if it asks for that, and name a token of yours"),
        ("hf_abcdef", 403, "may this token read it? Accept its terms at {page} if it asks"),
    ],
)
def test_a_gated_dataset_says_where_its_terms_are(
    place: Place, token: str | None, code: int, advice: str
) -> None:
    place.server.always = lambda _: replace(GATED, status=code)
    entry = {**ENTRY, "auth": "DATASET_TOKEN"} if token else ENTRY

    error = place.failed(entry, hub_endpoint=place.server.url, token=token)

    assert (type(error), error.reason) == (ConfigurationError, Reason.AUTH)
    assert f"the server answered HTTP {code}: the dataset is gated, private or not" in str(error)
    assert advice.format(page=f"{place.server.url}/datasets/lab/cells") in str(error)
    assert error.evidence
    assert error.evidence.output == ("Access to dataset lab/cells is restricted.",)
    assert place.left() == []


def test_tokens_may_be_limited_to_another_server(place: Place) -> None:
    entry = {**ENTRY, "auth": "DATASET_TOKEN"}

    message = place.refused(entry, token="hf_abcdef", token_origins=("https://example.org",))

    assert "https://huggingface.co/datasets/lab/cells/resolve/v1/h5/census.bin may not" in message


def test_a_hub_without_tls_gets_no_token(place: Place) -> None:
    entry = {**ENTRY, "auth": "DATASET_TOKEN"}

    message = place.refused(entry, token="hf_abcdef", hub_endpoint="http://hub.example.org")

    assert "a token is sent over https:// only" in message
