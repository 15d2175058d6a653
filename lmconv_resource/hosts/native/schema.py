"""The package's schema, made from the tables of inputs, outputs and settings.

It is what Pulumi's languages know of the package: types, defaults, descriptions and what replaces a resource.
Its form: https://github.com/pulumi/pulumi/blob/master/pkg/codegen/schema/pulumi.json.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from lmconv_resource.hosts.native import PACKAGE, schema_texts
from lmconv_resource.hosts.native.names import to_camel
from lmconv_resource.hosts.native.outputs import CONVERSION_OUTPUTS, TASK_OUTPUTS, Output
from lmconv_resource.hosts.native.resources import CONVERSION_TOKEN, GET_TOKEN, LIST_TOKEN, TASK_TOKEN
from lmconv_resource.hosts.native.schema_settings import ROLE_TYPE, SETTING_TYPES, make_settings
from lmconv_resource.hosts.native.wording import to_native_text
from lmconv_resource.lifecycle.inputs import CONVERSION_PROPERTIES, LIST_PROPERTIES, TASK_PROPERTIES, WAY, Property

_CONTEXT = f"{PACKAGE}:index:LicenseContext"
_CODE = f"{PACKAGE}:index:ProductCode"
_TASK = f"{PACKAGE}:index:Task"

Spec = dict[str, Any]
"""A part of the schema."""


def make_schema(version: str) -> Spec:
    """Return the schema of this version of the package."""
    settings = make_settings()
    return {
        "name": PACKAGE,
        "displayName": "AWS license conversions",
        "version": version,
        "description": schema_texts.PACKAGE,
        "keywords": ["pulumi", "aws", "license-manager", "category/cloud", "kind/native"],
        "license": "Apache-2.0",
        "language": {
            "nodejs": {"respectSchemaVersion": True},
            "python": {"respectSchemaVersion": True, "pyproject": {"enabled": True}},
            "go": {"respectSchemaVersion": True, "generateResourceContainerTypes": True},
            "csharp": {"respectSchemaVersion": True},
        },
        "config": {"variables": settings},
        "provider": {"description": schema_texts.PROVIDER, "inputProperties": settings},
        "types": {**_make_types(), **SETTING_TYPES},
        "resources": {
            TASK_TOKEN: _make_resource(schema_texts.TASK, TASK_PROPERTIES, TASK_OUTPUTS),
            CONVERSION_TOKEN: _make_resource(schema_texts.CONVERSION, CONVERSION_PROPERTIES, CONVERSION_OUTPUTS),
        },
        "functions": {GET_TOKEN: _make_get(), LIST_TOKEN: _make_list()},
    }


def _make_resource(description: str, inputs: Iterable[Property], outputs: Iterable[Output]) -> Spec:
    return {
        "description": description,
        "inputProperties": {to_camel(entry.name): _make_input(entry) for entry in inputs},
        "requiredInputs": [to_camel(entry.name) for entry in inputs if entry.required],
        "stateInputs": {
            "description": "What a resource is read by, besides its id.",
            "properties": {to_camel(entry.name): _make_input(entry) for entry in inputs if entry.name == "region"},
        },
        **_make_outputs(outputs),
    }


def _make_input(entry: Property) -> Spec:
    spec = {**_make_type(entry.type), "description": to_native_text(entry.description)}
    if entry.default is not None:
        spec["default"] = entry.default
    if entry.replaces:
        spec["replaceOnChanges"] = True
    return spec


def _make_outputs(outputs: Iterable[Output]) -> Spec:
    return {
        "properties": {to_camel(entry.name): _make_output(entry) for entry in outputs},
        "required": [to_camel(entry.name) for entry in outputs if entry.always],
    }


def _make_output(entry: Output) -> Spec:
    return {**_make_type(entry.type), "description": to_native_text(entry.description)}


def _make_type(name: str) -> Spec:
    if name.endswith("[]"):
        return {"type": "array", "items": _make_type(name.removesuffix("[]"))}
    if name == "assume_role":  # a list, which is a chain; one role is a list of one
        return {"type": "array", "items": {"$ref": f"#/types/{ROLE_TYPE}"}}
    reference = {"license_context": _CONTEXT, "product_code": _CODE}.get(name)
    return {"$ref": f"#/types/{reference}"} if reference else {"type": name}


def _make_types() -> Spec:
    text = {"type": "string"}
    return {
        _CODE: {
            "type": "object",
            "description": "A product code of a license context.",
            "properties": {
                "productCodeId": {**text, "description": "The product code's id: letters and digits, at most 25."},
                "productCodeType": {
                    **text,
                    "description": "The product code's type. AWS knows one so far, `marketplace`.",
                    "default": "marketplace",
                },
            },
            "required": ["productCodeId"],
        },
        _CONTEXT: {
            "type": "object",
            "description": "What a resource is licensed as, before or after a conversion.",
            "properties": {
                "usageOperation": {
                    **text,
                    "description": "The usage operation, as AWS bills it: `RunInstances:0002` is Windows with the "
                    "license included.",
                },
                "productCodes": {
                    "type": "array",
                    "items": {"$ref": f"#/types/{_CODE}"},
                    "description": "Product codes of AWS Marketplace, for conversions that go by these.",
                },
            },
        },
        _TASK: {
            "type": "object",
            "description": "A license conversion task as it was looked up.",
            **_make_outputs(TASK_OUTPUTS),
        },
    }


def _make_get() -> Spec:
    id_ = {"type": "string", "description": "The task's id, `lct-…`."}
    way = {to_camel(entry.name): _make_argument(entry) for entry in WAY}
    inputs = {"id": id_, **way}
    return {
        "description": "Look a task up by its id.",
        "inputs": {"type": "object", "properties": inputs, "required": ["id"]},
        "outputs": {"type": "object", "description": "The task.", **_make_outputs(TASK_OUTPUTS)},
    }


def _make_list() -> Spec:
    arguments = {to_camel(entry.name): _make_argument(entry) for entry in LIST_PROPERTIES}
    tasks = {"type": "array", "items": {"$ref": f"#/types/{_TASK}"}, "description": "The tasks, oldest first."}
    return {
        "description": "List the tasks of the account in the region, oldest first; an empty list is a result.",
        "inputs": {"type": "object", "properties": arguments},
        "outputs": {"type": "object", "properties": {"tasks": tasks}, "required": ["tasks"]},
    }


def _make_argument(entry: Property) -> Spec:
    return {**_make_type(entry.type), "description": to_native_text(entry.description)}
