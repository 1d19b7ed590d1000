"""Arrays that are read a few rows at a time: tensors, numpy arrays, files, or anything with len, slices and take.

Arithmetic runs in fixed tiles whose size depends on a row's shape alone; the memory budget only says how many
tiles are read at once. So no result depends on the budget.
"""

from asktell.rows.budget import Plan, plan, tile_rows
from asktell.rows.files import FileRows, file_rows
from asktell.rows.reading import Reading, per_tile, score
from asktell.rows.sources import ArrayRows, Inputs, Rows, TensorRows, as_rows

__all__ = [
    "ArrayRows",
    "FileRows",
    "Inputs",
    "Plan",
    "Reading",
    "Rows",
    "TensorRows",
    "as_rows",
    "file_rows",
    "per_tile",
    "plan",
    "score",
    "tile_rows",
]
