"""The errors that the three license conversion calls answer by themselves."""

from moto.core.exceptions import ServiceException


class InvalidParameterValueException(ServiceException):
    """One or more parameter values are not valid. Also the answer for a task that is not known here."""

    code = "InvalidParameterValueException"


class ValidationException(ServiceException):
    """The input is well formed, but the resource cannot be converted as it is now. Only Create answers it."""

    code = "ValidationException"
