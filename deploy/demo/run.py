#!/usr/bin/env python3
"""Runs the demo in the foreground until Ctrl-C, or checks it by itself (--check). Called by scripts/demo."""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from processes import free_port, listens
from provider import USERS
from stack import Stack

DEFAULT_PORT = 8080


def interrupt(*_) -> None:
    raise KeyboardInterrupt


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/demo", description=__doc__)
    parser.add_argument("--check", action="store_true", help="walk through the demo with a scripted browser, then exit 0 or 1")
    parser.add_argument("--port", type=int, help=f"port of the proxy (default {DEFAULT_PORT}, or a free one if that is taken)")
    parser.add_argument("--token-life", type=int, default=1800, metavar="SECONDS", help="life of the access tokens (default 1800)")
    parser.add_argument("--binary", type=Path, required=True, help=argparse.SUPPRESS)
    options = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupt)

    port = options.port
    if port is None:
        port = free_port() if options.check or listens(DEFAULT_PORT) else DEFAULT_PORT
    elif listens(port):
        print(f"port {port} is taken: stop what listens there or choose another one with --port", file=sys.stderr)
        return 1

    directory = Path(tempfile.mkdtemp(prefix="coatcheck-demo-"))
    stack = Stack(directory, port, options.token_life, options.binary, tell=lambda line: print(f"    {line}", flush=True))
    try:
        stack.start()
        return check(stack) if options.check else stay(stack)
    except KeyboardInterrupt:
        return 0 if not options.check else 1
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        # A second Ctrl-C must not cut the tidying short.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        stack.stop()
        shutil.rmtree(directory, ignore_errors=True)
        if not options.check:
            print("\nEverything is stopped.", flush=True)


def stay(stack: Stack) -> int:
    width = max(len(user.full_name) for user in USERS.values())
    print(f"""
Open  {stack.proxy.url}/  and sign in as one of

{chr(10).join(f'    {user.full_name:{width}}   name {user.name:8} password {user.password}' for user in USERS.values())}

At the provider tick what you allow, then "Grant access" and "Continue". Open a second browser profile to be both users at once.
The tools read_files and send_mail need permissions that signing in did not ask for. Logs: {stack.directory}
Ctrl-C ends all of it.
""", flush=True)
    while True:
        for service in stack.services():
            if not service.running:
                print(f"{service.name} ended unexpectedly:\n{service.tail()}", file=sys.stderr)
                return 1
        time.sleep(0.5)


def check(stack: Stack) -> int:
    from playwright.sync_api import Error

    from check import walk
    try:
        walk(stack, tell=lambda line: print(f"    ok  {line}", flush=True))
    except (AssertionError, TimeoutError, Error) as error:
        print(f"    FAILED  {error}\n\nlast lines of the proxy's log:\n{stack.proxy.service.tail()}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
