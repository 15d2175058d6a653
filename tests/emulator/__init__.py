"""The emulator, through boto3 and on the wire."""
