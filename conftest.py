"""What every test and doctest starts from."""

import sys
from collections.abc import Callable, Iterator

import hypothesis
import jaxtyping
import numpy
import pytest
import torch

hypothesis.settings.register_profile("gate", deadline=None, derandomize=True, max_examples=50, database=None)
hypothesis.settings.load_profile("gate")
torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def doctest_names(doctest_namespace: dict[str, object]) -> None:
    """`torch` and `np` need no import in an example."""
    doctest_namespace.update(np=numpy, torch=torch)


@pytest.fixture
def without_shape_checks() -> Iterator[None]:
    """As in production, where jaxtyping checks nothing: what a user sees who hands over a wrong shape."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str, str]]:
    """Exit code, stdout and stderr of `asktell WORDS`, run in this process."""
    from asktell.cli import main

    def run(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["asktell", *map(str, words)])
        try:
            main()
            code = 0
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 1
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run
