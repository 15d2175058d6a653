"""Serve the emulator until it is told to end: `python -m lmconv_resource.emulator --port 0 --scenario FILE`."""

import argparse
import signal
import sys
import threading

from . import ScenarioError, serve


def main() -> int:
    """Print the endpoint as the one line on stdout, serve until SIGINT or SIGTERM, and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m lmconv_resource.emulator",
        description="An AWS License Manager for tests and demos. Prints its endpoint, and serves until interrupted.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: %(default)s)")
    parser.add_argument("--port", default=0, type=int, help="the port to listen on (default: one that is free)")
    parser.add_argument("--scenario", metavar="FILE", help="a JSON file with the tasks and faults to begin with")
    arguments = parser.parse_args()

    end = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: end.set())
    try:
        with serve(arguments.scenario, arguments.host, arguments.port) as emulator:
            print(emulator.endpoint, flush=True)
            # moto prints a hint when it meets a host name it does not know, and stdout is for programs to read.
            sys.stdout = sys.stderr
            end.wait()
    except ScenarioError as error:
        print(error, file=sys.stderr)
        return 2
    except (OSError, OverflowError) as error:
        print(f"cannot listen on {arguments.host}:{arguments.port}: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
