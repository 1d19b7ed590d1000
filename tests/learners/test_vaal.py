"""VAAL: what is trained on what, what it tells of itself, and that it leaves the learner as it is."""

import json
import subprocess
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from torch import Tensor, nn

from asktell.errors import EvidenceError, ModelError, ProtocolError, RowError
from asktell.evidence import Evidence, gather
from asktell.experiments import datasets
from asktell.learners import VAAL, DeepEnsemble, Learner, Round, SingleNetwork
from asktell.learners.vaal import Judge
from asktell.posteriors import HasWeights, OffersUtility, WithUtility, model_id, told_by
from asktell.randomness import derive, seeded, take_key
from asktell.rows import Rows, TensorRows, as_rows, file_rows
from asktell.strategies import BALD, Entropy, Strategy, Utility, recipe
from asktell.training import Training, digits_mlp, two_moons_mlp
from asktell.training.autoencoder import Autoencoder, Moments
from asktell.training.discriminator import discriminator
from asktell.types import Candidates

SHORT = Training(epochs=2, batch=16, lr=1e-2)
PLAIN = SingleNetwork(two_moons_mlp, SHORT)
QUICK = VAAL(PLAIN, steps=3, batch=8, latent=4)


def points(n: int, shift: float = 0.0, seed: int = 0) -> Tensor:
    return torch.randn(n, 2, generator=derive(seed, "points")) + shift


def first(labelled: Tensor, unlabelled: Tensor | Rows | None) -> Round:
    found = None if unlabelled is None else as_rows(unlabelled)
    return Round(0, ("a", "b"), as_rows(labelled), torch.arange(len(labelled)) % 2, unlabelled=found)


def images(n: int = 60) -> Tensor:
    return datasets.load("digits").inputs[:n]


@dataclass(frozen=True)
class Watched:
    """Rows that remember what was taken."""

    rows: Rows
    taken: list[Tensor] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, rows: slice, /) -> Tensor:
        return self.rows[rows]

    def take(self, indices: Tensor, /) -> Tensor:
        self.taken.append(indices)
        return self.rows.take(indices)


# What it learns


class Flat(nn.Module):
    """Any numbers in a row, dropout, two classes."""

    def __init__(self, numbers: int) -> None:
        super().__init__()
        self.drop, self.out = nn.Dropout(0.5), nn.Linear(numbers, 2)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.out(self.drop(x.flatten(1).float()))
        return found


D = 16


def cloud(n: int, shift: float, seed: int = 0) -> Tensor:
    return torch.randn(n, D, generator=derive(seed, "cloud")) + shift


def told_apart(adversarial: float) -> WithUtility:
    """Labelled items from one Gaussian, unlabelled ones from another, eight standard deviations away."""
    learner = VAAL(SingleNetwork(lambda _: Flat(D), SHORT), steps=100, batch=32, latent=4, adversarial=adversarial)
    return learner.fit(first(cloud(100, -1.0), cloud(300, 1.0, seed=1)), generator=derive(0))


@pytest.fixture(scope="module")
def apart() -> WithUtility:
    return told_apart(1.0)


def test_the_discriminator_separates_two_gaussians(apart: WithUtility) -> None:
    assert apart.told["discriminator_accuracy"] > 0.95
    assert apart.told["discriminator_train_accuracy"] > 0.95
    inside, outside = (apart.utility(as_rows(cloud(200, shift, seed=7))) for shift in (-1.0, 1.0))
    assert float(inside.mean()) < 0.2
    assert float(outside.mean()) > 0.8
    assert 0 <= float(torch.cat([inside, outside]).min()) <= float(torch.cat([inside, outside]).max()) <= 1


def test_utility_falls_with_likeness_to_what_is_labelled(apart: WithUtility) -> None:
    along = torch.linspace(-1.5, 1.5, 61)[:, None].expand(-1, D)
    assert spearmanr(apart.utility(as_rows(along)), along[:, 0]).statistic > 0.9


def test_a_strong_adversary_hides_which_are_labelled(apart: WithUtility) -> None:
    assert told_apart(1000.0).told["discriminator_accuracy"] < apart.told["discriminator_accuracy"]


def test_digits_are_reconstructed_better_than_by_the_mean_image() -> None:
    x = images(1_000)
    learner = VAAL(SingleNetwork(digits_mlp, Training(epochs=1)), steps=120)
    data = Round(0, tuple("0123456789"), as_rows(x[:50]), torch.arange(50) % 10, unlabelled=as_rows(x[50:]))
    assert learner.fit(data, generator=derive(0)).told["vae_error_share"] < 0.5


def test_a_constant_discriminator_leaves_the_choice_to_chance() -> None:
    x = points(50)
    with seeded(derive(0)):
        autoencoder, constant = Autoencoder(Moments.of([x]), 4), discriminator(4, 8)
    nn.init.zeros_(constant[-2].weight)  # type: ignore[arg-type]
    nn.init.constant_(constant[-2].bias, -1.0)  # type: ignore[arg-type]
    utility = Judge(autoencoder, constant)(as_rows(x))
    assert utility.tolist() == [pytest.approx(1 / (1 + torch.tensor(-1.0).exp().item()))] * 50
    assert len(set(utility.tolist())) == 1
    picks = {tuple(Utility()(Evidence(50, utility=utility), 5, generator=derive(s)).indices.tolist()) for s in range(4)}
    assert len(picks) == 4


# What it is trained on


def test_every_step_sees_as_many_labelled_as_unlabelled_rows_and_none_held_out() -> None:
    labelled, unlabelled = Watched(as_rows(points(20))), Watched(as_rows(points(900)))
    data = replace(first(points(20), unlabelled), inputs=labelled)
    QUICK.fit(data, generator=derive(0))
    for side, tenth in ((labelled, 2), (unlabelled, 90)):
        batches = [rows for rows in side.taken if len(rows) == QUICK.batch]
        assert len(batches) == 2 * QUICK.steps  # two steps of the VAE; the discriminator's is on the last of them
        held = [rows for rows in side.taken if len(rows) == tenth]
        assert len(held) > 0
        assert not set(torch.cat(batches).tolist()) & set(torch.cat(held).tolist())


def test_the_most_held_out_is_500() -> None:
    unlabelled = Watched(as_rows(points(6_000)))
    QUICK.fit(first(points(20), unlabelled), generator=derive(0))
    measured = [rows for rows in unlabelled.taken if len(rows) in (256, 244)]
    assert [len(rows) for rows in measured] == [256, 244] * 3  # that D saw; held out, for D; the same, for the VAE
    seen, held, again = (set(torch.cat(measured[at : at + 2]).tolist()) for at in (0, 2, 4))
    assert held == again
    assert not seen & held


def test_of_few_rows_none_is_held_out_and_nothing_is_told_of_them() -> None:
    told = QUICK.fit(first(points(1), points(300)), generator=derive(0)).told
    assert {"discriminator_train_accuracy", "vae_error_share"} <= told.keys()
    assert "discriminator_accuracy" not in told
    few = QUICK.fit(first(points(30), points(1)), generator=derive(0))
    assert not {"discriminator_accuracy", "vae_error_share"} & few.told.keys()
    assert bool(few.utility(as_rows(points(5))).isfinite().all())


def test_of_equal_items_all_tie_and_no_error_is_told() -> None:
    posterior = QUICK.fit(first(torch.ones(20, 2), torch.ones(30, 2)), generator=derive(0))
    assert len(set(posterior.utility(as_rows(torch.ones(300, 2))).tolist())) == 1
    assert "vae_error_share" not in posterior.told


KINDS = {
    "digits": images(40),
    "bytes": (16 * images(40)).byte(),
    "tall": torch.rand(40, 3, 17, 8, generator=derive(0)),
    "vectors": torch.rand(40, 5, generator=derive(0)),
}


def of_kind(x: Tensor) -> WithUtility:
    learner = VAAL(SingleNetwork(lambda _: Flat(x[0].numel()), SHORT), steps=4, batch=4, latent=3)
    return learner.fit(first(x[:12], x[12:]), generator=derive(0))


@pytest.mark.parametrize("kind", KINDS)
def test_what_an_item_gets_depends_on_no_other(kind: str) -> None:
    x = KINDS[kind]
    posterior, order = of_kind(x), torch.randperm(len(x), generator=derive(1))
    whole = posterior.utility(as_rows(x))
    assert whole.dtype == torch.float64
    assert torch.equal(posterior.utility(as_rows(x[order])), whole[order])
    assert torch.equal(torch.cat([posterior.utility(as_rows(part)) for part in torch.split(x, 7)]), whole)
    assert len(posterior.utility(as_rows(x[:0]))) == 0


def test_rows_on_disk_are_as_good(tmp_path: Path) -> None:
    x = points(80)
    np.save(tmp_path / "x.npy", x.numpy())
    read, held = QUICK.fit(first(points(20), file_rows(tmp_path / "x.npy")), generator=derive(0)), first(points(20), x)
    assert torch.equal(read.utility(as_rows(x)), QUICK.fit(held, generator=derive(0)).utility(as_rows(x)))


# The learner that it goes round


@pytest.mark.parametrize("inner", [PLAIN, DeepEnsemble(two_moons_mlp, SHORT, members=2)], ids=["one", "ensemble"])
def test_the_learner_learns_the_same_and_the_rest_takes_one_key(inner: Learner) -> None:
    data, plain_generator, generator = first(points(20), points(60)), derive(1), derive(1)
    plain = inner.fit(data, generator=plain_generator)
    posterior = replace(QUICK, learner=inner).fit(data, generator=generator)
    take_key(plain_generator)
    assert torch.equal(generator.get_state(), plain_generator.get_state())
    assert isinstance(plain, HasWeights)
    assert isinstance(posterior, HasWeights)
    assert isinstance(posterior, OffersUtility)
    assert model_id(posterior) == model_id(plain)
    assert posterior.offers == plain.offers | {"utility"} == replace(QUICK, learner=inner).offers
    assert told_by(plain).items() <= posterior.told.items()


@pytest.mark.parametrize("strategy", [Entropy(), BALD(), Entropy(point=True)], ids=repr)
def test_strategies_that_do_not_look_at_utility_ask_the_same(strategy: Strategy) -> None:
    x = points(70)
    snapshot = Candidates(tuple(map(str, range(50))), tuple(map(str, range(50, 70))), ("a",) * 20, ())

    def inputs(ids: tuple[str, ...]) -> Rows:
        return TensorRows(x[[int(item) for item in ids]])

    asked = []
    for learner in (PLAIN, QUICK):
        posterior = learner.fit(first(x[50:], x[:50]), generator=derive(2))
        evidence = gather(strategy.needs, posterior, snapshot, inputs, 8, derive(3))
        asked.append(strategy(evidence, 9, generator=derive(4)))
    assert asked[0].indices.tolist() == asked[1].indices.tolist()
    assert asked[0].scores.tolist() == asked[1].scores.tolist()


def test_a_round_after_another_starts_afresh() -> None:
    warm = replace(QUICK, learner=replace(PLAIN, restart="warm"))
    before = warm.fit(first(points(20), points(60)), generator=derive(0))
    data = replace(first(points(20), points(60)), previous=before)
    again = [replace(QUICK, learner=PLAIN).fit(data, generator=derive(1)) for _ in range(2)]
    assert torch.equal(*(posterior.utility(as_rows(points(9))) for posterior in again))
    assert warm.fit(data, generator=derive(1)).offers == before.offers


def test_only_the_generator_is_random() -> None:
    utilities = []
    for seed in (1, 2):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            before = torch.random.get_rng_state()
            posterior = QUICK.fit(first(points(20), points(60)), generator=derive(0))
            utilities.append(posterior.utility(as_rows(points(60))))
            assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(*utilities)
    other = QUICK.fit(first(points(20), points(60)), generator=derive(9)).utility(as_rows(points(60)))
    assert not torch.equal(other, utilities[0])


ELSEWHERE = """
import json
import torch
from asktell.learners import VAAL, Round, SingleNetwork
from asktell.randomness import derive
from asktell.rows import as_rows
from asktell.training import Training, two_moons_mlp
x = torch.randn(60, 2, generator=derive(0, "points"))
learner = VAAL(SingleNetwork(two_moons_mlp, Training(epochs=2, batch=16, lr=1e-2)), steps=3, batch=8, latent=4)
labels = torch.arange(20) % 2
data = Round(0, ("a", "b"), as_rows(x[:20]), labels, unlabelled=as_rows(x))
print(json.dumps(learner.fit(data, generator=derive(0)).utility(as_rows(x)).tolist()))
"""


def test_another_process_finds_the_same() -> None:
    output = subprocess.run([sys.executable, "-c", ELSEWHERE], check=True, capture_output=True, text=True).stdout
    x = points(60)
    assert json.loads(output) == pytest.approx(
        QUICK.fit(first(x[:20], x), generator=derive(0)).utility(as_rows(x)).tolist(), abs=1e-6
    )


def test_it_is_a_recipe() -> None:
    made = recipe("vaal")
    assert made.strategy == Utility()
    assert made.wrap is not None
    assert made.wrap(PLAIN) == VAAL(PLAIN)
    assert isinstance(VAAL(PLAIN), Learner)


# Bad input


def test_a_round_that_does_not_say_what_is_unlabelled_is_refused() -> None:
    with pytest.raises(ModelError, match=r"needs both: pass Round\(\.\.\., unlabelled=\.\.\.\)"):
        QUICK.fit(first(points(20), None), generator=derive(0))


def test_when_the_pool_is_used_up_the_learner_alone_is_fitted() -> None:
    x, data = points(20), first(points(20), points(0))
    posterior, plain = QUICK.fit(data, generator=derive(0)), QUICK.learner.fit(data, generator=derive(0))
    torch.testing.assert_close(posterior.predict(as_rows(x)), plain.predict(as_rows(x)), rtol=0, atol=0)
    assert told_by(posterior) == told_by(plain)
    with pytest.raises(EvidenceError, match="nothing was unlabelled when vaal was fitted"):
        posterior.utility(as_rows(x))


def test_without_labelled_items_it_says_so() -> None:
    with pytest.raises(ModelError, match="0 labelled and 20 unlabelled ones"):
        QUICK.fit(first(points(0), points(20)), generator=derive(0))


@pytest.mark.parametrize(
    ("labelled", "unlabelled", "message"),
    [
        (torch.zeros(4, 3), torch.zeros(9, 2), r"labelled rows have shape \[3\], unlabelled ones \[2\]"),
        (torch.zeros(4, 8, 8), torch.zeros(9, 8, 8), r"not rows of shape \[8, 8\]; reshape them"),
        (torch.zeros(4, 1, 7, 9), torch.zeros(9, 1, 7, 9), "8 x 8 pixels or more"),
        (torch.zeros(4, 5).long(), torch.zeros(9, 5).long(), "floating point or uint8, not torch.int64"),
    ],
)
def test_rows_that_it_cannot_reconstruct_are_refused(labelled: Tensor, unlabelled: Tensor, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        QUICK.fit(first(labelled, unlabelled), generator=derive(0))


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_an_input_that_is_no_number_is_named(value: float) -> None:
    broken = points(600)
    broken[301, 1] = value
    with pytest.raises(RowError, match=r"^unlabelled inputs, row 301: holds NaN"):
        QUICK.fit(first(points(20), broken), generator=derive(0))


def test_a_training_that_diverges_is_said() -> None:
    with pytest.raises(ModelError, match=r"the loss of vaal is (nan|inf) in step \d+; lower lr"):
        replace(QUICK, lr=1e9, steps=50).fit(first(points(20), points(60)), generator=derive(0))


@pytest.mark.parametrize(
    "wrong",
    [{"steps": 0}, {"batch": 0}, {"latent": 0}, {"beta": -1.0}, {"adversarial": torch.nan}, {"lr": 0.0}],
    ids=str,
)
def test_parameters_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ProtocolError, match=next(iter(wrong))):
        replace(QUICK, **wrong)  # type: ignore[arg-type]
