"""What the engine is answered: a diff in detail, and the two ways in which a call fails."""

from __future__ import annotations

import functools
import json
import traceback
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import grpc
from pulumi.runtime.proto import provider_pb2

from lmconv_resource.errors import LicenseConversionError
from lmconv_resource.hosts.init_failed import InitFailedError
from lmconv_resource.lifecycle.operation import Diff, Properties
from lmconv_resource.wording import to_camel, using

Method = TypeVar("Method", bound=Callable[..., Any])


class MalformedError(Exception):
    """A message of a form that Pulumi's engine does not send: one line that names it."""


def plain_errors(method: Method) -> Method:
    """Return a method of a servicer whose errors reach the user as they are meant to.

    What a user can act on is its one sentence. A bug keeps its traceback, with a status that tells the engine that
    nothing is known of the resource.
    """

    @functools.wraps(method)
    def serve(self: Any, request: Any, context: grpc.ServicerContext) -> Any:
        try:
            with using(self.wording):
                return method(self, request, context)
        except LicenseConversionError as error:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, self.mask(str(error)))
        except MalformedError as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, self.mask(str(error)))
        except InitFailedError as error:
            context.abort_with_status(error.to_status())
        except Exception:  # noqa: BLE001 -- nothing is lost: the engine is sent all of it
            context.abort(grpc.StatusCode.UNKNOWN, self.mask(traceback.format_exc()))

    return serve  # type: ignore[return-value]


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
        old, new = _find(old_inputs, name), _find(news, name)
        is_input = old != new
        kind = "ADD" if is_input and old is None else "DELETE" if is_input and new is None else "UPDATE"
        kind = f"{kind}_REPLACE" if name in replaces else kind
        detail = provider_pb2.PropertyDiff(kind=provider_pb2.PropertyDiff.Kind.Value(kind), inputDiff=is_input)
        response.detailedDiff[name if "[" in name else to_camel(name)].CopyFrom(detail)
    return response


def _find(inputs: Properties, path: str) -> object:
    """Return an input, or with a path such as `rows["web-1"]` a member of one; None where there is none."""
    name, _, member = path.partition("[")
    value = inputs.get(name)
    return value.get(json.loads(member.removesuffix("]"))) if member and isinstance(value, Mapping) else value
