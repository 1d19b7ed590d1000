"""Runs one cell; `asktell experiment run` starts this once per cell."""

import sys

from asktell.errors import AsktellError
from asktell.experiments.grid import main

if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except AsktellError as error:
        sys.exit(str(error))
