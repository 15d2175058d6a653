"""What the package offers, its resources and its settings, and what the engine is told of them."""

import json
import os
import re
from collections.abc import Mapping
from typing import Any

from google.protobuf.struct_pb2 import Struct
from pulumi.runtime.proto import provider_pb2

from lmconv_resource.aws.access import ConfigGet, Settings, unknown_setting_names
from lmconv_resource.errors import SettingsError
from lmconv_resource.hosts.native import PACKAGE, SETTING_PREFIX
from lmconv_resource.hosts.native.wire import SCHEMA, Bag, Spec, parse_json, write
from lmconv_resource.hosts.session import SecretTexts, Session
from lmconv_resource.lifecycle.controller import Controller
from lmconv_resource.lifecycle.convert import ConversionController
from lmconv_resource.lifecycle.fleet import FleetController
from lmconv_resource.lifecycle.inputs import CONVERTED
from lmconv_resource.lifecycle.operation import UNKNOWN, CheckFailure, Diff, Properties, has_unknown
from lmconv_resource.lifecycle.state import REQUEST, TABLE
from lmconv_resource.lifecycle.track import TaskController
from lmconv_resource.lifecycle.validation import validate_region
from lmconv_resource.text import key, to_camel, to_snake, to_whole

RESOURCES: Mapping[str, Controller[Any, Any]] = {
    f"{PACKAGE}:index:LicenseConversionTask": TaskController(),
    f"{PACKAGE}:index:LicenseConversion": ConversionController(),
    f"{PACKAGE}:index:ConversionFleet": FleetController(),
}

_CONTEXTS = ("source_license_context", "destination_license_context")

_NAMED = ("license_conversion_task_id", "region", "resource_arn")
"""The outputs that are what the inputs of the same names say."""

_LASTING = (*_NAMED, *_CONTEXTS, "adopted")
"""The outputs that stay what they are while a task goes on."""


def inputs_of(spec: Spec) -> Spec:
    """Return what there is to know of a resource's inputs, and of what a fleet's check adds to them."""
    return {**spec["inputProperties"], "rows": {"type": "object", "additionalProperties": {"type": "string"}}}


def record_of(spec: Spec) -> Spec:
    """Return what there is to know of a resource's record, which may have inputs, and what no program sees."""
    rows = {"$ref": f"#/types/{PACKAGE}:index:FleetInstance"}
    unseen = {
        REQUEST: {"type": "object", "properties": spec["inputProperties"]},
        TABLE: {"type": "object", "additionalProperties": rows},
    }
    return {**inputs_of(spec), **spec["properties"], **unseen}


def preview_outputs(spec: Spec, inputs: Properties, record: Properties | None) -> dict[str, object]:
    """Return the outputs that a preview knows of a resource, by its record where it has one; the others as unknown."""
    if record is None:
        known = {name: inputs[name] for name in _NAMED if inputs.get(name) is not None}
    else:
        known = {name: record.get(name) for name in _LASTING}
    return {name: known.get(name, UNKNOWN) for name in map(to_snake, spec["properties"])}


def imported_inputs(spec: Spec, given: Properties, read: Properties | None, state: Properties) -> dict[str, object]:
    """Return what a program has to say for the resource that was read: what was given, and what AWS says."""
    names = set(map(to_snake, spec["inputProperties"]))
    if "resource_arn" in given:  # named as the newest of a resource, and not by its id as well
        names.discard("license_conversion_task_id")
    converted = CONVERTED if names.issuperset(CONVERTED) else ()
    found = {**{name: to_input(state.get(name)) for name in converted}, **(read or {}), **given}
    if converted and state.get("status") == "FAILED":
        found = {"ignore_failure": True, **found}  # else the next update would start a conversion
    return {name: value for name, value in found.items() if name in names and value is not None}


def to_input(output: object) -> object:
    """Return an output as a program writes it as an input: without what AWS leaves out."""
    if not isinstance(output, Mapping):
        return output
    return {name: value for name, value in output.items() if value not in (None, [])}


# -- what the engine is told -------------------------------------------------------------------------------------------


def write_outputs(outputs: Properties, given: Bag) -> Struct:
    """Return outputs as a message; what is secret as an input is so as an output, and in what says it again."""
    if "report" in outputs:  # a fleet's, which says of its rows what was given
        table = {TABLE} if "instances" in given.secrets else set[str]()
        return write(outputs, secret_names(outputs, given) | table)
    secrets = {*given.secrets}
    if secrets.intersection(CONVERTED):
        secrets.add(REQUEST)
    if secrets.intersection(_CONTEXTS):
        secrets.update(("verified_usage_operation", "verified_product_codes"))
    return write(outputs, secrets)


def secret_names(values: Properties, given: Bag) -> frozenset[str]:
    """Return the names of the properties in which a secret of those that were given is told, in whatever words."""
    texts = SecretTexts()
    texts.add(given.secret_texts)
    return frozenset(name for name, value in values.items() if texts.mask(str(value)) != str(value))


def to_diff_response(diff: Diff, old_inputs: Properties, news: Properties) -> provider_pb2.DiffResponse:
    """Return a diff with each property that it names: an input that is added, removed or another, or an output."""
    replaces, changed = diff.replaces, diff.changed
    if "wait_for_completion" in changed and news.get("wait_for_completion") == old_inputs.get("wait_for_completion"):
        changed = ("status",)  # asked for all along: what is missing is the end
    response = provider_pb2.DiffResponse(
        changes=provider_pb2.DiffResponse.DIFF_SOME if diff.has_changes else provider_pb2.DiffResponse.DIFF_NONE,
        replaces=[to_camel(name) for name in replaces],
        diffs=list(dict.fromkeys(to_camel(name).partition("[")[0] for name in (*replaces, *changed))),
        hasDetailedDiff=True,
    )
    for name in (*replaces, *changed):
        old, new = _at(old_inputs, name), _at(news, name)
        is_input = old != new
        kind = "ADD" if is_input and old is None else "DELETE" if is_input and new is None else "UPDATE"
        kind = f"{kind}_REPLACE" if name in replaces else kind
        detail = provider_pb2.PropertyDiff(kind=provider_pb2.PropertyDiff.Kind.Value(kind), inputDiff=is_input)
        response.detailedDiff[name if "[" in name else to_camel(name)].CopyFrom(detail)
    return response


def _at(inputs: Properties, path: str) -> object:
    """Return an input, or with a path such as `rows["web-1"]` a member of one; None where there is none."""
    name, _, member = path.partition("[")
    value = inputs.get(name)
    return value.get(json.loads(member.removesuffix("]"))) if member and isinstance(value, Mapping) else value


# -- settings ----------------------------------------------------------------------------------------------------------

SETTINGS_SCHEMA: Spec = SCHEMA["provider"]["inputProperties"]
"""What the schema says of the settings."""


def to_config_get(settings: Properties) -> ConfigGet:
    """Return the settings by their full names."""
    return {f"{SETTING_PREFIX}{key}": value for key, value in settings.items()}.get


def check_settings(settings: Properties, session: Session) -> list[CheckFailure]:
    """Return what is wrong with the settings, and tell which are not known; nothing is asked of AWS.

    In a project that is itself called `lmconv` these pass: it keeps its own configuration there.
    """
    if has_unknown(settings):
        return []
    get, region = to_config_get(settings), settings.get("region")
    reason = validate_region(region) if region else None
    if reason:
        return [CheckFailure("region", f"{key('region')} {reason}")]
    try:
        if os.environ.get("PULUMI_PROJECT") != PACKAGE:
            names = (f"{SETTING_PREFIX}{key}" for key in settings)
            session.tell_unknown_settings(unknown_setting_names(names, get, prefix=SETTING_PREFIX))
        Settings.from_config(get, str(region or "us-east-1"))
    except SettingsError as error:
        return [CheckFailure(error.key, str(error))]
    return []


def to_one_form(key: str, value: object) -> object:
    """Return a setting in the one form that stands for all in which the languages of Pulumi send it.

    What is no text comes as JSON text too, and a whole number from Java with a fraction: `"3.0"`.
    """
    is_json = isinstance(value, str) and SETTINGS_SCHEMA.get(key, {}).get("type") != "string"
    return to_whole(parse_json(str(value)) if is_json else value)


def explicit_provider(urn: str) -> str | None:
    """Return the name of an explicit provider; None for the engine's own, `default_0_1_0_https_/example.com/…`."""
    name = urn.rpartition("::")[2]
    return None if not name or re.fullmatch(r"default(_(\d|https?_).*)?", name) else name
