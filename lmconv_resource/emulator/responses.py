"""Unpacks requests, hands them to the backend and packs its answers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from moto.core.responses import ActionResult, BaseResponse

from .effects import Answer, Effect
from .exceptions import InvalidParameterValueException, LicenseManagerException
from .models import LicenseManagerBackend, licensemanager_backends
from .validation import check_request

if TYPE_CHECKING:
    from moto.core.common_types import TYPE_RESPONSE


class LicenseManagerResponse(BaseResponse):
    """One call of the License Manager API, from its HTTP request to its answer."""

    # moto would take a body that is not UTF-8 for a bug of its own, and an "Action=..." in it for the operation.
    use_raw_body = True

    def __init__(self) -> None:
        super().__init__(service_name="license-manager")
        self._effects: tuple[Effect, ...] = ()

    @property
    def backend(self) -> LicenseManagerBackend:
        """The backend of the account and region that the request is signed for."""
        return licensemanager_backends[self.current_account][self.region]

    def get_license_conversion_task(self) -> ActionResult:
        """Answer GetLicenseConversionTask."""
        request = self._unpack()
        return ActionResult(self.backend.get_license_conversion_task(request["LicenseConversionTaskId"]))

    def list_license_conversion_tasks(self) -> ActionResult:
        """Answer ListLicenseConversionTasks."""
        request = self._unpack()
        tasks, next_token = self.backend.list_license_conversion_tasks(
            filters=request.get("Filters", []),
            next_token=request.get("NextToken"),
            max_results=request.get("MaxResults"),
        )
        return ActionResult({"LicenseConversionTasks": tasks, "NextToken": next_token})

    def create_license_conversion_task_for_resource(self) -> ActionResult:
        """Answer CreateLicenseConversionTaskForResource."""
        request = self._unpack()
        task = self.backend.create_license_conversion_task_for_resource(
            resource_arn=request["ResourceArn"],
            source=request["SourceLicenseContext"],
            destination=request["DestinationLicenseContext"],
        )
        return ActionResult({"LicenseConversionTaskId": task.task_id})

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
        if not isinstance(error, LicenseManagerException):
            return super().serialized(action_result)
        # moto takes codes and statuses from the service model, which has no statuses here and not every code.
        headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amzn-Errortype": error.code}
        body = json.dumps({"__type": error.code, "Message": error.message})
        return error.status, {**headers, **self.response_headers}, body

    def _unpack(self) -> dict[str, Any]:
        """Let the backend admit the call, then return the request's members, checked against AWS's model."""
        operation = self._get_action()
        self._effects = self.backend.admit(operation)
        for effect in self._effects:
            effect.before(self.backend.faults.sleep)
        try:
            request = json.loads(self.body or b"{}")
        except ValueError as error:
            raise InvalidParameterValueException(f"The request is not JSON: {error}") from error
        return check_request(operation, request)
