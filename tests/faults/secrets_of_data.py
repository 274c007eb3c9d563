"""Secrets for servers of datasets and artifacts, and for object storage."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import quote

import data_server
import yaml
from faults.planted import value
from faults.planted_step import Planted, scenario

from stepkit.steps import collect_artifacts

KEYS: Final = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
CONTENT: Final = b"data" * 1000


def _download(planted: Planted, entry: Mapping[str, str], *args: str | Path) -> None:
    manifest = planted.file("datasets.yaml", yaml.safe_dump({"datasets": [dict(entry)]}))
    planted.args = ["--manifest", manifest, "--directory=data", "--cache=cache", "--attempts=1",
                    *args]  # fmt: skip


def _data(planted: Planted) -> str:
    server = planted.stack.enter_context(data_server.serving(CONTENT))
    return planted.before(server.url)


@scenario("download-dataset", "DATASET_TOKEN")
def dataset_token(planted: Planted) -> None:
    planted.secret("DATASET_TOKEN", variable=True, ends="\n")
    _download(planted, {"url": f"{_data(planted)}/a.bin", "auth": "DATASET_TOKEN"})


@scenario("download-dataset", "--tokens")
def dataset_tokens(planted: Planted) -> None:
    directory = planted.mounted(hub=f"{planted.secret('--tokens')}\n")
    entry = {"url": f"{_data(planted)}/a.bin", "auth": "hub"}
    _download(planted, entry, "--tokens", directory)


@scenario("download-dataset", "a signed URL")
def dataset_signed_url(planted: Planted) -> None:
    signature = quote(planted.secret("a signed URL"), safe="")
    _download(planted, {"url": f"{_data(planted)}/a.bin?sig={signature}"})


@scenario("download-dataset", *KEYS)
def dataset_in_s3(planted: Planted) -> None:
    keys(planted)
    planted.storage.put("planted/a.bin", CONTENT)
    url = planted.before(planted.storage.url)
    _download(planted, {"url": "s3://planted/a.bin"}, "--endpoint-url", url)


@scenario("download-dataset", "GOOGLE_SERVICE_ACCOUNT_KEY")
def dataset_in_google_storage(planted: Planted) -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    private = rsa.generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    planted.secrets["GOOGLE_SERVICE_ACCOUNT_KEY"] = private.decode()
    server = planted.stack.enter_context(data_server.serving(CONTENT))
    server.headers = {"Last-Modified": "Mon, 30 Nov 2026 08:00:00 GMT"}
    key = {
        "type": "service_account",
        "client_email": "reader@example.iam.gserviceaccount.com",
        "private_key_id": "1",
        "private_key": private.decode(),
        "gcs_base_url": planted.before(server.url),
        "disable_oauth": False,
    }
    planted.env["GOOGLE_SERVICE_ACCOUNT_KEY"] = json.dumps(key)
    _download(planted, {"url": "gs://atlas/a.bin"})


def keys(planted: Planted) -> None:
    planted.secret("AWS_SECRET_ACCESS_KEY", variable=True)
    planted.secret("AWS_SESSION_TOKEN", variable=True)
    name = "AKIA" + value("AWS_ACCESS_KEY_ID")[:16].upper()
    planted.secrets["AWS_ACCESS_KEY_ID"] = planted.env["AWS_ACCESS_KEY_ID"] = name


@scenario("publish-artifacts", *KEYS)
def artifacts_in_s3(planted: Planted) -> None:
    keys(planted)
    (planted.work / "out").mkdir()
    (planted.work / "out/a.html").write_text("<p>a")
    collect_artifacts.run(collect_artifacts.Options(artifacts=planted.work / "out"))
    url = planted.before(planted.storage.url)
    planted.args = ["--artifacts=out", "--destination=s3://planted", "--prefix=run", "--attempts=1",
                    "--endpoint-url", url, "--timeout=60"]  # fmt: skip


@scenario("index", *KEYS)
def index_of_s3(planted: Planted) -> None:
    keys(planted)
    planted.storage.put("planted/runs/1/run.json", b"{}")
    url = planted.before(planted.storage.url)
    planted.args = ["s3://planted/runs", "--endpoint-url", url, "--attempts=1", "--timeout=60"]
