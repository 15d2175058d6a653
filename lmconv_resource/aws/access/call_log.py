"""What the log says of AWS: a line for each connection and for each call, and nothing that is secret.

A line is put together of names, addresses, numbers and ids only: never of a request, an answer or an error's text.
"""

import logging
import os
import time
from collections.abc import Sequence
from contextvars import ContextVar
from typing import Any
from urllib.parse import urlsplit

from botocore.utils import get_environ_proxies

from lmconv_resource.aws.access.files import FilesSession
from lmconv_resource.aws.access.kinds import AssumedRole
from lmconv_resource.text import to_address, to_one_line, to_plain_text

log = logging.getLogger(__name__)

attempt: ContextVar[int] = ContextVar("attempt", default=1)
"""Which try of a call it is that this thread makes: set by who tries again."""

_BEGAN = "lmconv_began"
_LONGEST = 80


def log_connection(service: str, client: Any, session: FilesSession, source: Any, roles: Sequence[AssumedRole]) -> None:
    """Log how a new client of a session reaches its service, and what it signs with: botocore's source, then roles."""
    credentials = [f"from {source.method}" if source is not None else "not found"]
    credentials += [f"then {role.role_arn}" for role in roles]
    credentials += [f"in account {role.role_arn.split(':')[4]}" for role in roles[-1:]]
    url, proxies = client.meta.endpoint_url, client.meta.config.proxies
    # Without some of its own, botocore asks the environment.
    proxy = (get_environ_proxies(url) if proxies is None else proxies).get(urlsplit(url).scheme)
    facts = {
        "region": client.meta.region_name,
        "endpoint": to_address(url),
        "profile": session.profile_in_use,
        "credentials": " ".join(credentials),
        "proxy": to_address(proxy) if proxy else "none",
        "CA bundle": session.get_config_variable("ca_bundle") or os.environ.get("REQUESTS_CA_BUNDLE") or "botocore's",
    }
    log.debug("connected to %s: %s", service, _to_text(", ".join(f"{name} {value}" for name, value in facts.items())))


def log_calls(client: Any) -> None:
    """Log each call that the client makes from now on."""
    region = client.meta.region_name

    def begin(context: dict[str, Any], **_: Any) -> None:
        context[_BEGAN] = time.monotonic()

    def end(event_name: str, context: dict[str, Any], parsed: Any = None, exception: Any = None, **_: Any) -> None:
        answer = parsed or {}
        metadata = answer.get("ResponseMetadata") or {}
        # No more than the name of what was raised: its text may repeat the endpoint or the proxy, with a password.
        raised = type(exception).__name__ if exception else None
        told = (metadata.get("HTTPStatusCode"), (answer.get("Error") or {}).get("Code"), raised)
        log.debug(
            "%s in %s: %s after %.2f s, try %d, request id %s",
            event_name.rpartition(".")[2],
            region,
            _to_text(" ".join(str(each) for each in told if each))[:_LONGEST],
            time.monotonic() - context.get(_BEGAN, time.monotonic()),
            attempt.get(),
            _to_text(str(metadata.get("RequestId") or "unknown"))[:_LONGEST],
        )

    for event, handler in (("before-call", begin), ("after-call", end), ("after-call-error", end)):
        client.meta.events.register(event, handler)


def _to_text(text: str) -> str:
    return to_one_line(to_plain_text(text))
