"""Unpack requests, hand them to the backend and pack its answers."""

from __future__ import annotations

import json
from typing import Any

from moto.core.responses import ActionResult, BaseResponse

from .exceptions import InvalidParameterValueException
from .models import LicenseManagerBackend, licensemanager_backends
from .validation import check_request


class LicenseManagerResponse(BaseResponse):
    """One call of the License Manager API, from its HTTP request to its answer."""

    # moto would take a body that is not UTF-8 for a bug of its own, and an "Action=..." in it for the operation.
    use_raw_body = True

    def __init__(self) -> None:
        super().__init__(service_name="license-manager")

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

    def _unpack(self) -> dict[str, Any]:
        """Return the request's members, checked against AWS's model."""
        try:
            request = json.loads(self.body or b"{}")
        except ValueError as error:
            raise InvalidParameterValueException(f"The request is not JSON: {error}") from error
        return check_request(self._get_action(), request)
