"""The command line: parses and prints, nothing else."""

import gc
import sys

_GARBAGE = 100_000  # objects until the collector looks: imports leave none, and a short command takes a fifth less time


def main() -> None:
    """Run `asktell`; what goes wrong on purpose becomes one line on stderr and exit code 1."""
    gc.set_threshold(_GARBAGE)
    from asktell.cli.app import app
    from asktell.errors import AsktellError

    try:
        app()
    except AsktellError as error:
        print(f"asktell: {error}", file=sys.stderr)
        sys.exit(1)
