"""What SECURITY.md promises: a test for each promise, locked dependencies, and their audit."""

import ast
import json
import re
import tomllib
from http.server import ThreadingHTTPServer
from pathlib import Path

import commands
import pytest
from loopback import Handler, running

ROOT = Path(__file__).parents[1]
TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def promises() -> dict[str, list[tuple[str, str]]]:
    """Return the tests of each promise; a row in bold is a heading."""
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    section = text.partition("## What is promised\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| ([^*-].*?) \| (.*?) ?\|$", section, flags=re.MULTILINE)[1:]
    return {promise: TEST.findall(tests) for promise, tests in rows}


def test_each_promise_has_tests_and_they_exist() -> None:
    held = promises()
    assert len(held) > 25
    assert [promise for promise, tests in held.items() if not tests] == []

    named = {test for tests in held.values() for test in tests}
    functions = {
        (path, node.name)
        for path in {path for path, _ in named if (ROOT / path).is_file()}
        for node in ast.parse((ROOT / path).read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef)
    }
    assert named - functions == set()


def test_every_locked_package_has_a_hash() -> None:
    lock = tomllib.loads((ROOT / "uv.lock").read_text(encoding="utf-8"))
    ours, *others = sorted(lock["package"], key=lambda package: "registry" in package["source"])
    assert ours["name"] == "stepkit"
    assert len(others) > 200
    for package in others:
        files = [*package.get("wheels", ()), *filter(None, [package.get("sdist")])]
        assert files
        assert all(file["hash"].startswith("sha256:") for file in files), package["name"]
    for path in (ROOT / "images").glob("*.lock"):
        packages = re.split(r"\n(?=\S)", path.read_text(encoding="utf-8"))
        assert [each for each in packages if each[0] != "#" and "--hash=sha256:" not in each] == []


@pytest.mark.slow
@pytest.mark.parametrize("vulnerable", [False, True])
def test_a_known_vulnerability_fails_the_audit(vulnerable: bool) -> None:  # noqa: FBT001
    advisory = {"id": "GHSA-0", "modified": "2026-01-01T00:00:00Z"}
    asked = []

    class Advisories(Handler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            names = [query["package"]["name"] for query in body["queries"]]
            asked.extend(names)
            bad = {"vulns": [advisory]} if vulnerable else {}
            results = [bad if name == "urllib3" else {} for name in names]
            self.answer(200, json.dumps({"results": results}).encode())

        def do_GET(self) -> None:
            self.answer(200, json.dumps({**advisory, "summary": "it leaks"}).encode())

    with running(ThreadingHTTPServer(("127.0.0.1", 0), Advisories)) as server:
        address = f"AUDIT_ARGS=--service-url http://127.0.0.1:{server.server_port}"
        done = commands.run("make", "audit", address, cwd=ROOT)

    assert {"urllib3", "ruff", "rmm-cu12"} <= {*asked}
    assert done.returncode == (2 if vulnerable else 0), done.stderr
    assert ("it leaks" in done.stdout) is vulnerable
