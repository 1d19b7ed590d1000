"""Randomness: derived, counter-based, and without a trace in the global state."""

import subprocess
import sys

import pytest
import torch

from asktell.randomness import counter, derive, seeded, take_key


def test_every_name_matters_and_so_does_its_type() -> None:
    streams = [
        derive(0),
        derive(1),
        derive(0, 1),
        derive(0, "1"),
        derive(0, "a", "b"),
        derive(0, "ab"),
        derive(0, "a/b"),
    ]
    first = {torch.randint(2**62, (1,), generator=stream).item() for stream in streams}
    assert len(first) == len(streams)


def test_another_process_derives_the_same() -> None:
    code = "import torch; from asktell.randomness import counter, derive; "
    code += "print(torch.rand(1, generator=derive(5, 'x')).item(), counter(5, 'x', 2).random())"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert float(printed[0]) == torch.rand(1, generator=derive(5, "x")).item()
    assert float(printed[1]) == counter(5, "x", 2).random()


def test_a_counter_position_depends_on_no_other() -> None:
    alone = counter(3, "layer", 7).random(5)
    for draw in range(7):
        counter(3, "layer", draw).random(100)
    assert (counter(3, "layer", 7).random(5) == alone).all()


def test_a_key_moves_the_generator_by_one_draw() -> None:
    one, two = derive(0), derive(0)
    take_key(one)
    torch.randint(2**63 - 1, (), generator=two)
    assert torch.equal(one.get_state(), two.get_state())


def test_seeded_leaves_the_global_state_as_it_was() -> None:
    before = torch.random.get_rng_state()
    with seeded(derive(1)):
        inside = torch.rand(3)
    with seeded(derive(1)):
        assert torch.equal(torch.rand(3), inside)
    with pytest.raises(ZeroDivisionError), seeded(derive(2)):
        raise ZeroDivisionError
    assert torch.equal(torch.random.get_rng_state(), before)
