"""Pulumi's mocks, with this package's own providers behind them."""

from __future__ import annotations

import base64
import pickle
from collections.abc import Mapping
from typing import Any

import pulumi.runtime
from pulumi.runtime import rpc

from lmconv_resource.errors import LicenseConversionError
from lmconv_resource.hosts.dynamic.provider import DynamicProvider
from lmconv_resource.hosts.engine import InitFailedError
from lmconv_resource.hosts.session import Session
from lmconv_resource.lifecycle.track import FUNCTIONS
from lmconv_resource.polling.policy import PollingPolicy

TEST_POLICY = PollingPolicy(
    least_lateness_seconds=0.5,
    shortest_interval_seconds=0.1,
    hidden_seconds=1.0,
    given_id_seconds=1.0,
    first_answer_seconds=1.0,
    fastest_gap_seconds=0.01,
)
"""What is fast on one machine: the end of a task is noticed within half a second, a wrong id is an error after one."""


class ProviderMocks(pulumi.runtime.Mocks):
    """Mocks for `pulumi.runtime.set_mocks` that run this package's providers: their checks, starts, waits and look-ups.

    They call AWS as the environment and the program's configuration say, and so an emulator: inside moto's `mock_aws`,
    or with the fixture `license_manager`. In a preview they check the inputs only. Resources of other packages have
    their inputs as outputs, and functions of other packages return their arguments; override `new_resource` and `call`
    for others, and call these for what is not yours.

    Args:
        policy: how often AWS is polled and how patient a wait is.
    """

    def __init__(self, policy: PollingPolicy = TEST_POLICY) -> None:
        self._session = Session(pulumi.runtime.get_config, policy=policy, follows_environment=True)

    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        """Create the resource by its provider, or read it where the program gives its id.

        Raises:
            LicenseConversionError: What a user of `pulumi up` would read.
            ValueError: The provider refuses the inputs.
        """
        inputs: dict[str, Any] = _to_plain(args.inputs)
        provider = _to_provider(inputs)
        if provider is None:
            return args.resource_id or f"{args.name}_id", args.inputs
        provider.session = self._session
        if args.resource_id:
            return args.resource_id, dict(provider.read(args.resource_id, inputs).outs or {})
        checked = provider.check({}, inputs)
        if checked.failures:
            reasons = "; ".join(f"{each.property}: {each.reason}" for each in checked.failures)
            raise ValueError(f"{args.typ} {args.name!r}: {reasons}")
        if pulumi.runtime.is_dry_run():
            return None, checked.inputs
        try:
            created = provider.create(checked.inputs)
        except InitFailedError as error:  # mocks keep no record
            raise (error.__cause__ or error) from None
        return created.id, dict(created.outs or {})

    def call(self, args: pulumi.runtime.MockCallArgs) -> tuple[dict[str, Any], list[tuple[str, str]]]:
        """Look tasks up as the function does that the program calls.

        Raises:
            pulumi.RunError: The look-up failed.
        """
        given = _to_plain(args.args)
        look_up = FUNCTIONS.get(args.token)
        if look_up is None:
            return given, []
        try:
            with self._session.operation(None) as op:
                return look_up(op, given), []
        except LicenseConversionError as error:
            raise pulumi.RunError(str(error)) from error


def _to_provider(inputs: Mapping[str, Any]) -> DynamicProvider | None:
    """Return the provider that a dynamic resource of this package carries among its inputs."""
    pickled = inputs.get("__provider")
    if not isinstance(pickled, str):
        return None
    provider = pickle.loads(base64.b64decode(pickled))  # noqa: S301 -- the test's own program has made it
    return provider if isinstance(provider, DynamicProvider) else None


def _to_plain(value: Any) -> Any:
    if rpc.is_rpc_secret(value):
        return _to_plain(rpc.unwrap_rpc_secret(value))
    if isinstance(value, Mapping):
        return {key: _to_plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_to_plain(each) for each in value]
    return value
