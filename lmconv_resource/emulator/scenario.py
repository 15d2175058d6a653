"""Scenario files: which tasks an emulated License Manager begins with, and what goes wrong with its calls.

The package's docstring says what is in one.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from moto.core.models import DEFAULT_ACCOUNT_ID

from .fault_reader import ScenarioFault, read_faults, read_rate_limit
from .limits import RateLimit
from .models import licensemanager_backends
from .reader import Reader, ScenarioError
from .task import FAILED, IN_PROGRESS, SUCCEEDED, ConversionTask, LicenseContext, ProductCode

__all__ = ["STATUSES", "Scenario", "ScenarioError", "ScenarioTask", "current_account", "load_scenario", "read_tasks"]

STATUSES = (SUCCEEDED, FAILED, IN_PROGRESS)


@dataclass(frozen=True)
class ScenarioTask:
    """A task of a scenario: its region, and the arguments of `LicenseManagerBackend.add_task`."""

    region: str
    arguments: dict[str, Any]


@dataclass(frozen=True)
class Scenario:
    """A scenario that was read and found right."""

    account_id: str | None = None
    page_size: int | None = None
    conversion: dict[str, Any] = field(default_factory=dict)
    tasks: tuple[ScenarioTask, ...] = ()
    faults: tuple[ScenarioFault, ...] = ()
    rate_limit: RateLimit | None = None

    def play(self) -> list[ConversionTask]:
        """Put the scenario into the backends, and return its tasks: from now on its seconds count."""
        regions = licensemanager_backends[self.account_id or current_account()]
        # Every region, as a client may create or list tasks where the scenario has none.
        for region in regions.regions:
            for name, value in self.conversion.items():
                setattr(regions[region], f"conversion_{name}", value)
            if self.page_size is not None:
                regions[region].page_size = self.page_size
            if self.rate_limit is not None:
                regions[region].faults.limit_rate(self.rate_limit)
            for placed in self.faults:
                if placed.region in (None, region):
                    regions[region].faults.add(placed.fault)
        return [regions[task.region].add_task(**task.arguments) for task in self.tasks]


def current_account() -> str:
    """Return the account of a caller that moto does not know."""
    return os.environ.get("MOTO_ACCOUNT_ID", DEFAULT_ACCOUNT_ID)


def load_scenario(file: str | Path) -> Scenario:
    """Read a scenario file.

    Raises:
        ScenarioError: it is not a scenario; one line that names the file, the place in it and what is wrong there.

    """
    reader = Reader.from_file(Path(file))
    top = reader.read_members(
        reader.load(),
        "",
        required=("tasks",),
        optional=("region", "account_id", "page_size", "conversion", "faults", "rate_limit"),
    )
    regions = licensemanager_backends[DEFAULT_ACCOUNT_ID].regions
    region = reader.read_choice(top.get("region", "us-east-1"), "region", regions)
    return Scenario(
        account_id=reader.read_pattern(top["account_id"], "account_id", r"[0-9]{12}", "12 digits")
        if "account_id" in top
        else None,
        page_size=reader.read_count(top["page_size"], "page_size", 1) if "page_size" in top else None,
        conversion=_read_conversion(reader, top.get("conversion", {}), "conversion"),
        tasks=read_tasks(reader, top["tasks"], "tasks", region, regions),
        faults=read_faults(reader, top.get("faults", []), "faults", regions),
        rate_limit=read_rate_limit(reader, top["rate_limit"], "rate_limit") if "rate_limit" in top else None,
    )


def read_tasks(reader: Reader, value: Any, where: str, region: str, regions: list[str]) -> tuple[ScenarioTask, ...]:
    """Return the tasks of a JSON list; `region` is for those that do not say theirs.

    Raises:
        ScenarioError: one is not right, or has the id of another; names its place.

    """
    tasks: list[ScenarioTask] = []
    seen: dict[tuple[str, str], str] = {}
    for index, item in enumerate(reader.read_list(value, where)):
        place = f"{where}[{index}]"
        task = _read_task(reader, item, place, region, regions)
        task_id = task.arguments["task_id"]
        first = seen.setdefault((task.region, task_id), place) if task_id else place
        if first != place:
            reader.fail(f"{place}.id", f"{json.dumps(task_id)} is the id of {first} too")
        tasks.append(task)
    return tuple(tasks)


def _read_task(reader: Reader, value: Any, place: str, region: str, regions: list[str]) -> ScenarioTask:
    given = reader.read_members(
        value,
        place,
        required=("resource_arn", "source", "destination"),
        optional=("id", "seconds", "looks", "status", "message", "region"),
    )
    ending = ("seconds", "looks", "status", "message")
    arguments = _read_ending(reader, {name: given[name] for name in ending if name in given}, place)
    arguments["task_id"] = (
        reader.read_shape(given["id"], f"{place}.id", "LicenseConversionTaskId") if "id" in given else None
    )
    arguments["resource_arn"] = reader.read_shape(given["resource_arn"], f"{place}.resource_arn", "Arn")
    for side in ("source", "destination"):
        arguments[side] = _read_context(reader, given[side], f"{place}.{side}")
    return ScenarioTask(reader.read_choice(given.get("region", region), f"{place}.region", regions), arguments)


def _read_conversion(reader: Reader, value: Any, place: str) -> dict[str, Any]:
    given = reader.read_members(value, place, optional=("seconds", "status", "message"))
    return _read_ending(reader, given, place)


def _read_ending(reader: Reader, given: dict[str, Any], place: str) -> dict[str, Any]:
    """Return what is given of seconds, looks, status and message, each checked, and together."""
    ending: dict[str, Any] = {}
    if "seconds" in given:
        ending["seconds"] = reader.read_seconds(given["seconds"], f"{place}.seconds")
    if "looks" in given:
        ending["looks"] = reader.read_count(given["looks"], f"{place}.looks", 0)
    if "status" in given:
        ending["status"] = reader.read_choice(given["status"], f"{place}.status", STATUSES)
    if "message" in given:
        ending["message"] = reader.read_text(given["message"], f"{place}.message")
    if "seconds" in ending and "looks" in ending:
        reader.fail(f"{place}.looks", "a task ends after seconds or after looks, not both")
    for name in ("seconds", "looks"):
        if ending.get("status") == IN_PROGRESS and name in ending:
            reader.fail(f"{place}.{name}", "a task that stays IN_PROGRESS has none")
    return ending


def _read_context(reader: Reader, value: Any, place: str) -> LicenseContext:
    given = reader.read_members(value, place, optional=("usage_operation", "product_codes"))
    usage_operation = None
    if "usage_operation" in given:
        usage_operation = reader.read_shape(given["usage_operation"], f"{place}.usage_operation", "UsageOperation")
    codes = []
    for index, code in enumerate(reader.read_list(given.get("product_codes", []), f"{place}.product_codes")):
        here = f"{place}.product_codes[{index}]"
        members = reader.read_members(code, here, required=("product_code_id", "product_code_type"))
        codes.append(
            ProductCode(
                reader.read_shape(members["product_code_id"], f"{here}.product_code_id", "ProductCodeId"),
                reader.read_shape(members["product_code_type"], f"{here}.product_code_type", "ProductCodeType"),
            )
        )
    return LicenseContext(usage_operation, tuple(codes))
