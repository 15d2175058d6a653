"""What to do about AWS's own words when it refuses, denies or fails something."""

import json
import re
from collections.abc import Callable

from lmconv_resource.errors import WAIT_ACTION, ConversionFailedError, Subject
from lmconv_resource.models import ConversionTask
from lmconv_resource.text import fill, to_failure_reason, to_one_line

_REMEDIES = {
    "is in an invalid state for changing license type": "Stop the instance, or set {stop_and_restart=True} to have it "
    "stopped and started again",
    "is launched from an Amazon owned AMI": "Only an instance launched from your own image can be converted to BYOL: "
    "import one with VM Import/Export and launch from it",
    "was launched from a BYOL AMI": "Check that the SSM Agent runs on the instance, that its instance profile allows "
    "AmazonSSMManagedInstanceCore and that SSM Inventory is set up",
    "Service role not found": "License Manager was never used in this account: create its role "
    "AWSServiceRoleForAWSLicenseManagerRole with `aws iam create-service-linked-role --aws-service-name "
    "license-manager.amazonaws.com`",
    "failed to stop": "Allow ec2:StopInstances and turn stop protection off, or stop the instance beforehand",
}
"""What to do about AWS's own words, by a part of them
(https://docs.aws.amazon.com/license-manager/latest/userguide/conversion-troubleshooting.html)."""


def remedy_for(reason: str) -> str:
    """Return what to do about a refusal or a failure in AWS's documented words; nothing where it is another."""
    return fill(next((remedy for words, remedy in _REMEDIES.items() if words in reason), ""))


def to_failed_error(
    task: ConversionTask, remedy: str = "Fix the cause; the next `pulumi up` starts a new conversion"
) -> ConversionFailedError:
    """Return the error of a task that ended FAILED, with AWS's reason and, where AWS documents one, its remedy."""
    known = remedy_for(task.status_message or "")
    return ConversionFailedError(
        Subject(WAIT_ACTION, task.task_id, task.region),
        f"it FAILED: {to_failure_reason(task.status_message).rstrip('.')}",
        f"{known}. {remedy}" if known else remedy,
        task=task,
    )


Decode = Callable[[str], "str | None"]
"""Returns what an encoded message of AWS's says, as JSON text; None where it may not be decoded."""

_ENCODED = re.compile(r"\.?\s*Encoded authorization failure message:\s*(\S+)")
_POLICY = re.compile(
    r"(?:explicit deny in an?|because no) (?:permissions boundary|"
    r"(service control|resource control|session|VPC endpoint|identity-based|resource-based) policy)"
)
_ACTION = re.compile(r"not authorized to perform: ([\w-]+:\w+)")
_RESOURCE = re.compile(r"on resource: (arn:[^\s,]+)")

_ORGANIZATION = "Ask the administrator of your AWS organization to allow {} in its {} policy"
_DENIAL_REMEDIES = {
    "service control": _ORGANIZATION,
    "resource control": _ORGANIZATION,
    "session": "Allow {} in the {} policy: the `policy` or `policyArns` of the role",
    "VPC endpoint": "Allow {} in the {} policy",
    "resource-based": "Allow {} in the {} policy of the resource",
    None: "Ask the IAM administrator of this account to allow {} in the permissions boundary of the credentials in use",
}
"""By the kind of policy; None for a permissions boundary. Only the organization can change the first two."""


def to_denial(reason: str, permission: str, decode: Decode) -> tuple[str, str]:
    """Return AWS's reason for a denial as a user can read it, decoded, and what to do about it.

    `permission` is the IAM action of the call, where the text names none.
    """
    known = remedy_for(reason)
    if known:
        return reason, known
    encoded, reason = _ENCODED.search(reason), _ENCODED.sub("", reason)
    if encoded and not (_ACTION.search(reason) or _POLICY.search(reason)):  # else the words say it
        decoded = decode(encoded[1])
        if decoded is None:
            return reason, (
                f"Allow {permission} in the IAM policy of the credentials in use. To read AWS's encoded reason here, "
                "allow sts:DecodeAuthorizationMessage too; or make the call with the AWS CLI and pass its message to "
                "`aws sts decode-authorization-message --encoded-message`"
            )
        reason = f"{reason}: {_to_decoded_text(decoded)}"
    action, resource, policy = (pattern.search(reason) for pattern in (_ACTION, _RESOURCE, _POLICY))
    what = action[1] if action else permission
    if resource:
        what = f"{what} on {resource[1].rstrip('.')}"
    if policy and policy[1] != "identity-based":
        return reason, _DENIAL_REMEDIES[policy[1]].format(what, policy[1])
    if "explicit deny" in reason:
        where = "IAM policy of the credentials in use" if policy else "policy that has it, IAM's or the organization's"
        return reason, f"Remove the deny of {what} from the {where}"
    return reason, f"Allow {what} in the IAM policy of the credentials in use"


def _to_decoded_text(decoded: str) -> str:
    try:
        message = json.loads(decoded)
        context = message["context"]
        who, action, resource = context["principal"]["arn"], context["action"], context["resource"]
    except (ValueError, KeyError, TypeError):
        return to_one_line(decoded)
    how = "with an explicit deny" if message.get("explicitDeny") else "because no policy allows it"
    return f"{who} is not authorized to perform: {action} on resource: {resource} {how}"
