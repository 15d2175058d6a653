"""AWS: settings, clients, calls, and AWS's errors as ours. The only part that knows boto3."""
