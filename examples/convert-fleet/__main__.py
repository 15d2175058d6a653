import pulumi

from lmconv_resource import ConversionFleet, read_instances

config = pulumi.Config()

fleet = ConversionFleet(
    "fleet",
    instances=read_instances(config.require("table")),
    canaries=config.require_int("canaries"),
    max_concurrent=20,
    stop_after_failures=3,
    begin_within="4h",
    stop_and_restart=True,
    force_stop_after="8m",
)

pulumi.export("readme", fleet.report)
for name in ("succeeded", "failed", "not_begun"):
    pulumi.export(name, getattr(fleet, name).apply(len))
