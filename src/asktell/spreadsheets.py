"""Tables that no spreadsheet runs: text that it would take for a formula is made to stay text."""

import re
from typing import Final

_NUMBER: Final = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?")
_STARTS: Final = "=+-@\t\r\n＝＋－＠"


def safe_cell(cell: object) -> str:
    """A cell that spreadsheets take for text: a quote before what they would take for a formula. Numbers stay.

    >>> safe_cell("=1+1"), safe_cell("-4.5"), safe_cell(-4.5), safe_cell("owl"), safe_cell(None)
    ("'=1+1", '-4.5', '-4.5', 'owl', '')
    """
    text = "" if cell is None else str(cell)
    if isinstance(cell, int | float):
        return text
    if text and (text[0] in _STARTS or text.lstrip()[:1] in _STARTS) and not _NUMBER.fullmatch(text):
        return "'" + text
    return text
