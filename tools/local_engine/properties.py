"""Property bags as the engine keeps them: JSON values in which secrets and unknown values are marked."""

from __future__ import annotations

from typing import Any

from google.protobuf import json_format
from google.protobuf.struct_pb2 import Struct
from pulumi.runtime import rpc

PropertyMap = dict[str, Any]

UNKNOWN: str = rpc.UNKNOWN
"""Stands in a preview for every value that only an update can know."""


def from_struct(struct: Struct) -> PropertyMap:
    """Return the JSON values of a bag that came over gRPC; secrets stay marked."""
    values: PropertyMap = json_format.MessageToDict(struct)
    return values


def to_struct(properties: PropertyMap) -> Struct:
    """Return the bag in the form gRPC carries."""
    struct = Struct()
    struct.update(properties)
    return struct


def make_secret(value: Any) -> Any:
    """Return the value, marked as a secret (once)."""
    return rpc.wrap_rpc_secret(value)


def is_secret(value: Any) -> bool:
    """Whether the value itself is marked as a secret."""
    return rpc.is_rpc_secret(value)


def contains_secret(value: Any) -> bool:
    """Whether the value or anything inside it is marked as a secret."""
    if is_secret(value):
        return True
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return any(contains_secret(each) for each in inside)


def secret_values(properties: PropertyMap) -> list[Any]:
    """Return the values that are marked as secrets, in clear."""
    return [to_plain(value) for value in properties.values() if is_secret(value)]


def to_plain(value: Any) -> Any:
    """Return the value without its marks: secrets in clear, references to resources as their id or else their URN.

    This is what a plugin gets that accepts neither, as the dynamic providers' plugin.
    """
    if is_secret(value):
        return to_plain(value.get("value"))
    if isinstance(value, dict):
        if value.get(rpc._special_sig_key) == rpc._special_resource_sig:
            # An id that is not known yet travels as an empty string.
            return value.get("urn") if "id" not in value else to_plain(value["id"]) or UNKNOWN
        return {key: to_plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [to_plain(each) for each in value]
    return value


def restore_secrets(properties: PropertyMap, marked: PropertyMap) -> PropertyMap:
    """Return the plugin's answer, with everything secret again that has a secret of the same name in `marked`."""
    restored = dict(properties)
    for key, mark in marked.items():
        if key not in restored:
            continue
        value = restored[key]
        if isinstance(value, dict) and isinstance(mark, dict) and not is_secret(value) and not is_secret(mark):
            restored[key] = restore_secrets(value, mark)
        elif contains_secret(mark):
            restored[key] = make_secret(value)
    return restored
