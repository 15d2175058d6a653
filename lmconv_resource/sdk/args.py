"""The nested inputs, typed: each as a class, and as a dict with the same members."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pulumi
from typing_extensions import NotRequired, TypedDict


class ProductCodeArgsDict(TypedDict):
    """A product code of a license context, as a dict."""

    product_code_id: pulumi.Input[str]
    """Letters and digits, at most 25."""

    product_code_type: NotRequired[pulumi.Input[str]]
    """AWS knows one so far, `marketplace`, which is the default."""


@pulumi.input_type
class ProductCodeArgs:
    """A product code of a license context."""

    def __init__(
        self, *, product_code_id: pulumi.Input[str], product_code_type: pulumi.Input[str] = "marketplace"
    ) -> None:
        """Name a product code.

        Args:
            product_code_id: letters and digits, at most 25.
            product_code_type: AWS knows one so far, `marketplace`.
        """
        pulumi.set(self, "product_code_id", product_code_id)
        pulumi.set(self, "product_code_type", product_code_type)

    @property
    @pulumi.getter
    def product_code_id(self) -> pulumi.Input[str]:
        """The product code's id."""
        value: pulumi.Input[str] = pulumi.get(self, "product_code_id")
        return value

    @property
    @pulumi.getter
    def product_code_type(self) -> pulumi.Input[str]:
        """The product code's type."""
        value: pulumi.Input[str] = pulumi.get(self, "product_code_type")
        return value


ProductCodes = pulumi.Input[Sequence[pulumi.Input[ProductCodeArgs | ProductCodeArgsDict]]]
"""Product codes, each an object or a dict."""


class LicenseContextArgsDict(TypedDict):
    """What a resource is licensed as, before or after a conversion, as a dict."""

    usage_operation: NotRequired[pulumi.Input[str] | None]
    """What EC2 bills the instance as: `RunInstances:0002`, or any other that AWS has; `UsageOperation` names them."""

    product_codes: NotRequired[ProductCodes | None]
    """Product codes of AWS Marketplace, for conversions that go by these."""


@pulumi.input_type
class LicenseContextArgs:
    """What a resource is licensed as, before or after a conversion."""

    def __init__(
        self,
        *,
        usage_operation: pulumi.Input[str] | None = None,
        product_codes: ProductCodes | None = None,
    ) -> None:
        """Name a license context.

        Args:
            usage_operation: what EC2 bills the instance as: `RunInstances:0002`, or any other that AWS has;
                `UsageOperation` names them.
            product_codes: product codes of AWS Marketplace, for conversions that go by these.
        """
        pulumi.set(self, "usage_operation", usage_operation)
        pulumi.set(self, "product_codes", product_codes)

    @property
    @pulumi.getter
    def usage_operation(self) -> pulumi.Input[str] | None:
        """What EC2 bills the instance as."""
        value: pulumi.Input[str] | None = pulumi.get(self, "usage_operation")
        return value

    @property
    @pulumi.getter
    def product_codes(self) -> pulumi.Input[Sequence[pulumi.Input[ProductCodeArgs]]] | None:
        """Product codes of AWS Marketplace."""
        # Pulumi reads this annotation when it serializes, and can't read one with a dict's type in it.
        value: pulumi.Input[Sequence[pulumi.Input[ProductCodeArgs]]] | None = pulumi.get(self, "product_codes")
        return value


class AssumeRoleArgsDict(TypedDict):
    """A role to assume, as a dict. Its members are those of `AssumeRoleArgs`."""

    role_arn: pulumi.Input[str]
    """The role's ARN."""

    external_id: NotRequired[pulumi.Input[str] | None]
    """What the role's trust policy may ask for."""

    session_name: NotRequired[pulumi.Input[str] | None]
    """The session's name in AWS's logs. Default: `lmconv-resource`."""

    duration: NotRequired[pulumi.Input[str] | None]
    """How long the credentials last, such as `1h`, 15 minutes to 12 hours; renewed while a wait continues."""

    policy: NotRequired[pulumi.Input[str] | None]
    """A session policy, as JSON, that narrows the role's rights."""

    policy_arns: NotRequired[pulumi.Input[Sequence[pulumi.Input[str]]] | None]
    """ARNs of managed policies that narrow the role's rights."""

    tags: NotRequired[pulumi.Input[Mapping[str, pulumi.Input[str]]] | None]
    """Tags of the session."""

    transitive_tag_keys: NotRequired[pulumi.Input[Sequence[pulumi.Input[str]]] | None]
    """The tags that stay along a chain of roles."""

    source_identity: NotRequired[pulumi.Input[str] | None]
    """Who assumes the role, for AWS's logs."""


@pulumi.input_type
class AssumeRoleArgs:
    """A role to assume before AWS is called, on top of the stack's settings. A list of these is a chain.

    The members are those of sts:AssumeRole
    (https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html).
    """

    role_arn: pulumi.Input[str]
    """The role's ARN."""

    external_id: pulumi.Input[str] | None
    """What the role's trust policy may ask for."""

    session_name: pulumi.Input[str] | None
    """The session's name in AWS's logs. Default: `lmconv-resource`."""

    duration: pulumi.Input[str] | None
    """How long the credentials last, such as `1h`, 15 minutes to 12 hours; renewed while a wait continues."""

    policy: pulumi.Input[str] | None
    """A session policy, as JSON, that narrows the role's rights."""

    policy_arns: pulumi.Input[Sequence[pulumi.Input[str]]] | None
    """ARNs of managed policies that narrow the role's rights."""

    tags: pulumi.Input[Mapping[str, pulumi.Input[str]]] | None
    """Tags of the session."""

    transitive_tag_keys: pulumi.Input[Sequence[pulumi.Input[str]]] | None
    """The tags that stay along a chain of roles."""

    source_identity: pulumi.Input[str] | None
    """Who assumes the role, for AWS's logs."""

    def __init__(
        self,
        *,
        role_arn: pulumi.Input[str],
        external_id: pulumi.Input[str] | None = None,
        session_name: pulumi.Input[str] | None = None,
        duration: pulumi.Input[str] | None = None,
        policy: pulumi.Input[str] | None = None,
        policy_arns: pulumi.Input[Sequence[pulumi.Input[str]]] | None = None,
        tags: pulumi.Input[Mapping[str, pulumi.Input[str]]] | None = None,
        transitive_tag_keys: pulumi.Input[Sequence[pulumi.Input[str]]] | None = None,
        source_identity: pulumi.Input[str] | None = None,
    ) -> None:
        """Name a role; every member is described at the attribute of its name.

        Args:
            role_arn: the role's ARN.
            external_id: what the role's trust policy may ask for.
            session_name: the session's name in AWS's logs. Default: `lmconv-resource`.
            duration: how long the credentials last, such as `1h`, 15 minutes to 12 hours.
            policy: a session policy, as JSON.
            policy_arns: ARNs of managed policies that narrow the role's rights.
            tags: tags of the session.
            transitive_tag_keys: the tags that stay along a chain of roles.
            source_identity: who assumes the role.
        """
        given = {**vars()}
        for name in type(self).__annotations__:
            if given[name] is not None:
                pulumi.set(self, name, given[name])
