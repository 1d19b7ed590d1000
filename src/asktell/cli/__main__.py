"""`python -m asktell.cli` is `asktell`."""

from asktell.cli import main

main()
