"""A fleet on moto's EC2 and the emulated License Manager: what the engine does with the resource, in this process."""

from __future__ import annotations

import copy
from typing import Any

from lmconv_resource.lifecycle.fleet import FleetController
from lmconv_resource.lifecycle.fleet.report import Result
from support.job import WINDOWS, Job
from support.lifecycle import OneResource


class Fleet(OneResource):
    urn = "urn:pulumi:dev::fleet::pulumi-python:lmconv:ConversionFleet::sql"

    def __init__(self, job: Job, **inputs: Any) -> None:
        context = {"destination_license_context": {"usage_operation": WINDOWS}}
        super().__init__(FleetController(), {**context, **inputs}, job.open_session)
        self.job = job
        self.rows: list[dict[str, Any]] = []

    def _given(self) -> dict[str, Any]:
        return {"instances": copy.deepcopy(self.rows), **self.inputs}

    def add(self, name: str, arn: str, **more: Any) -> str:
        self.rows.append({"name": name, "resource_arn": arn, **more})
        return arn

    def result(self, name: str) -> Result:
        result: Result = self.state.results[name]
        return result

    @property
    def outcomes(self) -> dict[str, str]:
        return {name: each.outcome.value for name, each in self.state.results.items()}
