"""What no spreadsheet takes for a formula."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asktell.spreadsheets import safe_cell

DANGER = "=+-@\t\r\n＝＋－＠"


@pytest.mark.parametrize(
    "cell",
    ["=1+1", "+1+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", " =1", "＝1+1", "=cmd|' /C c'!A0", "-x", "+"],
)
def test_formulas_become_text(cell: str) -> None:
    assert safe_cell(cell) == "'" + cell


@pytest.mark.parametrize("cell", ["owl", "1", "-1", "+1.5", "-2e-7", "a=b", "", "'quoted", "5 - 3", "é"])
def test_what_is_none_stays_as_it_is(cell: str) -> None:
    assert safe_cell(cell) == cell


@given(st.text(max_size=20))
def test_nothing_that_is_written_starts_a_formula(cell: str) -> None:
    written = safe_cell(cell)
    assert written in (cell, "'" + cell)
    try:
        float(written)
    except ValueError:
        assert written.lstrip()[:1] not in set(DANGER)
        assert written[:1] not in set(DANGER)


@given(st.floats(allow_nan=False) | st.integers())
def test_numbers_stay_numbers(number: float) -> None:
    assert type(number)(safe_cell(number)) == number


def test_nothing_is_an_empty_cell() -> None:
    assert safe_cell(None) == ""
