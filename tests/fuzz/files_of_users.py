"""Readers of what users write: YAML, notebooks, archives, command lines."""

# ruff: noqa: E501, ISC004 - tables of inputs and of readers, one a line

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any, Literal

import golden_notebooks
import rule_books
from fuzz import archives
from fuzz.inputs import texts
from fuzz.reader import ROOT, Reader, files, text

from stepkit import rules
from stepkit.artifacts import content_types, count_results, expectations
from stepkit.batch import plan_file, validate_plan
from stepkit.batch.planned_notebook import Settings
from stepkit.cli import config_file, flags
from stepkit.cli.commands import COMMANDS
from stepkit.cli.parser import UsageError, build_parser
from stepkit.datasets import archive_members, manifest, unpack
from stepkit.errors import ConfigurationError
from stepkit.formats import durations, path_addresses, sizes
from stepkit.git import urls as git_urls
from stepkit.golden.comparison import Golden
from stepkit.gpu.memory import memory_size
from stepkit.html import nbconvert
from stepkit.http import safe_urls
from stepkit.notebook import cpu_fallback, ipynb, nbval_markers, parameters
from stepkit.notify import routes
from stepkit.report import fail_on, pipeline_statuses
from stepkit.rules.rule import Compare
from stepkit.run_local import arguments, find_tasks
from stepkit.run_local import plan as run_plan
from stepkit.tekton.substitute_variables import Names
from stepkit.test_suite import pyproject

PIPELINES = [*files("tasks/pipelines/smoke.yaml", "tasks/triggers/trigger-template.yaml",
                  "examples/single-cell-blueprint/run-lite.yaml"), b"""\
apiVersion: tekton.dev/v1
kind: Task
metadata: {name: add}
spec:
  params: [{name: a, default: "1"}, {name: list, type: array, default: [p, q]}]
  workspaces: [{name: source, optional: true}]
  results: [{name: sum}]
  stepTemplate: {env: [{name: HOME, value: /tmp}]}
  steps:
    - name: add
      image: busybox
      timeout: 1m30s
      env: [{name: TOKEN, valueFrom: {secretKeyRef: {name: s, key: k, optional: true}}}]
      command: [sh, -c]
      args: ["echo $(params.a) $(params.list[*]) > $(results.sum.path)"]
---
apiVersion: tekton.dev/v1
kind: Pipeline
metadata: {name: adds}
spec:
  params: [{name: a, default: "2"}, {name: o, type: object, properties: {k: {type: string}}, default: {k: v}}]
  workspaces: [{name: shared}]
  results: [{name: sum, value: $(tasks.one.results.sum)}]
  tasks:
    - name: one
      taskRef: {name: add}
      params: [{name: a, value: $(params.o.k)}]
      workspaces: [{name: source, workspace: shared, subPath: $(context.pipelineRun.name)}]
    - name: two
      taskRef: {name: add}
      runAfter: [one]
      timeout: 1h
      retries: 1
      when: [{input: $(params.a), operator: in, values: ["2"]}]
      matrix: {params: [{name: a, value: [p, q]}], include: [{name: i, params: [{name: a, value: z}]}]}
  finally:
    - name: three
      onError: continue
      taskSpec: {steps: [{name: s, image: b, command: [echo, $(tasks.status)]}]}
"""]  # fmt: skip
RULES = [b"""\
variants:
  lite:
    suffix: _lite
    parameters: {n: 10, where: a}
    hooks: [{anndata-subsample: {max_obs: 10, seed: 1}}]
    tolerate: [{ename: KeyError, evalue: a.*, reason: known, max: 2, cell: {index: 1}}]
rules:
  - set: {n: 1, m: {expr: 2 * 3}}
    expect: 1
  - {replace: "a(b)", with: '\\1', regex: true, expect: 1, cells: {text: a}}
  - {skip: {tag: slow}, reason: slow}
  - {inject: {after: {text: import}}, source: "x = 1"}
compare: {rtol: 1.0e-3, normalise: [times], replace: [{regex: "a+", with: b}], cells: [{cells: {index: 1}, ignore: true, reason: x}]}
""", *files("examples/single-cell-blueprint/rules/*.yaml", "stepkit/cli/starter/templates/stepkit-rules.yaml")]  # fmt: skip
PLANS = [b"""\
defaults: {variant: lite, execution-timeout: 10m, env: {A: b}, parameters: {n: 1}, inputs: [x]}
notebooks:
  - {path: a.ipynb, name: a, outputs: [y], kernel: python3}
  - {path: b.ipynb, needs: [a], inputs: [y], enabled: false, reason: broken, until: 2026-12-01}
  - {path: c.ipynb, run-timeout: 5, cwd: ., rules: r.yaml}
""", *files("examples/single-cell-blueprint/plan.yaml")]  # fmt: skip
CONFIG = [b"""\
schema: stepkit.config/1
notebooks: [notebooks/*.ipynb]
rules: r.yaml
tests: tests
limits: {execution-timeout: 10m, run-timeout: 1h}
parameters: {"*.ipynb": {n: 1}}
markers: {"a*": [slow]}
defaults: {execute-notebook: {kernel: python3}}
"""]  # fmt: skip
DATASETS = [b"""\
datasets:
  - {url: "https://example.org/a.tar.gz", unpack: auto, size: 1.5 GB, path: a, auth: hf}
  - {url: "https://example.org/b.h5ad", sha256: "%s", mirrors: ["https://example.com/b"], size: 12}
  - {url: "hf://datasets/a/b/c.txt", md5: 0123456789abcdef0123456789abcdef}
""" % (b"0" * 64), *files("examples/datasets.yaml")]  # fmt: skip
MARKED = json.dumps(
    {"nbformat": 4, "nbformat_minor": 5, "metadata": {"kernelspec": {"name": "python3", "display_name": "P"}},
     "cells": [
         {"cell_type": "code", "id": "a", "source": "# NBVAL_CHECK_OUTPUT\nprint(1)", "execution_count": 1,
          "metadata": {"tags": ["nbval-skip", "parameters"]},
          "outputs": [{"output_type": "stream", "name": "stdout", "text": "1\n"},
                      {"output_type": "execute_result", "execution_count": 1, "metadata": {},
                       "data": {"text/html": golden_notebooks.frame(1.5), "text/plain": "0.5 a"}},
                      {"output_type": "display_data", "metadata": {},
                       "data": {"image/png": golden_notebooks.circle(size=(8, 8))}},
                      {"output_type": "error", "ename": "E", "evalue": "v", "traceback": ["t"]}]},
         {"cell_type": "markdown", "id": "b", "metadata": {}, "source": "# T\n$\\frac{1}{2}$ <b>x",
          "attachments": {"a.png": {"image/png": "AAAA"}}},
         {"cell_type": "raw", "id": "c", "metadata": {}, "source": ["x\n", "y"]}]}
).encode()  # fmt: skip
NOTEBOOKS = [MARKED, *files("examples/notebooks-repository/notebooks/failing/cell_error.ipynb"),
             b'{"nbformat": 3, "nbformat_minor": 0, "metadata": {"name": ""}, "worksheets": [{"metadata": {}, '
             b'"cells": [{"cell_type": "code", "input": "1", "language": "python", "metadata": {}, '
             b'"outputs": [{"output_type": "pyout", "prompt_number": 1, "text": "1", "png": "AA"}]}]}]}']  # fmt: skip
COMMAND_LINES = [
    b"execute-notebook --notebook a --output b --parameters n=1 --execution-timeout 1h --rmm-mode pool",
    b"git-clone --url https://a/b --revision main --depth 1 --destination d --lfs false",
    b"download-dataset --directory d --url https://a/b --sha256 0 --size 1GB --attempts 3 --unpack auto",
    b"run-local p.yaml --param a=b --workspace w=. --secret s=.",
    b"summarize --summary s --reports r --expect a --statuses a=Failed --fail-on slower=1.5 --result status=a.txt",
    b"compare-notebook a.ipynb b.ipynb --rtol 0.1 --accept",
]


def _tar() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz", format=tarfile.PAX_FORMAT) as archive:
        for name in ("a/b.py", "x" * 150, "\u00e9"):
            archive.add(Path(__file__), arcname=name)
    return file.getvalue()


def _zip() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("a/b.py", "c"):
            archive.write(Path(__file__), name)
    return file.getvalue()


def read_rules(path: Path) -> None:
    book = rules.load(path)
    rules.apply(
        rule_books.notebook("import a", "n = 1\nm = 2", "ab", "x", tags={4: ["slow"]}), book
    )


def read_plan(path: Path) -> None:
    found = plan_file.read(path, Settings(), today=date(2026, 11, 30), may_tolerate=False)
    validate_plan.check(found)


def read_pipeline(path: Path) -> None:
    """Read a Pipeline and make the TaskRuns that need no result, as run-local does."""
    pipeline = find_tasks.load_pipeline(path, [ROOT / "tasks"])
    params = arguments.params([], pipeline)
    given = dict.fromkeys(pipeline.workspaces, path.parent)
    plan = run_plan.Plan(pipeline=pipeline, run="r", params=params, workspaces=given,
                         secrets=arguments.secrets([]))  # fmt: skip
    for task in pipeline.tasks:
        scope = plan.scope(Names())
        if run_plan.when_holds(task, scope):
            run_plan.task_runs(plan, task, scope)


def read_notebook(path: Path) -> None:
    """Read a notebook, its markers, and make its page."""
    nb = ipynb.read(path)
    for cell in nb.cells:
        nbval_markers.markers(cell)
    list(nbconvert.render(nb, name="a", directory=None))


def read_golden(path: Path) -> None:
    """Compare a notebook with itself and with a good one."""
    good = path.with_name("good.ipynb")
    good.write_bytes(MARKED)
    for first, second in ((path, path), (path, good), (good, path)):
        golden, executed = Golden(first, Compare()), ipynb.add_ids(ipynb.read(second))
        golden.check(executed, executed, second)
        golden.compare(executed, second)


def unpacked(path: Path, kind: Literal["tar", "zip"]) -> None:
    archive_members.kind_by_content(path)
    into = path.with_name("into")
    into.mkdir()
    limits = unpack.Limits(size=1 << 24, harmless=1 << 24)
    unpack.unpack(path, into, sha256="0" * 64, kind=kind, limits=limits)
    assert unpack.intact(into, "0" * 64) is not None


def read_words(path: Path) -> None:
    words = text(path).split(" ")
    named = words[0] if words[0] in COMMANDS else None
    args = build_parser(named, brief=not named).parse_args(words)
    try:
        flags.collect(COMMANDS[args.step].Options, args, {})
    except ValueError as error:  # as the command line does
        raise ConfigurationError(str(error)) from error


def read_packages(path: Path) -> None:
    project = pyproject.read(path.parent)
    pyproject.requirements(project)
    pyproject.refers_elsewhere(path.parent, ())


def read_lock(path: Path) -> None:
    pyproject.locked_by_poetry(path.parent)


def read_git_address(path: Path) -> None:
    from stepkit.git.environment import Access

    url, _, revision = text(path).partition(" ")
    git_urls.check_url(Access(url=url))
    if revision:
        git_urls.check_revision(revision)


def each_line(read: Any, path: Path) -> None:
    read(text(path))


def count_file(path: Path) -> None:
    content_types.find(path)
    count_results.count(path)


_URLS = [b"https://example.org/a/b.git", b"https://example.org/a/b main", b"git@example.org:a/b", b"ssh://git@[::1]:22/a", b"file:///a",
         b"https://me:pw@example.org:443/a?b=c#d"]  # fmt: skip
_line = partial(partial, each_line)
_short = texts(
    ["1h", "30m", "ms", "GiB", "%", ".", "=", ",", "slower", "Failed/", "failed=json://"]
)
READERS = {
    "rules": Reader(read=read_rules, seeds=RULES, name="a.yaml", cost=16),
    "plan": Reader(read=read_plan, seeds=PLANS, name="a.yaml", cost=4),
    "config": Reader(read=config_file.read, seeds=CONFIG, name="stepkit.yaml", cost=4),
    "datasets": Reader(read=manifest.read, seeds=DATASETS, name="a.yaml", cost=4),
    "pipeline": Reader(read=read_pipeline, seeds=PIPELINES, name="a.yaml", cost=16),
    "expectations": Reader(
        read=lambda path: expectations.read((), path, ""), name="a.yaml",
        seeds=[b"a.html: size>=100KB, images>=3\nb.ipynb: type=notebook\n'c{suffix}': null\n"], cost=4),
    "parameters": Reader(
        read=lambda path: parameters.for_report(parameters.from_file(path)), name="a.yaml",
        seeds=[b"n: 1\nl: [1, 2.5, &a x, *a]\nd: {a: 2026-11-30, token: s}\n"], cost=4),
    "notebook": Reader(read=read_notebook, seeds=NOTEBOOKS, name="a.ipynb", cost=16),
    "golden": Reader(read=read_golden, seeds=NOTEBOOKS, name="a.ipynb", cost=8),
    "tar": Reader(read=partial(unpacked, kind="tar"), seeds=[_tar()], of=archives.of_tars),
    "zip": Reader(read=partial(unpacked, kind="zip"), seeds=[_zip()], of=archives.of_zips),
    "artifact": Reader(
        read=count_file, seeds=[MARKED, _tar(), _zip(), b"<!doctype html><body class=jp-Notebook><div "
        b"class='jp-OutputArea-output'><table><svg/><img src=a></div>"], name="a.ipynb",
        of=texts(["<!", "<![", "<!a[", "<div class='jp-OutputArea-output'>", "<svg>"]),
        raises=(count_results.UncountableError,)),
    "flags": Reader(
        read=read_words, seeds=COMMAND_LINES, raises=(UsageError,), cost=4,
        of=texts([" --", "--no-", "=", " -p n 1", " --help-me", *(f"{name} " for name in COMMANDS)])),
    "pyproject": Reader(read=read_packages, seeds=files("pyproject.toml"), name="pyproject.toml",
                        of=texts(["[project]\n", "dependencies = ", "[[a]]", "a.b = 1\n", "name = 1"])),
    "poetry-lock": Reader(
        read=read_lock, name="poetry.lock", of=texts(["[[package]]\n", "groups = ", "lock-version = "]),
        seeds=[b'[[package]]\nname = "a"\nversion = "1"\ngroups = ["main"]\noptional = false\nfiles = '
               b'[{file = "a.whl", hash = "sha256:0"}]\nmarkers = "os"\n[metadata]\nlock-version = "2.1"\n']),
    "git-address": Reader(read=read_git_address, seeds=_URLS, of=texts(["@", "[", "]", ":0", "ext::"])),
    "url": Reader(read=_line(safe_urls.check_url), seeds=_URLS, of=texts(["@", "[", "]", ":0", "%0a"])),
    "masked-url": Reader(read=_line(safe_urls.masked), seeds=_URLS, of=texts(["@", "[", "]", ":", "?"])),
    "address": Reader(read=_line(path_addresses.check), seeds=_URLS, of=_short, raises=(ValueError,)),
    "duration": Reader(read=_line(durations.parse), seeds=[b"1h30m", b"1.5s"], of=_short, raises=(ValueError,)),
    "size": Reader(read=_line(sizes.parse), seeds=[b"4GiB", b"1.5 MB"], of=_short),
    "memory-size": Reader(read=_line(memory_size.parse), seeds=[b"4GiB", b"50%"], of=_short),
    "fail-on": Reader(read=_line(fail_on.parse), seeds=[b"slower=1.5", b"tests"], of=_short),
    "tolerance": Reader(read=_line(rules.parse_tolerance), seeds=[b"KeyError: a.*"], of=_short),
    "cpu-limit": Reader(read=_line(cpu_fallback.parse_limit), seeds=[b"10%", b"0.1"], of=_short),
    "routes": Reader(read=lambda path: routes.parse(text(path), "NOTIFY_URLS"), of=_short,
                     seeds=[b"failed,flaky=mailto://a@b\njson://c\n"]),
    "statuses": Reader(read=lambda path: pipeline_statuses.parse(text(path).split()), of=_short,
                       seeds=[b"a=Succeeded b=Failed/TaskRunCancelled c=None"]),
}  # fmt: skip
