"""The nested inputs, typed, and which inputs are secret.

Each is a `TypedDict`: a program writes it as a dict, or as a call of the class with the members as arguments, and type
checkers know its members in both. Pulumi hands a dynamic provider their values without a word of what is secret.
"""

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar, cast

import pulumi
from typing_extensions import NotRequired, TypedDict

from lmconv_resource.text import to_known

Function = TypeVar("Function", bound=Callable[..., Any])


def naming_close(function: Function) -> Function:
    """Return a function whose error for an argument that it does not take names the one that is likely meant."""
    parameters = inspect.signature(function).parameters
    if any(each.kind is each.VAR_KEYWORD for each in parameters.values()):
        return function
    names = [name for name in parameters if name not in ("self", "__self__")]

    @functools.wraps(function)
    def call(*args: Any, **given: Any) -> Any:
        for name in given:
            if name not in parameters:
                called = function.__qualname__.removesuffix(".__init__")
                raise TypeError(f"{called}() was given {name}, {to_known(name, names)}")
        return function(*args, **given)

    return cast(Function, call)


class ProductCodeArgs(TypedDict):
    """A product code of a license context.

    Example:
        ```python
        ProductCodeArgs(product_code_id="6cd5fxzrad0cu2j23p692xytz")
        ```
    """

    product_code_id: pulumi.Input[str]
    """Letters and digits, at most 25."""

    product_code_type: NotRequired[pulumi.Input[str]]
    """AWS knows one so far, `marketplace`, which is the default."""


class LicenseContextArgs(TypedDict):
    """What a resource is licensed as, before or after a conversion.

    Example:
        ```python
        LicenseContextArgs(usage_operation=UsageOperation.WINDOWS_BYOL)
        ```
    """

    usage_operation: NotRequired[pulumi.Input[str] | None]
    """What EC2 bills the instance as: `RunInstances:0002`, or any other that AWS has; `UsageOperation` names them."""

    product_codes: NotRequired[pulumi.Input[Sequence[pulumi.Input[ProductCodeArgs]]] | None]
    """Product codes of AWS Marketplace, for conversions that go by these."""


class AssumeRoleArgs(TypedDict):
    """A role to assume before AWS is called, on top of the stack's settings. A list of these is a chain.

    The members are those of sts:AssumeRole
    (https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html).

    Example:
        ```python
        AssumeRoleArgs(role_arn="arn:aws:iam::123456789012:role/Converter", external_id="stack-1")
        ```
    """

    role_arn: pulumi.Input[str]
    """The role's ARN."""

    external_id: NotRequired[pulumi.Input[str] | None]
    """The external id that the role requires."""

    session_name: NotRequired[pulumi.Input[str] | None]
    """The session's name, for CloudTrail. Default: `lmconv-resource`."""

    duration: NotRequired[pulumi.Input[str] | None]
    """How long its credentials last, 15m to 12h, such as `1h30m`; a wait renews them."""

    policy: NotRequired[pulumi.Input[str] | None]
    """An IAM policy as JSON text that narrows the role's rights."""

    policy_arns: NotRequired[pulumi.Input[Sequence[pulumi.Input[str]]] | None]
    """ARNs of IAM policies that narrow the role's rights."""

    tags: NotRequired[pulumi.Input[Mapping[str, pulumi.Input[str]]] | None]
    """Tags of the session."""

    transitive_tag_keys: NotRequired[pulumi.Input[Sequence[pulumi.Input[str]]] | None]
    """The keys of tags that further roles are given, too."""

    source_identity: NotRequired[pulumi.Input[str] | None]
    """Who assumes the role, for CloudTrail."""


AssumeRole = pulumi.Input[AssumeRoleArgs | Sequence[pulumi.Input[AssumeRoleArgs]]]
"""A role, or a chain of roles."""


class FleetInstanceArgs(TypedDict):
    """An instance of a fleet, in the words of a `LicenseConversion`.

    Example:
        ```python
        FleetInstanceArgs(
            resource_arn="arn:aws:ec2:eu-west-1:123456789012:instance/i-0123456789abcdef0", name="web-1"
        )
        ```
    """

    resource_arn: pulumi.Input[str]
    """The instance's ARN."""

    destination_license_context: NotRequired[pulumi.Input[LicenseContextArgs] | None]
    """What it is to be licensed as. Default: the fleet's."""

    source_license_context: NotRequired[pulumi.Input[LicenseContextArgs] | None]
    """What it is licensed as before. Default: what EC2 bills it as."""

    name: NotRequired[pulumi.Input[str] | None]
    """What it is called in outputs, lines and the report. Default: the instance's id."""

    profile: NotRequired[pulumi.Input[str] | None]
    """The profile of the shared AWS config to call as, instead of the stack's."""

    assume_role: NotRequired[AssumeRole | None]
    """A role to assume, or a list of roles, each by the credentials of the one before it, after those of the stack."""

    retry_failed: NotRequired[pulumi.Input[bool] | None]
    """Whether each `up` converts it once more while its conversion FAILED."""


# -- secrets -----------------------------------------------------------------------------------------------------------


def secret_paths(inputs: Mapping[str, Any]) -> pulumi.Output[list[str] | None] | None:
    """Return where secrets are in inputs, such as `assume_role/0/external_id`; None where none can be."""
    outputs = list(find_outputs(inputs))

    async def select() -> list[str] | None:
        return [path for path, output in outputs if await output.is_secret()] or None

    return pulumi.Output.from_input(select()) if outputs else None


def find_outputs(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, pulumi.Output[Any]]]:
    """Yield each output in inputs, at any depth, after its path."""
    if isinstance(value, pulumi.Output):
        yield "/".join(path), value
    elif isinstance(value, (list, tuple)):
        for number, entry in enumerate(value):
            yield from find_outputs(entry, (*path, str(number)))
    elif isinstance(value, Mapping):
        for name, entry in value.items():
            yield from find_outputs(entry, (*path, str(name)))
