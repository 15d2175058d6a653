"""A fleet whose license or role is a secret: what it says of its rows is one, on both engines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.job import serve_job
from support.stacks import ON_BOTH_ENGINES, make_stack

PROGRAM = """
import json

import pulumi
from lmconv_resource import ConversionFleet

rows = json.loads(pulumi.Config().require("rows"))
rows[0]["assume_role"] = []
rows[0]["source_license_context"] = {"usage_operation": pulumi.Output.secret("RunInstances:0800")}
to = {"usage_operation": pulumi.Output.secret("RunInstances:0002")}
fleet = ConversionFleet("sql", instances=rows, destination_license_context=to)
pulumi.export("succeeded", fleet.succeeded)
"""
SIGNATURE = "4dabf18193072939515e22adb298388d"


def without_secrets(value: Any) -> Any:
    if isinstance(value, dict):
        return None if SIGNATURE in value else {name: without_secrets(each) for name, each in value.items()}
    return [without_secrets(each) for each in value] if isinstance(value, list) else value


@pytest.mark.parametrize("engine", ON_BOTH_ENGINES)
def test_a_secret_license_is_told_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: str) -> None:
    """Neither in a line nor in the state: its code, its name, and what EC2 and the report say of it."""
    with serve_job(monkeypatch) as job:
        arn = job.launch()
        stack = make_stack(engine, tmp_path, PROGRAM)
        stack.config |= {
            "aws:region": "eu-west-1",
            "followed:rows": json.dumps([{"resource_arn": arn, "name": "web-1"}]),
        }
        for operation in (stack.preview, stack.up, stack.up, stack.refresh):
            outcome = operation()
            assert outcome.ok, outcome.said
            assert not any("Windows" in text or "RunInstances:" in text for _, _, text in outcome.said), outcome.said
        assert set(stack.up().changes) == {"same"}
        recorded = json.dumps(without_secrets(stack.resources()["sql"]))
        assert not any(each in recorded for each in ("Windows", "RunInstances:"))
        assert job.billed(arn) == "RunInstances:0002"
