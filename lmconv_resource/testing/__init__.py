"""Test programs that use this package: under Pulumi's mocks, and on Pulumi's engine with a timeout."""

from .automation import CommandTimeoutError, TimedPulumiCommand, make_stack
from .mocks import ProviderMocks

__all__ = ["CommandTimeoutError", "ProviderMocks", "TimedPulumiCommand", "make_stack"]
