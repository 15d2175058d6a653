"""What the package offers, by its tokens: its resources."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lmconv_resource.hosts.native import PACKAGE
from lmconv_resource.lifecycle.controller import Controller
from lmconv_resource.lifecycle.convert import ConversionController
from lmconv_resource.lifecycle.fleet import FLEET_OUTPUTS, FleetController
from lmconv_resource.lifecycle.functions import read_tasks
from lmconv_resource.lifecycle.operation import UNKNOWN, Operation, Properties
from lmconv_resource.lifecycle.track import TaskController
from lmconv_resource.models import OUTPUTS, select_newest

TASK_TOKEN = f"{PACKAGE}:index:LicenseConversionTask"
CONVERSION_TOKEN = f"{PACKAGE}:index:LicenseConversion"
FLEET_TOKEN = f"{PACKAGE}:index:ConversionFleet"

_LASTING = ("license_conversion_task_id", "region", "resource_arn", "source_license_context", "adopted")
_LASTING_OUTPUTS = frozenset({*_LASTING, "destination_license_context"})
"""The outputs that stay what they are while a task goes on."""


@dataclass(frozen=True)
class Resource:
    """A resource of the package.

    Args:
        controller: its lifecycle.
        outputs: the names of its outputs.
        read_inputs: the inputs that a program would write for an imported task, by what AWS says of it.
    """

    controller: Controller[Any, Any]
    outputs: tuple[str, ...]
    read_inputs: tuple[str, ...]

    def preview_create(self, inputs: Properties) -> dict[str, object]:
        """Return the outputs that a preview knows of a new resource; the others as unknown."""
        known = ("license_conversion_task_id", "region", "resource_arn")
        return {
            name: inputs[name] if name in known and inputs.get(name) is not None else UNKNOWN for name in self.outputs
        }

    def preview_update(self, state: Properties) -> dict[str, object]:
        """Return the outputs that a preview knows of a resource that is looked up again; the others as unknown."""
        return {name: state.get(name) if name in _LASTING_OUTPUTS else UNKNOWN for name in self.outputs}

    def imported_inputs(self, given: Properties, read: Properties | None, state: Properties) -> dict[str, object]:
        """Return what a program has to say for the resource that was read: what was given, and what AWS says."""
        names = {entry.name for entry in self.controller.inputs.properties}
        if "resource_arn" in given:  # named as the newest of a resource, and not by its id as well
            names.discard("license_conversion_task_id")
        found = {**{name: to_input(state.get(name)) for name in self.read_inputs}, **(read or {}), **given}
        if self.read_inputs and state.get("status") == "FAILED":
            found = {"ignore_failure": True, **found}  # else the next update would start a conversion
        return {name: value for name, value in found.items() if name in names and value is not None}


RESOURCES: Mapping[str, Resource] = {
    TASK_TOKEN: Resource(TaskController(), OUTPUTS, ()),
    CONVERSION_TOKEN: Resource(
        ConversionController(),
        (*OUTPUTS, "adopted", "verified_usage_operation", "verified_product_codes"),
        ("resource_arn", "source_license_context", "destination_license_context"),
    ),
    FLEET_TOKEN: Resource(FleetController(), FLEET_OUTPUTS, ()),
}


def to_input(output: object) -> object:
    """Return an output as a program writes it as an input: without what AWS leaves out."""
    if not isinstance(output, Mapping):
        return output
    return {name: value for name, value in output.items() if value not in (None, [])}


def newest_task_id(op: Operation, resource_arn: str, region: str | None) -> str | None:
    """Return the id of a resource's newest task, None where AWS shows none."""
    newest = select_newest(read_tasks(op, {"resource_arns": [resource_arn], "region": region}))
    return newest.task_id if newest else None
