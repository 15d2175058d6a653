"""What the log says of AWS: a line for each connection and for each call, and nothing that is secret.

A line is put together of names, addresses, numbers and ids only: never of a request, an answer or an error's text.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from botocore.utils import get_environ_proxies

from lmconv_resource.text import to_address, to_plain_text

if TYPE_CHECKING:
    from botocore.session import Session

    from lmconv_resource.aws.access.kinds import AssumedRole

log = logging.getLogger(__name__)

attempt: ContextVar[int] = ContextVar("attempt", default=1)
"""Which try of a call it is that this thread makes: set by who tries again."""

_BEGAN = "lmconv_began"
_LONGEST = 80


def log_connection(service: str, client: Any, session: Session, source: Any, roles: Sequence[AssumedRole]) -> None:
    """Log how a new client reaches its service, and what it signs with.

    Args:
        service: boto3's name of the service.
        client: the client.
        session: the session that made it.
        source: botocore's credentials, None if there are none.
        roles: the roles that are assumed with them, one after the other.
    """
    if not log.isEnabledFor(logging.DEBUG):
        return
    facts = {
        "region": client.meta.region_name,
        "endpoint": to_address(client.meta.endpoint_url),
        "profile": session.get_config_variable("profile") or "default",
        "credentials": _to_credentials_text(source, roles),
        "proxy": _find_proxy(client),
        "CA bundle": session.get_config_variable("ca_bundle") or os.environ.get("REQUESTS_CA_BUNDLE") or "botocore's",
    }
    log.debug("connected to %s: %s", service, _to_text(", ".join(f"{name} {value}" for name, value in facts.items())))


def log_calls(client: Any) -> None:
    """Log each call that the client makes from now on."""
    region = client.meta.region_name

    def begin(context: dict[str, Any], **_: Any) -> None:
        context[_BEGAN] = time.monotonic()

    def end(event_name: str, parsed: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
        metadata = parsed.get("ResponseMetadata") or {}
        code = (parsed.get("Error") or {}).get("Code")
        status = metadata.get("HTTPStatusCode")
        _log_call(event_name, region, f"{status} {code}" if code else status, context, metadata.get("RequestId"))

    def fail(event_name: str, exception: BaseException, context: dict[str, Any], **_: Any) -> None:
        # Its text may repeat the endpoint or the proxy, with a password.
        _log_call(event_name, region, type(exception).__name__, context, None)

    for event, handler in (("before-call", begin), ("after-call", end), ("after-call-error", fail)):
        client.meta.events.register(event, handler)


def _log_call(event_name: str, region: str, result: object, context: dict[str, Any], request_id: object) -> None:
    seconds = time.monotonic() - context.get(_BEGAN, time.monotonic())
    log.debug(
        "%s in %s: %s after %.2f s, try %d, request id %s",
        event_name.rpartition(".")[2],
        region,
        _to_text(str(result))[:_LONGEST],
        seconds,
        attempt.get(),
        _to_text(str(request_id or "unknown"))[:_LONGEST],
    )


def _to_credentials_text(source: Any, roles: Sequence[AssumedRole]) -> str:
    words = [f"from {source.method}" if source is not None else "not found"]
    words += [f"then {role.role_arn}" for role in roles]
    if roles:
        words.append(f"in account {roles[-1].role_arn.split(':')[4]}")
    return " ".join(words)


def _find_proxy(client: Any) -> str:
    """Return the address of the proxy that the client's calls go through."""
    url = client.meta.endpoint_url
    proxies = client.meta.config.proxies
    if proxies is None:  # botocore then asks the environment
        proxies = get_environ_proxies(url)
    proxy = proxies.get(urlsplit(url).scheme)
    return to_address(proxy) if proxy else "none"


def _to_text(text: str) -> str:
    return " ".join(to_plain_text(text).split())
