"""Serve the emulator until it is told to end: `python -m lmconv_resource.emulator --instances 12 --fail 2`."""

import argparse
import os
import signal
import sys
import threading

from lmconv_resource.models import InstanceArn

from . import make_world, serve
from .world import WorldInstance


def main() -> int:
    """Print the endpoint as the one line on stdout, serve until SIGINT or SIGTERM, and return the exit code.

    What a person needs to know is printed to stderr.
    """
    parser = argparse.ArgumentParser(
        prog="python -m lmconv_resource.emulator",
        description="An AWS with a License Manager and a few instances to try programs on. Prints its endpoint, and "
        "serves until interrupted.",
    )
    parser.add_argument(
        "arns",
        nargs="*",
        metavar="ARN",
        help="an instance that a program names: it is made with this id, in the ARN's region and account",
    )
    parser.add_argument("--instances", type=int, metavar="N", help="how many instances (default: the ARNs, or 6)")
    parser.add_argument("--fail", type=int, metavar="N", help="how many conversions fail (default: 1, or 0 with ARNs)")
    parser.add_argument("--seconds", default=10.0, type=float, help="what a conversion takes (default: %(default)g)")
    parser.add_argument("--region", help="where the instances are (default: the ARNs' region, or us-east-1)")
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: %(default)s)")
    parser.add_argument("--port", default=0, type=int, help="the port to listen on (default: one that is free)")
    arguments = parser.parse_args()
    arns = [arn for text in arguments.arns if (arn := InstanceArn.parse(text))]
    ids = [arn.instance_id for arn in arns]
    region = arguments.region or (arns[0].region if arns else "us-east-1")
    if len(ids) < len(arguments.arns) or any((arn.region, arn.account) != (region, arns[0].account) for arn in arns):
        parser.error("ARN: each is the ARN of an instance, all in one account and in the region")
    if arns:
        os.environ["MOTO_ACCOUNT_ID"] = arns[0].account

    end = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: end.set())
    try:
        with serve(arguments.host, arguments.port) as emulator:
            # moto prints a hint when it meets a host name it does not know, and stdout is for programs to read.
            sys.stdout = sys.stderr
            emulator.backend(region).conversion_seconds = arguments.seconds
            instances = max(arguments.instances or len(ids) or 6, len(ids))
            failing = int(not ids) if arguments.fail is None else arguments.fail
            world = make_world(emulator, region, instances, failing, ids)
            print(emulator.endpoint, file=sys.__stdout__, flush=True)
            _introduce(world, emulator.endpoint, region)
            end.wait()
    except (OSError, OverflowError) as error:
        print(f"cannot listen on {arguments.host}:{arguments.port}: {error}", file=sys.stderr)
        return 2
    return 0


def _introduce(world: list[WorldInstance], endpoint: str, region: str) -> None:
    """Print what is in the world and how to get there."""
    failing = sum(each.fails for each in world)
    print(f"{len(world)} Windows BYOL instances (RunInstances:0800), {failing} of which can't be converted:")
    for each in world:
        print(f"  {each.arn}  {each.name}  {each.state}{'  fails' if each.fails else ''}")
    print("\nFor programs and the AWS CLI in another terminal:\n")
    print(f"export AWS_ENDPOINT_URL={endpoint} AWS_REGION={region}")
    print("export AWS_ACCESS_KEY_ID=emulator AWS_SECRET_ACCESS_KEY=emulator", flush=True)


if __name__ == "__main__":
    sys.exit(main())
