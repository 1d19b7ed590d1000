"""Ids from a file of any kind: text and tables by the standard library, arrays through numpy when one is given."""

from pathlib import Path

from asktell.errors import ProjectError
from asktell.project import files


def read_ids(path: Path, column: str | None) -> list[str]:
    """Ids, one a line; or a column (`id` unless named) of .csv, .tsv, .jsonl, .parquet; or an array (`ids`) of .npz.

    Raises `ProjectError`, or `EvidenceError` for a file of arrays, if it cannot be read or does not hold them.
    """
    if path.suffix.lower() not in (".npz", ".parquet"):
        return files.read_ids(path, column=column)
    from asktell.cli.arrays import open_arrays

    return open_arrays(path).ids(column)


def read_classes(names: str | None, path: Path | None) -> list[str]:
    """Class names, separated by commas or one a line of a file. Raises `ProjectError` if the file cannot be read."""
    if path is not None:
        return [line.strip() for line in files.read_lines(path) if line.strip()]
    found = [name.strip() for name in (names or "").split(",")]
    if "" in found:
        raise ProjectError(f"an empty class name in {names!r}; names with commas go in a file, one a line")
    return found
