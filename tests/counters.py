"""Programs with a dynamic resource of their own, which writes down the calls that its provider gets."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import Any

PROVIDER = """
import json, os, sys, time
from pathlib import Path
import pulumi
from pulumi.dynamic import (CheckFailure, CheckResult, CreateResult, DiffResult, ReadResult, Resource,
                            ResourceProvider, UpdateResult)

def log(call, *args):
    with open("calls.jsonl", "a") as file:
        file.write(json.dumps([call, *args], default=str) + "\\n")


class Counter(ResourceProvider):
    def configure(self, req):
        log("configure", {key: req.config.get(key) for key in ("counters:size", "counters:list", "aws:region")},
            os.environ["PULUMI_PROJECT"], os.getcwd())

    def check(self, olds, news):
        log("check", olds.get("value"), news.get("value"))
        bad = news.get("value") == "bad"
        return CheckResult(news, [CheckFailure("value", "it is bad")] if bad else [])

    def diff(self, id_, olds, news):
        log("diff", id_, olds.get("shown"), news.get("value"))
        replaces = [key for key in ("kind", "dbr") if olds.get(key) != news.get(key)]
        return DiffResult(changes=bool(replaces) or olds.get("value") != news.get("value"), replaces=replaces,
                          delete_before_replace="dbr" in replaces)

    def create(self, props):
        log("create", props.get("value"), props.get("token"))
        if props.get("value") == "fail":
            raise RuntimeError("the counter is broken")
        if props.get("wait"):
            Path(props["wait"]).touch()
            while not Path("go").exists():
                time.sleep(0.01)
        return CreateResult(f"id-{props.get('value')}", {**props, "shown": f"<{props.get('value')}>"})

    def update(self, id_, olds, news):
        log("update", id_, olds.get("value"), news.get("value"))
        if news.get("value") == "fail":
            raise RuntimeError("the counter is stuck")
        return UpdateResult({**news, "shown": f"<{news.get('value')}>"})

    def read(self, id_, props):
        log("read", id_, props.get("value"))
        if Path("gone").exists():
            return ReadResult("", {})
        return ReadResult(id_, {**props, "shown": "<found>"})

    def delete(self, id_, props):
        log("delete", id_)


class Count(Resource, module="tests", name="Count"):
    shown: pulumi.Output[str]

    def __init__(self, name, value=None, opts=None, **props):
        super().__init__(Counter(), name, {"value": value, "shown": None, **props}, opts)
"""

PROJECT = """
name: counters
runtime: python
config:
  size: {type: integer, default: 3}
  list: {type: array, items: {type: integer}, default: [1, 2]}
  aws:region: {value: eu-west-1}
"""


def write_program(folder: Path, main: str) -> Path:
    """Write a program into the folder, which has the resource `Count`."""
    folder.mkdir(exist_ok=True)
    (folder / "Pulumi.yaml").write_text(PROJECT)
    (folder / "counter.py").write_text(PROVIDER)
    text = "import pulumi\nfrom counter import Count\nconfig = pulumi.Config()\n" + textwrap.dedent(main)
    (folder / "__main__.py").write_text(text)
    return folder


def calls(folder: Path, *names: str) -> list[list[Any]]:
    """The provider's calls since the last look, of these names."""
    log = folder / "calls.jsonl"
    lines = log.read_text().splitlines() if log.exists() else []
    log.unlink(missing_ok=True)
    return [call for call in map(json.loads, lines) if not names or call[0] in names]
