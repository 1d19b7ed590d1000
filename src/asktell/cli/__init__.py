"""The command line: parses and prints, nothing else."""

import sys


def main() -> None:
    """Run `asktell`; what goes wrong on purpose becomes one line on stderr and exit code 1."""
    from asktell.cli.app import app
    from asktell.errors import AsktellError

    try:
        app()
    except AsktellError as error:
        print(f"asktell: {error}", file=sys.stderr)
        sys.exit(1)
