"""The errors that AWS's service model lists for the three license conversion calls."""

from moto.core.exceptions import ServiceException


class LicenseManagerException(ServiceException):
    """Base of the errors this service answers with; `code` is the name on the wire."""

    status = 400
    """HTTP status of the answer. The service model gives none for License Manager, so it stands here."""


class InvalidParameterValueException(LicenseManagerException):
    """One or more parameter values are not valid. Also the answer for a task that is not known here."""

    code = "InvalidParameterValueException"


class ValidationException(LicenseManagerException):
    """The input is well formed, but the resource cannot be converted as it is now. Only Create answers it."""

    code = "ValidationException"


class AuthorizationException(LicenseManagerException):
    """The account does not have permission to perform the action."""

    code = "AuthorizationException"


class AccessDeniedException(LicenseManagerException):
    """Access to the resource is denied."""

    code = "AccessDeniedException"


class RateLimitExceededException(LicenseManagerException):
    """Too many requests have been submitted."""

    code = "RateLimitExceededException"


class ServerInternalException(LicenseManagerException):
    """The server experienced an internal error."""

    code = "ServerInternalException"
    status = 500
