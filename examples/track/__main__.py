import pulumi

from lmconv_resource import LicenseConversionTask

config = pulumi.Config()

tasks = {
    task_id: LicenseConversionTask(
        task_id,
        license_conversion_task_id=task_id,
        wait_for_completion=config.get_bool("waitForCompletion"),
        ignore_failure=True,  # one that fails is shown, with a warning, and holds up none of the others
    )
    for task_id in config.require_object("taskIds")
}

pulumi.export(
    "tasks",
    {
        task_id: {
            "status": task.status,
            "message": task.status_message,
            "usage_operation": task.destination_license_context.usage_operation,
        }
        for task_id, task in tasks.items()
    },
)
pulumi.export("all_complete", pulumi.Output.all(*(task.is_complete for task in tasks.values())).apply(all))
