from collections import Counter

import pulumi

from lmconv_resource import get_license_conversion_tasks

# Nothing is declared, so nothing is stored but the outputs: each `pulumi up` asks AWS anew.
tasks = get_license_conversion_tasks(statuses=pulumi.Config().get_object("statuses") or None)

pulumi.export(
    "conversions",
    [
        {
            "task": task.license_conversion_task_id,
            "resource": task.resource_arn,
            "from": task.source_license_context and task.source_license_context.usage_operation,
            "to": task.destination_license_context and task.destination_license_context.usage_operation,
            "status": task.status,
            "message": task.status_message,
            "started": task.start_time,
            "seconds": task.duration_seconds,
        }
        for task in tasks
    ],
)
pulumi.export("by_status", dict(Counter(task.status or "UNKNOWN" for task in tasks)))
