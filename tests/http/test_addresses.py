"""Which hosts are refused: those at which clouds keep credentials, however they are written."""

from ipaddress import ip_address

import pytest
from refusals import refusal

from stepkit.http import addresses


@pytest.mark.parametrize(
    "host",
    [
        "169.254.169.254",
        "2852039166",
        "0xA9FEA9FE",
        "0251.0376.0251.0376",
        "169.254.43518",
        "169.254.169.254.",
        "\u2460\u2465\u2468\u3002254.169.254",
        "fe80::1%eth0",
        "::169.254.169.254",
        "::ffff:169.254.169.254",
        "::ffff:0:a9fe:a9fe",
        "64:ff9b::a9fe:a9fe",
        "2002:a9fe:a9fe::1",
        "fd00:ec2::254",
        "100.100.100.200",
        "metadata.google.internal.",
        "METADATA.goog",
    ],
)
def test_a_metadata_server_is_refused_in_every_spelling(host: str) -> None:
    assert refusal(addresses.check, host, "the URL") == (
        "the URL is an address of the machine's own network, where clouds keep credentials: "
        "name another server"
    )


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "::1", "10.0.0.1", "fd00::1", "example.org", "169.254.example.org", "a" * 300],
)
def test_other_hosts_pass(host: str) -> None:
    addresses.check(host, "the URL")


def test_a_name_is_refused_for_what_it_resolves_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses, "_ADDRESSES", {ip_address("127.0.0.1"), ip_address("::1")})

    addresses.check("localhost", "the URL")
    addresses.check("host.invalid", "the URL", look_up=True)
    assert "clouds keep credentials" in refusal(
        addresses.check, "localhost", "the URL", look_up=True
    )
