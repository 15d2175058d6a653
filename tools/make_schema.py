"""Makes `schema.json`, the native provider's face: what Pulumi's languages know of the package.

It is made from the tables of inputs and settings, the SDK's classes, which have each output and member with its type
and its text, and each input's text, and the examples beside this file. Its form:
https://github.com/pulumi/pulumi/blob/master/pkg/codegen/schema/pulumi.json.
"""

import ast
import functools
import inspect
import itertools
import json
import re
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from importlib import metadata
from pathlib import Path
from typing import Any

from schema_settings import SETTING_PROPERTIES, make_setting_types

import lmconv_resource as sdk
from lmconv_resource.aws.access import SETTINGS, AssumedRole, kinds
from lmconv_resource.hosts.native import PACKAGE
from lmconv_resource.lifecycle.fleet import FLEET_PROPERTIES
from lmconv_resource.lifecycle.fleet.report import Outcome
from lmconv_resource.lifecycle.inputs import (
    ACCESS_INPUTS,
    CONVERSION_PROPERTIES,
    LIST_PROPERTIES,
    MEMBERS,
    TASK_PROPERTIES,
    Property,
)
from lmconv_resource.lifecycle.track import GET_TOKEN, LIST_TOKEN
from lmconv_resource.lifecycle.validation import Rule
from lmconv_resource.models import OUTPUTS, PRODUCT_CODE_TYPE, TaskStatus
from lmconv_resource.text import to_camel

HOME = "https://example.com/lmconv_resource"
"""A placeholder, as the project is published nowhere: who hands the plugin out puts their own address here."""

Spec = dict[str, Any]
"""A part of the schema."""


@dataclass(frozen=True)
class Resource:
    """A resource: the table of its inputs, and the SDK's class, which has its name, its outputs and its text."""

    inputs: Sequence[Property]
    sdk: type


RESOURCES = (
    Resource(TASK_PROPERTIES, sdk.LicenseConversionTask),
    Resource(CONVERSION_PROPERTIES, sdk.LicenseConversion),
    Resource(FLEET_PROPERTIES, sdk.ConversionFleet),
)

_PROVIDER_TEXT = """\
How AWS is reached. Each setting is one of pulumi-aws's, under the same name; what is not set here is taken from the \
environment and AWS's shared configuration. The stack's settings of pulumi-aws are not visible to this package."""

_ENUMS: dict[str, list[tuple[str, str, str | None]]] = {
    "UsageOperation": [(each.name, each.value, each.meaning) for each in sdk.UsageOperation],
    "TaskStatus": [(each.name, each.value, None) for each in TaskStatus],
    "FleetOutcome": [(each.name, each.value, None) for each in Outcome],
    "ProductCodeType": [(PRODUCT_CODE_TYPE, PRODUCT_CODE_TYPE, "A product code of AWS Marketplace.")],
}
_ENUM_TEXTS = {
    "UsageOperation": "What EC2 bills an instance as, as far as AWS publishes it.",
    "TaskStatus": "The status of a license conversion task.",
    "FleetOutcome": "What became of an instance of a fleet.",
    "ProductCodeType": "The type of a product code.",
}
_ENUM_OF = {
    "usage_operation": "UsageOperation",
    "verified_usage_operation": "UsageOperation",
    "source_usage_operation": "UsageOperation",
    "destination_usage_operation": "UsageOperation",
    "outcome": "FleetOutcome",
    "status": "TaskStatus",
    "statuses": "TaskStatus",
    "product_code_type": "ProductCodeType",
}
"""By a property's name, the enum with the values that are known. AWS may have more, so it can be any text as well."""

_SECRET = {member.key for member in kinds.ROLES.members if "secret" in member.kind.schema}
"""Members of a role that are secret however they are given."""

_PRIMITIVES = {"str": "string", "bool": "boolean", "int": "integer", "float": "number"}


_TABLES = (TASK_PROPERTIES, CONVERSION_PROPERTIES, LIST_PROPERTIES, FLEET_PROPERTIES)
_NAMES = {
    *(*OUTPUTS, "custom_timeouts", "verified_usage_operation"),
    *(name for members in MEMBERS.values() for name in members),
    *(field.name for field in fields(AssumedRole)),
    *(entry.name for table in _TABLES for entry in table),
}
_NAME = re.compile(rf"\b({'|'.join(sorted(filter(lambda name: '_' in name, _NAMES), key=len, reverse=True))})\b")
_SETTING = re.compile(rf"(?<!arn:)\baws:(?=({'|'.join(setting.key for setting in SETTINGS)})\b)")


def to_native_text(text: str) -> str:
    """Return a text of the SDK's or of the tables, with names as programs in Pulumi's other languages write them."""
    text = re.sub(r"=(True|False)\b", lambda match: f": {match[1].lower()}", _SETTING.sub(f"{PACKAGE}:", text))
    return _NAME.sub(lambda match: to_camel(match[0]), text)


def make_schema() -> str:
    """Return the text of `schema.json`."""
    of_roles = {to_camel(name): member.text for name, member in read_members(sdk.AssumeRoleArgs).items()}
    schema = {
        "name": PACKAGE,
        "displayName": "AWS license conversions",
        "version": metadata.version("lmconv-resource"),
        "description": "Converts the licenses of EC2 instances with AWS License Manager, one or a fleet of them, from "
        "stop to start, and follows conversions that were started elsewhere to their end.",
        "keywords": ["pulumi", "aws", "license-manager", "category/cloud", "kind/native"],
        "homepage": HOME,
        "license": "Apache-2.0",
        "repository": HOME,
        "logoUrl": f"{HOME}/logo.png",
        "pluginDownloadURL": f"{HOME}/releases",
        "publisher": "lmconv_resource",
        "language": {
            "nodejs": {"respectSchemaVersion": True},
            "python": {"respectSchemaVersion": True, "pyproject": {"enabled": True}},
            "go": {
                "respectSchemaVersion": True,
                "generateResourceContainerTypes": True,
                "importBasePath": f"{HOME.partition('://')[2]}/sdk/go/{PACKAGE}",
            },
            "csharp": {"respectSchemaVersion": True},
        },
        "config": {"variables": SETTING_PROPERTIES},
        "provider": {"description": _PROVIDER_TEXT, "inputProperties": SETTING_PROPERTIES},
        "types": {**_make_types(), **make_setting_types(of_roles)},
        "resources": {f"{PACKAGE}:index:{each.sdk.__name__}": _make_resource(each) for each in RESOURCES},
        "functions": {GET_TOKEN: _make_get(), LIST_TOKEN: _make_list()},
    }
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _make_resource(resource: Resource) -> Spec:
    outputs = read_members(resource.sdk)
    listed = {"type": "object", "properties": _make_inputs(LIST_PROPERTIES)}
    return {
        "description": _make_text(resource.sdk),
        "inputProperties": _make_inputs(resource.inputs),
        "requiredInputs": [to_camel(entry.name) for entry in resource.inputs if entry.required],
        # The generator for TypeScript makes those outputs of a resource that is read which are named here.
        "stateInputs": {
            "type": "object",
            "properties": {**_make_object(outputs)["properties"], **_make_inputs(ACCESS_INPUTS)},
        },
        **({"listInputs": listed} if "license_conversion_task_id" in outputs else {}),
        **_make_object(outputs),
    }


def _make_inputs(table: Iterable[Property]) -> Spec:
    return {to_camel(entry.name): _make_input(entry) for entry in table}


def _make_text(of: type) -> str:
    """Return what the SDK says of a class, and the examples for this host."""
    more = (Path(__file__).parent / "schema" / f"{of.__name__}.md").read_text(encoding="utf-8")
    examples, imported, rest = more.partition("## Import")
    wrapped = re.sub(r"(?s)(### .+?)\s*(?=### |\Z)", r"{{% example %}}\n\1\n{{% /example %}}\n", examples)
    shown = f"{{{{% examples %}}}}\n## Example Usage\n{wrapped}{{{{% /examples %}}}}"
    return f"{_read_text(of)}\n\n{shown}\n\n{imported}{rest}"


def _read_text(of: type) -> str:
    """Return what the SDK says of a class, up to its example."""
    return to_native_text((inspect.getdoc(of) or "").partition("\nExample:\n")[0].strip())


def _make_input(entry: Property) -> Spec:
    text = read_texts()[entry.name, entry.rule]
    spec = {**_make_type(entry.name, entry.type), "description": to_native_text(text)}
    if entry.default is not None:
        spec["default"] = entry.default
    if always_replaces(entry, text):
        spec["willReplaceOnChanges"] = True
    return spec


def _make_type(name: str, type_: str) -> Spec:
    """Return the type of an input, as the tables name it."""
    if type_.endswith("[]"):
        return {"type": "array", "items": _make_type(name, type_.removesuffix("[]"))}
    if type_ == "assume_role":  # a list, which is a chain; one role is a list of one
        return {"type": "array", "items": _refer("AssumeRole")}
    if type_ in ("license_context", "fleet_instance"):
        return _refer(_to_pascal(type_))
    return _with_enum(name, {"type": type_})


def _with_enum(name: str, spec: Spec) -> Spec:
    return {"oneOf": [spec, _refer(_ENUM_OF[name])]} if name in _ENUM_OF else spec


def _refer(name: str) -> Spec:
    return {"$ref": f"#/types/{PACKAGE}:index:{name}"}


def _make_types() -> Spec:
    nested = {
        "AssumeRole": sdk.AssumeRoleArgs,
        "LicenseContext": sdk.LicenseContextArgs,
        "ProductCode": sdk.ProductCodeArgs,
        "FleetInstance": sdk.FleetInstanceArgs,
        "FleetInstanceOutcome": sdk.FleetInstanceOutcome,
    }
    made = {
        **{name: {"description": _read_text(of), **_make_object(read_members(of))} for name, of in nested.items()},
        "Task": {"description": "A license conversion task as it was looked up."} | _make_task(),
        **{
            name: {
                "type": "string",
                "description": _ENUM_TEXTS[name],
                "enum": [
                    {"name": _to_pascal(key), "value": value, **({"description": text} if text else {})}
                    for key, value, text in values
                ],
            }
            for name, values in _ENUMS.items()
        },
    }
    return {f"{PACKAGE}:index:{name}": spec for name, spec in made.items()}


def _to_pascal(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("_"))


def _make_task() -> Spec:
    return _make_object(read_members(sdk.LicenseConversionTask))


def _make_get() -> Spec:
    inputs = {
        "id": {"type": "string", "description": "The task's id, `lct-…`."},
        **_make_inputs(ACCESS_INPUTS),
    }
    return {
        "description": "Look a task up by its id.",
        "inputs": {"type": "object", "properties": inputs, "required": ["id"]},
        "outputs": {"description": "The task."} | _make_task(),
    }


def _make_list() -> Spec:
    tasks = {"type": "array", "items": _refer("Task"), "description": "The tasks, oldest first."}
    return {
        "description": "List the tasks of the account in the region, oldest first; an empty list is a result.",
        "inputs": {
            "type": "object",
            "properties": _make_inputs(LIST_PROPERTIES),
        },
        "outputs": {"type": "object", "properties": {"tasks": tasks}, "required": ["tasks"]},
    }


# -- what the SDK says of inputs ---------------------------------------------------------------------------------------

_REPLACES = " Another one replaces the resource."


def always_replaces(entry: Property, text: str) -> bool:
    """Return whether another value replaces the resource whatever its state: one that does not says when it does."""
    return entry.replaces and "Another one" not in text


def to_full_text(entry: Property) -> str:
    """Return what an input means, with its default and whether another value replaces the resource."""
    text = read_texts()[entry.name, entry.rule]
    default = "" if entry.default is None else f" Default {entry.default}."
    return text + (_REPLACES if always_replaces(entry, text) else "") + default


@functools.cache
def read_texts() -> dict[tuple[str, Rule], str]:
    """Return what each input means: what the `Args:` say of the first constructor or function that takes it."""
    listed = (LIST_PROPERTIES, sdk.get_license_conversion_tasks)
    described: list[tuple[Sequence[Property], Callable[..., object]]] = [
        *((each.inputs, vars(each.sdk)["__init__"]) for each in RESOURCES),
        listed,
    ]
    texts: dict[tuple[str, Rule], str] = {}
    for inputs, of in described:
        said = _read_arguments(of)
        for entry in inputs:
            text = said.get(entry.name, "").removesuffix(f" Default {entry.default}.").removesuffix(_REPLACES)
            texts.setdefault((entry.name, entry.rule), text)
            if not text:
                raise ValueError(f"{of.__qualname__} does not say what {entry.name} means: add it to its Args")
    return texts


def _read_arguments(of: Callable[..., object]) -> dict[str, str]:
    args = (inspect.getdoc(of) or "").partition("Args:\n")[2].partition("\n\n")[0]
    pairs = (" ".join(entry.split()).partition(": ") for entry in re.split(r"\n(?=    \w)", args))
    return {name: text[:1].upper() + text[1:] for name, _, text in pairs}


# -- what the SDK's classes say ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Member:
    """An attribute of one of the SDK's classes: its annotation and its text."""

    annotation: ast.expr
    text: str

    @property
    def is_input(self) -> bool:
        """Whether a program gives it."""
        return "Input[" in ast.unparse(self.annotation)

    @property
    def is_optional(self) -> bool:
        """Whether it need not be given, or has not always a value."""
        return "NotRequired" in ast.unparse(self.annotation) or any(
            _is_none(node) for node in ast.walk(self.annotation)
        )


def read_members(of: type) -> dict[str, Member]:
    """Return the attributes of a class and of its bases in the package, by name."""
    found: dict[str, Member] = {}
    for base in reversed(of.__mro__):
        if base.__module__.startswith(sdk.__name__):
            (parsed,) = ast.parse(textwrap.dedent(inspect.getsource(base))).body
            found.update(_read_attributes(parsed))
    return found


def _read_attributes(parsed: ast.AST) -> Iterator[tuple[str, Member]]:
    body = parsed.body if isinstance(parsed, ast.ClassDef) else []
    for node, after in itertools.pairwise(body):
        if isinstance(node, ast.AnnAssign) and isinstance(after, ast.Expr):
            yield ast.unparse(node.target), Member(node.annotation, ast.literal_eval(after.value))


def _make_object(members: Mapping[str, Member]) -> Spec:
    """Return an object of these members.

    What is an output only is no enum: of a function's result, the generator for Python makes code that fails with one.
    """
    return {
        "type": "object",
        "properties": {
            to_camel(name): {
                **_with_enum(name if member.is_input else "", _to_type(name, member.annotation)),
                "description": to_native_text(member.text),
                **({"secret": True} if to_camel(name) in _SECRET else {}),
            }
            for name, member in members.items()
        },
        "required": [to_camel(name) for name, member in members.items() if not member.is_optional],
    }


def _to_type(name: str, annotation: ast.expr) -> Spec:
    """Return the schema's type for an annotation, without what makes it an input or an output."""
    if isinstance(annotation, ast.BinOp):  # None is said otherwise, and a dict is another form of the class beside it
        return _to_type(name, annotation.left)
    if isinstance(annotation, ast.Subscript):
        wrapper = ast.unparse(annotation.value).rpartition(".")[2]
        if wrapper in ("Input", "Output", "NotRequired"):
            return _to_type(name, annotation.slice)
        if wrapper in ("Mapping", "dict") and isinstance(annotation.slice, ast.Tuple):
            return {"type": "object", "additionalProperties": _to_type(name, annotation.slice.elts[1])}
        if wrapper in ("Sequence", "list"):
            return {"type": "array", "items": _to_type(name, annotation.slice)}
        raise TypeError(f"{name}: no type of the schema for {ast.unparse(annotation)}")
    text = ast.unparse(annotation)
    if text == "AssumeRole":
        return _make_type(name, "assume_role")
    return {"type": _PRIMITIVES[text]} if text in _PRIMITIVES else _refer(text.removesuffix("Args"))


def _is_none(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value is None
