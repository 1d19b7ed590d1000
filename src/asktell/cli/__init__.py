"""The command line: parses and prints, nothing else."""

import gc
import sys


def main() -> None:
    """Run `asktell`; what goes wrong on purpose becomes one line on stderr and exit code 1."""
    gc.disable()  # importing leaves no garbage: a tenth of the start-up less
    from asktell.cli.app import app
    from asktell.errors import AsktellError

    gc.enable()
    try:
        app()
    except AsktellError as error:
        print(f"asktell: {error}", file=sys.stderr)
        sys.exit(1)
