"""What carries the lifecycle's decisions between Pulumi and AWS."""
