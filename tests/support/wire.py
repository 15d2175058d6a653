"""Made-up credentials, and the wire of one of boto3's clients."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from typing import Any

from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders

ACCESS_KEY, SECRET_KEY = "AKIATESTING000000000", "testing/secret+key/never/shown"


class _Raw(io.BytesIO):
    def stream(self) -> Iterator[bytes]:
        yield self.read()


class Wire:
    """Stands where a client's network is: notes what is sent, and answers what it is told, the last answer again.

    Args:
        client: a client of boto3's.
        answers: a status and a body each, or an error to raise; a body that is not bytes goes out as JSON.
    """

    laid: list[Wire] = []  # noqa: RUF012 -- those that are to be cut at the end of the test
    """Every wire of the test that runs."""

    def __init__(self, client: Any, *answers: tuple[int, Any] | Exception) -> None:
        self.requests: list[Any] = []
        self._answers = list(answers)
        self._client = client
        self.on_send: Callable[[], None] = lambda: None
        client.meta.events.register_first("before-send", self.answer)
        self.laid.append(self)

    def cut(self) -> None:
        """Give the client its network back."""
        self._client.meta.events.unregister("before-send", self.answer)

    def answer(self, request: Any, **_: Any) -> Any:
        """Answer a request that botocore is about to send."""
        self.requests.append(request)
        self.on_send()
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        status, body = answer
        raw = _Raw(body if isinstance(body, bytes) else json.dumps(body).encode())
        return AWSResponse(request.url, status, HTTPHeaders(), raw)
