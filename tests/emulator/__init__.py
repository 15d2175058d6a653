"""The emulator, through boto3 and on the wire."""

ACCOUNT, REGION = "123456789012", "us-east-1"
ARN = f"arn:aws:ec2:{REGION}:{ACCOUNT}:instance/i-0123456789abcdef0"
NOON = 1_750_000_000.0


class Clock:
    """A clock that stands still until it is told otherwise."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> float:
        """Return the seconds since the epoch."""
        return self.now
