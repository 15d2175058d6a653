"""What a refresh and a destroy call AWS with: Pulumi hands both hosts the settings of the last `pulumi up`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from lmconv_resource.errors import CredentialsError, SettingsError
from lmconv_resource.lifecycle.operation import Properties

_LAST_SETTINGS = (
    "A refresh and a destroy use the settings of the last `pulumi up`: run `pulumi refresh --run-program` to use the "
    "present ones"
)
_OWN_ACCESS = ", and `pulumi up` after a change of the resource's profile or assume_role"


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
            error.remedy += f". {_LAST_SETTINGS}{_OWN_ACCESS if own else ''}"
        raise
