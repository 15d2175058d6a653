"""What tests need beside moto's service: calls are counted, and go wrong as a test says."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from moto.core.exceptions import ServiceException

from .effects import Answer, Effect
from .responses import LicenseManagerResponse

if TYPE_CHECKING:
    from moto.core.common_types import TYPE_RESPONSE
    from moto.core.responses import ActionResult


class LaboratoryResponse(LicenseManagerResponse):
    """A call that may go wrong."""

    def __init__(self) -> None:
        super().__init__()
        self._effects: tuple[Effect, ...] = ()

    def call_action(self) -> TYPE_RESPONSE:
        """Return the status, headers and body of the call's answer, after what goes wrong with it."""
        status, headers, body = super().call_action()
        # Werkzeug's server puts it there; inside mock_aws there is no connection.
        connection = self.normalized_request.environ.get("werkzeug.socket")
        answer = Answer(self._get_action(), self.uri, connection, status, headers, body)
        for effect in self._effects:
            answer = effect.change(answer)
        return answer.status, answer.headers, answer.body

    def serialized(self, action_result: ActionResult) -> TYPE_RESPONSE:
        """Return the status, headers and body of an answer."""
        error = action_result.result
        if not isinstance(error, ServiceException):
            return super().serialized(action_result)
        # moto takes codes and statuses from the service model, which has no statuses here and not every code.
        headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amzn-Errortype": error.code}
        body = json.dumps({"__type": error.code, "Message": error.message})
        return getattr(error, "status", 400), {**headers, **self.response_headers}, body

    def _unpack(self) -> dict[str, Any]:
        self._effects = self.backend.faults.decide(self._get_action())
        for effect in self._effects:
            effect.before(self.backend.faults.sleep)
        return super()._unpack()
