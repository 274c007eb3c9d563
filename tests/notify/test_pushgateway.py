from base64 import b64decode, urlsafe_b64decode
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from message_servers import Request, Web, web
from pushgateway_server import groups, pushgateway

from stepkit.errors import ConfigurationError, StepError, ToolError
from stepkit.notify.pushgateway import PushOptions

TEXT = '# HELP a A.\n# TYPE a gauge\na{step="x"} 1\n'
# "pass word" by bcrypt, as the web configuration of Prometheus' servers wants it.
USERS = "basic_auth_users:\n  ci: $2b$04$U7bUDHGx6FgEHQEm1U7K/.YkO/XRCs/b9ilRLiW7Zf77yCFoblzta\n"


@pytest.fixture
def server() -> Iterator[Web]:
    with web() as state:
        yield state


def push(url: str, title: str = "notebooks/a b.ipynb", **more: Any) -> None:
    PushOptions(metrics_push=url, **more).push(TEXT, title=title, taken={"step"})


def refused(url: str, **more: Any) -> StepError:
    with pytest.raises(StepError) as caught:
        push(url, **more)
    return caught.value


def labels(request: Request) -> dict[str, str]:
    """Return the labels in the path of a push, as the Pushgateway reads them."""
    begin, *parts = request.path.removeprefix("/prefix").split("/")[1:]
    assert begin == "metrics"
    return {
        name.removesuffix("@base64"): urlsafe_b64decode(value).decode()
        if name.endswith("@base64")
        else value
        for name, value in list(pairwise(parts))[::2]
    }


def test_metrics_replace_those_of_the_last_run_with_the_same_labels(server: Web) -> None:
    push(f"{server.url}/prefix/", metrics_labels=("namespace=team/a", "empty="))

    (request,) = server.requests
    assert labels(request) == {
        "job": "stepkit",
        "title": "notebooks/a b.ipynb",
        "namespace": "team/a",
        "empty": "",
    }
    assert request.path.startswith("/prefix/metrics/job/stepkit/title@base64/")
    assert request.path.endswith("/empty@base64/=")
    assert request.body.decode() == TEXT
    assert "authorization" not in request.headers


def test_a_token_or_a_user_is_sent_in_a_header_alone(server: Web) -> None:
    push(server.url, metrics_token="s3cret-token\n")
    push(server.url, metrics_user="ci", metrics_password="pass word\n")

    sent = [request.headers["authorization"] for request in server.requests]
    assert sent[0] == "Bearer s3cret-token"
    assert b64decode(sent[1].removeprefix("Basic ")).decode() == "ci:pass word"
    assert not [r.path for r in server.requests if "cret" in r.path or "pass" in r.path]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"metrics_labels": ("a-b=c",)}, "'a-b=c': write NAME=VALUE"),
        ({"metrics_labels": ("__a=c",)}, "'__a=c': write NAME=VALUE"),
        ({"metrics_labels": ("pipeline",)}, "'pipeline': write NAME=VALUE"),
        ({"metrics_labels": ("step=c",)}, "'step=c': the metrics have a label step"),
        ({"metrics_labels": ("title=c",)}, "'title=c': the metrics have a label title"),
        ({"metrics_token": "a\nb"}, "METRICS_PUSH_TOKEN holds a blank"),
    ],
)
def test_wrong_labels_and_tokens_are_refused_before_anything_is_sent(
    server: Web, options: dict[str, Any], message: str
) -> None:
    error = refused(server.url, **options)

    assert isinstance(error, ConfigurationError)
    assert message in str(error)
    assert server.requests == []


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("gateway:9091", "is not an https:// or http:// address"),
        ("http://user:secret-word@gateway:9091", "holds a user name or password"),
        ("http://169.254.169.254/", "where clouds keep credentials"),
        ("http://gateway:9091/?key=secret-word", "the address of a Pushgateway has no ?"),
        ("http://gateway:9091#metrics", "the address of a Pushgateway has no ?"),
    ],
)
def test_an_address_that_is_not_one_of_a_gateway_is_refused(url: str, message: str) -> None:
    error = refused(url)

    assert isinstance(error, ConfigurationError)
    assert message in str(error)
    assert "secret-word" not in str(error)


def test_a_token_does_not_travel_without_tls() -> None:
    error = refused("http://gateway.example.com:9091", metrics_token="s3cret-token")

    assert isinstance(error, ConfigurationError)
    assert str(error) == ("http://gateway.example.com:9091: a token is sent over https:// only")


@pytest.mark.parametrize(
    ("status", "kind", "message"),
    [
        (400, ConfigurationError, 'the server answered HTTP 400: {"message": "by the test"}'),
        (401, ConfigurationError, "check METRICS_PUSH_TOKEN"),
        (404, ConfigurationError, "check the address, which ends before /metrics"),
        (302, ConfigurationError, "the server answered HTTP 302"),
        (503, ToolError, "the server answered HTTP 503"),
    ],
)
def test_an_answer_that_is_not_a_success_is_an_error_with_the_gateways_words(
    server: Web, status: int, kind: type[StepError], message: str
) -> None:
    server.statuses = [status]

    error = refused(server.url)

    assert type(error) is kind
    assert str(error).startswith(f"{server.url}: ")
    assert message in str(error)
    assert len(server.requests) == 1


def test_a_pushgateway_keeps_the_last_run_of_each_set_of_labels() -> None:
    with pushgateway() as url:
        first = PushOptions(metrics_push=url, metrics_labels=("namespace=team/a",))
        first.push("# TYPE b gauge\nb 2\n", title="notebooks/a b.ipynb", taken=())
        push(url, metrics_labels=("namespace=team/a",))
        push(url, title="", metrics_labels=("namespace=team/b",))
        found = groups(url)

    assert sorted(group["labels"].get("title", "") for group in found) == [
        "",
        "notebooks/a b.ipynb",
    ]
    assert {group["labels"]["namespace"] for group in found} == {"team/a", "team/b"}
    assert not [group for group in found if "b" in group]
    assert [group["a"]["metrics"][0]["value"] for group in found] == ["1", "1"]


def test_a_pushgateway_says_what_it_does_not_take() -> None:
    with pushgateway() as url:
        push(url)
        with pytest.raises(ConfigurationError, match=r"HTTP 400: .*second HELP line"):
            PushOptions(metrics_push=url).push(f"{TEXT}{TEXT}", title="a", taken=())


def test_a_pushgateway_with_users_takes_only_theirs(tmp_path: Path) -> None:
    (tmp_path / "web.yaml").write_text(USERS)
    with pushgateway(f"--web.config.file={tmp_path / 'web.yaml'}") as url:
        push(url, metrics_user="ci", metrics_password="pass word")
        error = refused(url, metrics_user="ci", metrics_password="another")

    assert isinstance(error, ConfigurationError)
    assert "HTTP 401" in str(error)
