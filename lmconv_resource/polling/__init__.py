"""When to check again, how, and when to give up. Knows neither boto3 nor Pulumi."""
