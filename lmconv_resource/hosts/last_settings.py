"""What a refresh and a destroy call AWS with: Pulumi hands both hosts the settings of the last `pulumi up`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from lmconv_resource.errors import CredentialsError, SettingsError
from lmconv_resource.lifecycle.operation import Properties

_LAST_SETTINGS = (
    "A refresh and a destroy use the settings of the last `pulumi up`: `pulumi refresh --run-program` takes those of "
    "now"
)
_OWN_WAY = ", and `pulumi up` another profile or assume_role of the resource"


@contextmanager
def named_in_errors(record: Properties | None) -> Iterator[None]:
    """Let an error about settings or credentials say whose they are, where something recorded is read again.

    Args:
        record: what is recorded, with the resource's own profile and role if it has them; None where nothing is.
    """
    try:
        yield
    except (SettingsError, CredentialsError) as error:
        if record is not None:
            own = any(record.get(name) for name in ("profile", "assume_role"))
            error.remedy += f". {_LAST_SETTINGS}{_OWN_WAY if own else ''}"
        raise
