"""The schema's long texts: Markdown, with examples in the form that Pulumi's registry and its SDKs show."""

from __future__ import annotations

PACKAGE = """\
Follows AWS License Manager's license type conversions to their end, so that the rest of a stack can wait for them; \
finds them, and starts them once."""

PROVIDER = """\
How AWS is reached. Each setting is one of pulumi-aws's, under the same name; what is not set here is taken from the \
environment and AWS's shared configuration. The stack's `aws:` settings are not visible to this package: use \
`lmconv:`."""

_CREATES_NOTHING = """\
Declaring one starts nothing in AWS and destroying one undoes nothing there: AWS has no call that cancels or undoes a \
conversion. Its id is the task's id."""

_STARTS_ONCE = """\
AWS's call to start a conversion has no client token. What keeps one from being started twice is this rule:

| the resource's newest task | then |
|---|---|
| IN_PROGRESS with the same contexts | adopt it |
| SUCCEEDED with the same contexts | adopt it: the work is done |
| IN_PROGRESS with other contexts | an error that names that task |
| SUCCEEDED with other contexts | start |
| FAILED, with any contexts | start, after saying why it failed |
| there is none | start |

A conversion that was started is in the state, whatever ends the wait for it; the next update goes on with it, or \
starts a new one in place of a FAILED one. Destroying one undoes nothing: AWS has no such call. Declare one with the \
contexts exchanged to convert back. How long to wait is a matter of `customTimeouts`; by default 12 hours."""

_TASK_EXAMPLE = """\
```yaml
resources:
  task:
    type: lmconv:LicenseConversionTask
    properties:
      licenseConversionTaskId: lct-0123456789abcdef0
      waitForCompletion: true
outputs:
  status: ${task.status}
```

```typescript
import * as lmconv from "@pulumi/lmconv";

const task = new lmconv.LicenseConversionTask("task", {
    licenseConversionTaskId: "lct-0123456789abcdef0",
    waitForCompletion: true,
});
export const status = task.status;
```

```python
import pulumi
import pulumi_lmconv as lmconv

task = lmconv.LicenseConversionTask(
    "task", license_conversion_task_id="lct-0123456789abcdef0", wait_for_completion=True
)
pulumi.export("status", task.status)
```"""

_CONVERSION_EXAMPLE = """\
```yaml
resources:
  conversion:
    type: lmconv:LicenseConversion
    properties:
      resourceArn: arn:aws:ec2:eu-west-1:123456789012:instance/i-0123456789abcdef0
      sourceLicenseContext: {usageOperation: "RunInstances:0800"}
      destinationLicenseContext: {usageOperation: "RunInstances:0002"}
outputs:
  status: ${conversion.status}
```

```typescript
import * as lmconv from "@pulumi/lmconv";

const conversion = new lmconv.LicenseConversion("conversion", {
    resourceArn: "arn:aws:ec2:eu-west-1:123456789012:instance/i-0123456789abcdef0",
    sourceLicenseContext: { usageOperation: "RunInstances:0800" },
    destinationLicenseContext: { usageOperation: "RunInstances:0002" },
});
export const status = conversion.status;
```

```python
import pulumi
import pulumi_lmconv as lmconv

conversion = lmconv.LicenseConversion(
    "conversion",
    resource_arn="arn:aws:ec2:eu-west-1:123456789012:instance/i-0123456789abcdef0",
    source_license_context={"usage_operation": "RunInstances:0800"},
    destination_license_context={"usage_operation": "RunInstances:0002"},
)
pulumi.export("status", conversion.status)
```"""


def _with_example(text: str, title: str, example: str, imported: str) -> str:
    return f"""\
{text}

{{{{% examples %}}}}
## Example Usage
{{{{% example %}}}}
### {title}

{example}
{{{{% /example %}}}}
{{{{% /examples %}}}}

## Import

By the task's id, or by the ARN of what is converted for its newest task:

```sh
$ pulumi import {imported} lct-0123456789abcdef0
```
"""


TASK = _with_example(
    f"Tracks a license conversion task of AWS License Manager, and waits for its end if asked.\n\n{_CREATES_NOTHING}",
    "Wait for a conversion",
    _TASK_EXAMPLE,
    "lmconv:index:LicenseConversionTask task",
)

CONVERSION = _with_example(
    f"Starts a license conversion in AWS License Manager, once, and tracks its task.\n\n{_STARTS_ONCE}",
    "Convert an instance to Windows with the license included",
    _CONVERSION_EXAMPLE,
    "lmconv:index:LicenseConversion conversion",
)
