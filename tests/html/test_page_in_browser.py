"""Pages in a real browser: scripts, requests to servers, layout."""

import random
import re
import shutil
import subprocess
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import loopback
import pytest
from browsers import chromium, opened, violations
from bs4 import BeautifulSoup
from nbformat.v4 import new_code_cell, new_markdown_cell, new_output
from pages import LEFT_OPEN, PNG, display_cell, render

pytestmark = pytest.mark.slow

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)
MARK = "document.body.setAttribute('data-ran', 'yes')"


class Listener(ThreadingHTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.asked: list[str] = []
        self.url = f"http://127.0.0.1:{self.server_port}"


class Answer(loopback.Handler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Listener)
        self.server.asked.append(self.path)
        self.answer(200, MARK.encode(), {"Content-Type": "text/javascript"})


def open_in_browser(path: Path, fragment: str = "") -> BeautifulSoup:
    """Return Chromium's document of the page after five seconds of scripts and timers."""
    if not BROWSER:
        pytest.skip("there is no Chromium")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"]
    flags += [f"--user-data-dir={path.parent}/profile", "--virtual-time-budget=5000"]
    command = [BROWSER, *flags, path.as_uri() + fragment]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return BeautifulSoup(done.stdout, "html.parser")


def hostile_cells(url: str) -> list[Any]:
    tricks = f"""
<script>{MARK}</script>
<script src="{url}/script"></script>
<img src="data:image/png;base64,xx" onerror="{MARK}">
<img src="{url}/image">
<svg onload="{MARK}"><script>{MARK}</script><image href="{url}/svg"/></svg>
<iframe src="{url}/frame"></iframe>
<iframe srcdoc="<script>parent.{MARK}</script><img src={url}/srcdoc>"></iframe>
<object data="{url}/object"></object><embed src="{url}/embed">
<link rel="stylesheet" href="{url}/style"><link rel="preload" as="script" href="{url}/preload">
<link rel="preconnect" href="{url}"><link rel="prefetch" href="{url}/prefetch">
<style>@import url({url}/import); body {{ background: url({url}/background) }}
@font-face {{ font-family: f; src: url({url}/font) }} * {{ font-family: f }}</style>
<meta http-equiv="refresh" content="0;url={url}/refresh">
<base href="{url}/">
<video src="{url}/video" poster="{url}/poster" autoplay></video><audio src="{url}/audio"></audio>
<form id="f" method="get" action="{url}/form"><input autofocus onfocus="f.submit()" name="a"></form>
<a href="javascript:{MARK}" id="j">x</a>
<details open ontoggle="{MARK}">x</details>
<math><mtext href="javascript:{MARK}">x</mtext></math>
"""
    javascript = {"application/javascript": f"fetch('{url}/fetch'); {MARK}"}
    svg = f"<svg xmlns='http://www.w3.org/2000/svg' onload='{MARK}'><image href='{url}/s'/></svg>"
    return [
        new_markdown_cell(tricks),
        new_markdown_cell(f"![]({url}/markdown)\n\n[x](javascript:{MARK})"),
        display_cell({"text/html": "<p>shown</p>" + tricks}),
        display_cell({"text/markdown": tricks}),
        display_cell(javascript),
        display_cell({"image/svg+xml": svg}),
        display_cell({"text/latex": rf"$\href{{{url}/latex}}{{x}}$ <script>{MARK}</script>"}),
        new_code_cell("after_all_that"),
    ]


@pytest.mark.parametrize("template", ["lab", "classic", "basic"])
def test_a_hostile_notebook_runs_nothing_and_loads_nothing(tmp_path: Path, template: str) -> None:
    path = tmp_path / "page.html"
    with loopback.running(Listener()) as server:
        path.write_text(render(*hostile_cells(server.url), directory=tmp_path, template=template))
        found = open_in_browser(path)

    assert server.asked == []
    assert found.select("[data-ran]") == []
    text = found.get_text()
    assert "shown" in text
    assert "after_all_that" in text


def test_the_same_tricks_work_without_the_policy(tmp_path: Path) -> None:
    """The test above would pass for any page if these tricks never worked."""
    path = tmp_path / "page.html"
    with loopback.running(Listener()) as server:
        html = render(*hostile_cells(server.url))
        path.write_text(html.replace("Content-Security-Policy", "nothing"))
        found = open_in_browser(path)

    assert {"/script", "/svg", "/audio"} <= set(server.asked)
    submitted = any(path.startswith("/form") for path in server.asked)  # by a script
    assert submitted or found.select("[data-ran]") != []


def test_a_trusted_page_runs_its_own_scripts_and_loads_nothing(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    library = "define('plots', (require, exports) => { exports.draw = () => " + MARK + " });"
    with loopback.running(Listener()) as server:
        remote = f'<script src="{server.url}/script"></script><img src="{server.url}/image">'
        calls = f"fetch('{server.url}/fetch').catch(() => 0);"
        html = render(
            display_cell({"text/html": f"<script>{library}</script>"}),
            display_cell({"text/html": "<script>require(['plots'], p => p.draw())</script>"}),
            display_cell({"application/javascript": f"element.textContent = 'drawn'; {calls}"}),
            display_cell({"text/html": remote}),
            trust_scripts=True,
        )
        path.write_text(html)
        found = open_in_browser(path)

    assert found.select("[data-ran]") != []
    assert "drawn" in found.get_text()
    assert server.asked == []


PIECES = re.findall(
    r"<[^<]*?>|\S+",
    """
<div> </div> <p> </p> <table> </table> <tr> <td> </td> <caption> <col> <tbody> <li> </li> <ul>
<b> </b> <a> </a> <h1> <h2> </h1> <button> </button> <svg> </svg> <desc> </desc> <g> </g>
<foreignObject> <style> </style> <title> </title> <script> </script> <textarea> </textarea>
<math> </math> <mi> <mtext> <annotation-xml> <select> <option> <template> </template> <xmp>
<plaintext> <noscript> <iframe> <object> </object> <marquee> <form> </form> <dd> <dt> <ruby>
<rt> <nobr> <br> </br> <body> </body> </main> <frameset> <hr> <input> <font> <span> </span>
<![CDATA[ ]]> <!-- --> --!> <!> <? x=" '> <p/> <svg/> <image> <details> <dialog> <font>
""",
)


def test_no_mixture_of_tags_affects_other_cells(tmp_path: Path) -> None:
    """The browser's parser says which cell an element is in; the fixed seed repeats a failure."""
    chosen = random.Random(7)
    mixtures = [" ".join(chosen.choices(PIECES, k=chosen.randint(1, 25))) for _ in range(1500)]
    cells = [display_cell({"text/html": one}) for one in (*LEFT_OPEN, *mixtures)]
    for number, cell in enumerate(cells):
        cell.id = f"n{number}"
    path = tmp_path / "page.html"
    html = render(*cells, new_code_cell("after_it", id="last"))
    probe = """<script>const cells = [...document.querySelectorAll("main > .jp-Cell")];
        const own = [...document.querySelectorAll(".jp-Cell")].length === cells.length;
        document.body.setAttribute("data-cells", own && cells.map(c => c.id.slice(8) +
          (c.children.length === 2 && c.offsetHeight && c.lastElementChild.children.length === 2
            ? "" : "!")).join(" "));</script>"""
    # The policy would stop the probe. The fragments' own scripts are empty.
    path.write_text(html.replace("Content-Security-Policy", "nothing").replace("</html>", probe))

    (body,) = open_in_browser(path).select("body")

    seen = str(body["data-cells"]).split(" ")
    wrong = [cells[n].outputs[0].data for n, one in enumerate(seen[:-1]) if "!" in one][:3]
    assert seen[:-1] == [f"n{number}" for number in range(len(cells))], wrong


def test_an_output_with_a_fixed_position_does_not_cover_other_cells(tmp_path: Path) -> None:
    cover = '<div class="cover" style="position:fixed;inset:0;height:9999px;background:red">x</div>'
    probe = """<p id="probe"></p><script>addEventListener("load", () => setTimeout(() => {
        const at = document.querySelector(".jp-Cell pre").getBoundingClientRect();
        const top = document.elementFromPoint(at.x + 5, at.y + 5);
        document.body.setAttribute("data-top", !top.closest(".cover"));
    }, 500))</script>"""
    html = render(
        new_code_cell("first"),
        display_cell({"text/html": cover}),
        new_markdown_cell(cover),
        display_cell({"text/html": probe}),
        trust_scripts=True,
    )
    path = tmp_path / "page.html"
    for variant, expected in ((html, "true"), (html.replace("contain: layout paint", ""), "false")):
        path.write_text(variant)
        (body,) = open_in_browser(path).select("body")
        assert body["data-top"] == expected


def test_formulas_are_laid_out_and_anchors_scroll_to_their_cells(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    probe = """<script>addEventListener("load", () => setTimeout(() => {
        const tall = document.querySelector("mfrac").getBoundingClientRect().height;
        const plain = document.querySelector("mi").getBoundingClientRect().height;
        document.body.setAttribute("data-tall", tall > 1.5 * plain);
        document.body.setAttribute("data-scrolled", scrollY > 500);
    }, 500))</script>"""
    html = render(
        new_markdown_cell(r"$x$ and $$\frac{a}{b}$$"),
        *[new_code_cell("\n".join(["line"] * 60)) for _ in range(3)],
        display_cell({"text/html": probe}),
        trust_scripts=True,
    )
    path.write_text(html)

    (body,) = open_in_browser(path, "#cell-3").select("body")

    assert (body["data-tall"], body["data-scrolled"]) == ("true", "true")


def coloured_cells() -> list[Any]:
    names = ["black", "red", "green", "yellow", "blue", "magenta", "cyan", "white"]
    text = "".join(
        f"\x1b[{code}m{name}\x1b[0m "
        for base in (30, 40, 90, 100)
        for code, name in enumerate(names, base)
    )
    text += "\x1b[7minverse\x1b[0m \x1b[38;5;17mnavy\x1b[0m"
    text += " \x1b[48;5;226mground\x1b[0m \x1b[32;43m1\x1b[0m"
    source = "@a\ndef f(x: int):\n    '''Doc.'''\n    # note\n    return f'{x}' + 1.5 or None\n%ls"
    alert = '<div class="alert alert-info">An alert with <code>code</code></div>'
    table = "| a | b |\n|---|---|\n| 1 | `2` |\n\n> quoted\n\n```python\nx = 'a'  # b\n```\n\n![](http://h/x)"
    failed = {"papermill": {"status": "failed"}}
    printed = [new_output("stream", name=name, text=text) for name in ("stdout", "stderr")]
    error = new_output("error", ename="E", evalue="e", traceback=["\x1b[31mE\x1b[39m", text])
    return [
        new_markdown_cell(table),
        new_markdown_cell(alert),
        new_markdown_cell("<span style='color:navy'>navy</span> and `code`"),
        new_code_cell(source, execution_count=1, outputs=printed),
        display_cell({"text/html": "<table><tr><th>a</th></tr><tr><td>b</td></tr></table>"}),
        display_cell(
            {"text/html": "<p style='background:yellow'>a</p><p style='color:navy'>b</p>"}
        ),
        display_cell({"image/png": PNG}),
        display_cell({"application/geo+json": {}}),
        new_code_cell("fails", outputs=[error], metadata=failed),
    ]


def test_the_dark_scheme_can_be_read_and_is_not_printed(tmp_path: Path) -> None:
    if not BROWSER:
        pytest.skip("there is no Chromium")
    path = tmp_path / "page.html"
    path.write_text(render(*coloured_cells()))
    ground = "getComputedStyle(document.querySelector('body')).backgroundColor"
    image = "getComputedStyle(document.querySelector('.jp-RenderedImage img')).backgroundColor"

    with (
        chromium() as browser,
        opened(browser, path.as_uri(), color_scheme="dark") as (page, heard),
    ):
        found = [line for line in violations(page) if line.startswith("color-contrast")]
        assert found == []
        assert (page.evaluate(ground), page.evaluate(image)) == (
            "rgb(13, 15, 18)",
            "rgb(255, 255, 255)",
        )
        page.set_viewport_size({"width": 360, "height": 780})
        assert page.evaluate("document.documentElement.scrollWidth") == 360
        page.emulate_media(media="print", color_scheme="dark")
        assert page.evaluate(ground) != "rgb(13, 15, 18)"
        page.emulate_media(media="screen", color_scheme="light")
        assert page.evaluate(ground) != "rgb(13, 15, 18)"
        assert heard == []
