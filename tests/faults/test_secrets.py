"""Rows S1 to S14: a planted secret, in each way that leads a step to show it."""

import shutil
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

import loopback
import nbformat
from faults.harness import SECRET, Ended, Fault, row
from faults.test_git import LOGIN, is_checkout
from faults.test_test_suites import REPORTS, run_tests
from git_server import GitServer, serving
from samples import Origin, write_notebook

from stepkit.cli.secret_variables import SECRET_VARIABLES

TOKENS = dict.fromkeys(SECRET_VARIABLES, SECRET)
HIDDEN = SECRET[::-1]  # what a notebook and a test may hold; it is not the secret itself


def clone(fault: Fault, url: str, *more: str | Path, **process: Any) -> Ended:
    place = fault.place("source", is_checkout)
    return fault.run("--url", url, "--destination", place, "--attempts=1", *more, **process)


@row("S1")
def test_a_token_in_the_url(fault: Fault) -> None:
    clone(fault, f"http://me:{quote(SECRET, safe='')}@127.0.0.1:9/x")


@contextmanager
def quoting(text: str) -> Iterator[str]:
    """Serve a page that refuses every login, and quotes ``text``."""

    class Handler(loopback.Handler):
        def do_GET(self) -> None:
            if not self.headers["Authorization"]:
                self.answer(401, headers={"WWW-Authenticate": 'Basic realm="x"'})
            else:
                self.answer(403, f"{text} has expired".encode(), {"Content-Type": "text/plain"})

    with loopback.running(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as server:
        yield f"http://127.0.0.1:{server.server_port}/x"


SPELLINGS = {
    "base64": b64encode(SECRET.encode()).decode(),
    "login": LOGIN,
    "percent": quote(SECRET, safe=""),
    "json": SECRET.replace("/", r"\/"),  # as PHP writes it
    "hex": SECRET.encode().hex(),
}


@row("S2", "S9", "S10")
def test_a_server_quotes_the_token(fault: Fault) -> None:
    with quoting(SPELLINGS.get(fault.case, SECRET)) as url:
        log = "ci" if fault.case == "annotation" else "plain"
        flags = ("--result=message=result", f"--log-format={log}")
        ended = clone(fault, url, *flags, env={"GIT_TOKEN": SECRET})

    assert "*** has expired" in ended.stderr


@row("S3", "S4", "S5", "S11")
def test_a_token_is_used(fault: Fault, origin: Origin) -> None:
    git = shutil.which("git")
    programs = fault.private / "programs"
    programs.mkdir()
    seen = fault.directory / "seen"
    record = {"S3": "tr '\\0' ' ' </proc/$$/cmdline", "S4": "env"}.get(fault.number, "true")
    (programs / "git").write_text(f'#!/bin/sh\n{record} >>{seen}\nexec {git} "$@"\n')
    (programs / "git").chmod(0o755)
    traces = {"GIT_TRACE_REDACT": "0", "GIT_TRACE_CURL": str(fault.directory / "trace")}
    env = {"GIT_TOKEN": SECRET, "PATH": f"{programs}:/usr/bin:/bin"}

    with serving(GitServer(origin.path.parent, login=LOGIN)) as server:
        more = traces if fault.number == "S11" else {}
        clone(fault, f"{server.url}/origin/.git", env={**env, **more})

    assert any(login == LOGIN for _, login in server.asked)
    assert seen.exists()


@row("S12")
def test_a_login_in_the_home_directory(fault: Fault, origin: Origin) -> None:
    netrc = fault.private / ".netrc"
    netrc.write_text(f"machine 127.0.0.1 login x-access-token password {SECRET}\n")
    env = {"HOME": str(fault.private)}
    with serving(GitServer(origin.path.parent, login=LOGIN)) as server:
        url = f"{server.url}/origin/.git"
        if fault.case == "git-clone":
            clone(fault, url, env=env)
        else:
            fault.place("data/HEAD", lambda _: False)
            fault.run(f"--url={url}/HEAD", "--directory=data", "--attempts=1", env=env)
            assert {login for _, login in server.asked} == {None}


@row("S6", "S14")
def test_what_a_test_shows(fault: Fault) -> None:
    code = f"""
        import os
        def test_a():
            print(dict(os.environ))
            {"assert not" if fault.number == "S6" else "assert"} {HIDDEN!r}[::-1]
    """
    run_tests(fault, code, *REPORTS, "--pytest-args=-s", env=TOKENS)


def is_notebook(path: Path) -> bool:
    nbformat.validate(nbformat.read(path, as_version=4))
    return True


@row("S7", "S13")
def test_a_cell_prints_variables(fault: Fault) -> None:
    names = list(TOKENS) if fault.number == "S7" else "list(os.environ)"
    code = f"import os\nprint([os.environ.get(name) for name in {names}])"
    write_notebook(fault.directory / "a.ipynb", code, "open('/proc/self/environ').read()")
    fault.place("out.ipynb", is_notebook)

    fault.run("a.ipynb", "out.ipynb", "--page=out.html", env=TOKENS)


@row("S8")
def test_an_output_holds_a_token(fault: Fault) -> None:
    path = write_notebook(fault.private / "a.ipynb", "print(token)")
    notebook = nbformat.read(path, as_version=4)
    output = nbformat.v4.new_output("stream", text=f"the token is {SECRET}")
    notebook.cells[0].update(outputs=[output], execution_count=1)
    nbformat.write(notebook, path)
    page = fault.place("a.html", lambda path: "the token is ***" in path.read_text())

    fault.run("--notebook", path, "--page", page, "--log=log", env={"GIT_TOKEN": SECRET})
