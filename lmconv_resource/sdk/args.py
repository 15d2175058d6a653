"""The nested inputs, typed."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi


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


@pulumi.input_type
class LicenseContextArgs:
    """What a resource is licensed as, before or after a conversion."""

    def __init__(
        self,
        *,
        usage_operation: pulumi.Input[str] | None = None,
        product_codes: pulumi.Input[Sequence[pulumi.Input[ProductCodeArgs]]] | None = None,
    ) -> None:
        """Name a license context.

        Args:
            usage_operation: what EC2 bills the instance as, such as `UsageOperation.WINDOWS_BYOL` or any code of AWS's.
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
        value: pulumi.Input[Sequence[pulumi.Input[ProductCodeArgs]]] | None = pulumi.get(self, "product_codes")
        return value
