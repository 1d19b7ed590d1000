"""`asktell report`: one page about a labelling project."""

from pathlib import Path

import typer

from asktell.cli.project import print_json
from asktell.cli.words import command
from asktell.errors import ProjectError


def report(folder: Path, out: Path | None, as_json: bool) -> None:
    """Write the report and say where it is."""
    path = folder / "report.html" if out is None else out
    try:
        from asktell.web.report import write_report
    except ModuleNotFoundError as error:
        raise ProjectError(
            f"a report needs {error.name}, which is not installed: pip install 'asktell[serve]'"
        ) from None
    write_report(folder, path, command=command())
    print_json({"file": str(path)}) if as_json else typer.echo(f"wrote {path}")
