"""When to poll AWS, how fast, and when to give up. Knows no boto3 and no Pulumi."""
