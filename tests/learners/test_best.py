"""The best of several learners, by validation."""

from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor, nn

from asktell.errors import ModelError, ProtocolError
from asktell.learners import BestOnValidation, Learner, Round, SingleNetwork
from asktell.posteriors import MCDropout, model_id
from asktell.randomness import derive
from asktell.rows import as_rows
from asktell.training import Training, two_moons_mlp

X = torch.linspace(-1, 1, 40).unsqueeze(1).repeat(1, 2)
Y = (X[:, 0] > 0).long()
LABELLED = Round(0, ("low", "high"), as_rows(X), Y, validation=(as_rows(X), Y))


def single(epochs: int) -> SingleNetwork:
    return SingleNetwork(two_moons_mlp, Training(epochs=epochs, lr=1e-2))


def test_it_gives_the_posterior_that_fits_the_validation_set_best() -> None:
    chosen = BestOnValidation((single(1), single(100), single(2))).fit(LABELLED, generator=derive(0))
    alone = BestOnValidation((single(100),)).fit(LABELLED, generator=derive(0))
    assert model_id(chosen) == model_id(alone)


def test_the_validation_labels_decide_and_not_the_training_labels() -> None:
    turned = replace(LABELLED, validation=(as_rows(X), 1 - Y))
    chosen = BestOnValidation((single(1), single(100))).fit(turned, generator=derive(0))
    assert model_id(chosen) == model_id(BestOnValidation((single(1),)).fit(turned, generator=derive(0)))


def test_of_equals_the_first_is_given_and_one_key_is_taken() -> None:
    generator, other = derive(3), derive(3)
    assert isinstance(BestOnValidation((single(2), single(2))).fit(LABELLED, generator=generator), MCDropout)
    single(2).fit(LABELLED, generator=other)
    assert torch.equal(generator.get_state(), other.get_state())


@dataclass(frozen=True)
class Points:
    """A learner that offers one thing only."""

    offers: frozenset[str] = frozenset({"point_log_probs"})

    def fit(self, round: Round, *, generator: torch.Generator) -> MCDropout:  # noqa: A002
        raise NotImplementedError


def test_it_is_a_learner_that_offers_what_all_offer() -> None:
    both = BestOnValidation((single(1), Points()))
    assert isinstance(both, Learner)
    assert both.offers == {"point_log_probs"}


class Nan(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * (float("nan") if not self.training else 1.0)


def test_errors_say_what_to_do() -> None:
    with pytest.raises(ProtocolError, match="no learner to choose from"):
        BestOnValidation(())
    with pytest.raises(ModelError, match=r"needs a validation set: Round\(validation="):
        BestOnValidation((single(1),)).fit(replace(LABELLED, validation=None), generator=derive(0))
    broken = SingleNetwork(lambda classes: nn.Sequential(nn.Dropout(0.5), Nan(2, classes)), Training(epochs=1))
    with pytest.raises(ModelError, match="predicts NaN for the validation set"):
        BestOnValidation((broken,)).fit(LABELLED, generator=derive(0))
