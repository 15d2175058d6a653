import * as lmconv from "@pulumi/lmconv";
import * as pulumi from "@pulumi/pulumi";

const config = new pulumi.Config();

const conversion = new lmconv.LicenseConversion(
    "conversion",
    {
        resourceArn: config.require("instanceArn"),
        sourceLicenseContext: { usageOperation: config.require("source") },
        destinationLicenseContext: { usageOperation: config.require("destination") },
    },
    { customTimeouts: { create: "3h" } },
);

export const taskId = conversion.licenseConversionTaskId;
export const status = conversion.status;
export const licensedAs = conversion.destinationLicenseContext.apply((context) => context?.usageOperation);
