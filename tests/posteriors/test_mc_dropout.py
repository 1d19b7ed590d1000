"""MC dropout: the same functions whatever the form, and the mean of ordinary dropout."""

import copy
import warnings
from collections import Counter
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from asktell.errors import EvidenceError, ModelError
from asktell.posteriors import Deterministic, MCDropout, UntracedWarning
from asktell.randomness import counter, derive, seeded, take_key
from asktell.training import batchbald_cnn, dbal_cnn, digits_mlp, two_moons_mlp


class ResNet(nn.Module):
    """Convolutions, BatchNorm, channel-wise dropout, a skip connection, in-place ReLU, dropout called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.relu = nn.ReLU(inplace=True)
        self.block = nn.Sequential(nn.Dropout2d(0.3), nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8))
        self.twice = nn.Dropout(0.2)
        self.out = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = self.relu(self.norm(self.stem(x)))
        h = self.relu(h + self.block(h))
        pooled = self.twice(h.mean((2, 3)))
        logits: Tensor = self.out(self.twice(pooled) + pooled)
        return logits


class Branching(ResNet):
    """The data decide: torch.fx cannot trace it."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x if float(x.sum()) > -1e9 else x * 2)


class InPlace(nn.Module):
    """Writes into what a trace would share between draws."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.drop, self.out = nn.Linear(4, 8), nn.Dropout(0.5), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = self.inner(x)
        h.add_(self.drop(h))
        logits: Tensor = self.out(h)
        return logits


class Functional(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner, self.drop, self.out = nn.Linear(4, 8), nn.Dropout(0.5), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = functional.dropout(self.inner(x), 0.5, training=self.training)
        logits: Tensor = self.out(self.drop(h))
        return logits


class Attention(nn.Module):
    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.attend = nn.MultiheadAttention(4, 2, dropout=dropout, batch_first=True)
        self.drop, self.out = nn.Dropout(0.5), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.out(self.drop(self.attend(x, x, x)[0].mean(1)))
        return logits


class Recurrent(nn.Module):
    def __init__(self, *, layers: int = 2, batch_first: bool = True) -> None:
        super().__init__()
        self.lstm = nn.LSTM(4, 5, layers, dropout=0.3 if layers > 1 else 0.0, batch_first=batch_first)
        self.drop, self.out = nn.Dropout(0.5), nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        if not self.lstm.batch_first:
            return self.out(self.drop(self.lstm(x.transpose(0, 1))[0])[-1])  # type: ignore[no-any-return]
        return self.out(self.drop(self.lstm(x)[0][:, -1]))  # type: ignore[no-any-return]


def made(build: Callable[[], nn.Module], dtype: torch.dtype = torch.float32) -> nn.Module:
    with seeded(derive(0, "weights")):
        module = build()
        for layer in module.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.running_mean = torch.randn(layer.num_features)
                layer.running_var = torch.rand(layer.num_features) + 0.5
    return module.to(dtype)


def rows(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(*shape, generator=derive(1, "rows")).to(dtype)


class Fixed(nn.Module):
    """A dropout module of the naive reference: one given mask per call."""

    def __init__(self, name: str, layer: nn.modules.dropout._DropoutNd, key: int, draw: int) -> None:
        super().__init__()
        self.name, self.p, self.key, self.draw = name, layer.p, key, draw
        self.channelwise = not isinstance(layer, nn.Dropout)
        self.calls: Counter[str] = Counter()

    def forward(self, x: Tensor) -> Tensor:
        shape = (x.shape[1], *[1] * (x.ndim - 2)) if self.channelwise else tuple(x.shape[1:])
        stream = counter(self.key, self.name, self.calls["all"], self.draw)
        self.calls["all"] += 1
        return x * torch.from_numpy(stream.random(shape) >= self.p).to(x.dtype) / (1 - self.p)


def naive(module: nn.Module, x: Tensor, key: int, k: int) -> Tensor:
    """k full passes over all rows at once, each through its own network with its masks built in."""
    draws = []
    for draw in range(k):
        network = copy.deepcopy(module).eval()
        for name, layer in list(network.named_modules()):
            if isinstance(layer, nn.modules.dropout._DropoutNd):
                parent, _, leaf = name.rpartition(".")
                setattr(network.get_submodule(parent), leaf, Fixed(name, layer, key, draw))
        with torch.no_grad():
            draws.append(network(x.clone()).log_softmax(-1))
    return torch.stack(draws, 1)


NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], bool]] = {
    "dbal": (dbal_cnn, (6, 1, 28, 28), True),
    "batchbald": (batchbald_cnn, (6, 1, 28, 28), True),
    "two moons": (two_moons_mlp, (30, 2), True),
    "digits": (digits_mlp, (30, 64), True),
    "resnet": (ResNet, (9, 1, 6, 6), True),
    "branching": (Branching, (9, 1, 6, 6), False),
    "in place": (InPlace, (9, 4), False),
}


@pytest.mark.filterwarnings("ignore::asktell.posteriors.UntracedWarning")
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-10)])
@pytest.mark.parametrize("name", NETWORKS)
def test_draws_are_full_passes_with_the_same_masks(name: str, dtype: torch.dtype, tolerance: float) -> None:
    build, shape, traced = NETWORKS[name]
    module, x = made(build, dtype), rows(*shape, dtype=dtype)
    posterior = MCDropout(module, batch=4)  # the last batch is partial
    found = posterior.draw(3, generator=derive(5)).log_probs(x)
    expected = naive(module, x, take_key(derive(5)), 3)
    assert found.dtype == dtype
    assert posterior.traced is traced
    assert float((found.exp() - expected.exp()).abs().max()) <= tolerance


def test_what_cannot_be_traced_says_so_once() -> None:
    posterior, x = MCDropout(made(Branching)), rows(3, 1, 6, 6)
    with pytest.warns(UntracedWarning, match="full pass"):
        posterior.draw(2, generator=derive(0)).log_probs(x)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        posterior.draw(2, generator=derive(0)).log_probs(x)


@pytest.mark.filterwarnings("ignore::asktell.posteriors.UntracedWarning")
def test_hooks_of_the_user_stay_in_force() -> None:
    module, x = made(two_moons_mlp), rows(5, 2)
    module.get_submodule("3").register_forward_hook(lambda _, __, output: output * 0)
    draws = MCDropout(module).draw(4, generator=derive(0)).log_probs(x)
    assert torch.allclose(draws, draws[:1].expand_as(draws))  # the hook hides the input


def test_no_inputs_give_no_rows() -> None:
    posterior = MCDropout(made(two_moons_mlp))
    draws = posterior.draw(3, generator=derive(0))
    assert draws.log_probs(rows(0, 2)).shape == (0, 3, 2)
    assert draws.log_probs(rows(4, 2)).shape == (4, 3, 2)
    assert posterior.predict(rows(0, 2)).shape == (0, 2)


def test_mean_of_many_masks_is_ordinary_mc_dropout() -> None:
    module, x, k = made(two_moons_mlp), rows(6, 2), 1000
    ours = MCDropout(module).draw(k, generator=derive(0)).log_probs(x).exp()
    with torch.no_grad(), seeded(derive(1)):
        theirs = torch.stack([module.train()(x).softmax(-1) for _ in range(k)], 1)
    error = ((ours.var(1) + theirs.var(1)) / k).sqrt()
    assert bool(((ours.mean(1) - theirs.mean(1)).abs() <= 4 * error).all())
    assert bool(((ours.std(1) / theirs.std(1) - 1).abs() < 0.2).all())


def test_masks_do_not_depend_on_how_many_are_drawn() -> None:
    posterior, x = MCDropout(made(two_moons_mlp)), rows(6, 2)
    few, many = (posterior.draw(k, generator=derive(0)).log_probs(x) for k in (2, 5))
    assert torch.allclose(few, many[:, :2])


@pytest.mark.parametrize("batch", [1, 7, 256])
def test_the_batch_of_the_network_does_not_matter(batch: int) -> None:
    module, x = made(ResNet), rows(20, 1, 6, 6)
    found, expected = (
        MCDropout(module, batch=size).draw(3, generator=derive(0)).log_probs(x).exp() for size in (batch, 20)
    )
    assert torch.allclose(found, expected, atol=1e-5)


def test_p_of_one_gives_zeros_and_one_function() -> None:
    module = made(lambda: nn.Sequential(nn.Linear(4, 8), nn.Dropout(1.0), nn.Linear(8, 3)))
    posterior = MCDropout(module)
    assert posterior.distinct == 1
    found = posterior.draw(1, generator=derive(0)).log_probs(rows(5, 4))
    bias: Tensor = module.get_submodule("2").bias  # type: ignore[assignment]
    assert torch.allclose(found, bias.detach().log_softmax(-1).expand(5, 1, 3))
    with pytest.raises(ModelError, match="has 1"):
        posterior.draw(2, generator=derive(0))


def test_p_of_zero_is_the_deterministic_pass() -> None:
    module, x = made(lambda: two_moons_mlp(dropout=0.0)), rows(5, 2)
    posterior = MCDropout(module)
    assert posterior.distinct == 1
    found = posterior.draw(1, generator=derive(0)).log_probs(x)[:, 0]
    assert torch.allclose(found, Deterministic(module).predict(x))


def test_predict_is_the_pass_without_dropout() -> None:
    module, x = made(ResNet), rows(5, 1, 6, 6)
    expected = module.eval()(x).log_softmax(-1)
    posterior = MCDropout(module.train())
    assert torch.allclose(posterior.predict(x), expected)
    assert torch.allclose(posterior.point_log_probs(x), expected)


def test_a_named_dropout_stays_off() -> None:
    module, x = made(two_moons_mlp), rows(5, 2)
    found = MCDropout(module, off=("2",)).draw(3, generator=derive(5)).log_probs(x)
    without = copy.deepcopy(module)
    without.get_submodule("2").p = 0.0  # type: ignore[assignment]
    assert torch.allclose(found, naive(without, x, take_key(derive(5)), 3), atol=1e-6)
    assert MCDropout(module, off=("2", "5")).distinct == 1


def test_unknown_names_raise() -> None:
    with pytest.raises(ModelError, match="off='missing'"):
        MCDropout(made(two_moons_mlp), off=("missing",))
    with pytest.raises(ModelError, match="head='missing'"):
        MCDropout(made(two_moons_mlp), head="missing")


def test_a_network_without_dropout_is_sent_to_deterministic() -> None:
    with pytest.raises(ModelError, match="Deterministic"):
        MCDropout(nn.Linear(2, 2))


@pytest.mark.parametrize("kind", [nn.AlphaDropout, nn.FeatureAlphaDropout])
def test_alpha_dropout_raises(kind: Callable[[], nn.Module]) -> None:
    module = nn.Sequential(nn.Linear(2, 2), kind(), nn.Dropout(0.5))
    with pytest.raises(ModelError, match=rf"'1' \({type(kind()).__name__}\)"):
        MCDropout(module)
    assert MCDropout(module, off=("1",)).distinct is None


def test_functional_dropout_raises_and_can_be_kept_off() -> None:
    module, x = made(Functional), rows(5, 4)
    with pytest.raises(ModelError, match=r"forward.*off=\(''"):
        MCDropout(module).draw(2, generator=derive(0)).log_probs(x)
    with pytest.raises(ModelError, match=r"'0'.*off=\('0'"):
        MCDropout(nn.Sequential(module)).draw(2, generator=derive(0)).log_probs(x)
    found = MCDropout(module, off=("",)).draw(2, generator=derive(5)).log_probs(x)
    assert torch.allclose(found, naive(module, x, take_key(derive(5)), 2), atol=1e-6)


def test_dropout_that_is_never_off_raises() -> None:
    class Always(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.drop, self.out = nn.Dropout(0.5), nn.Linear(4, 2)

        def forward(self, x: Tensor) -> Tensor:
            logits: Tensor = self.out(functional.dropout(self.drop(x), 0.5))
            return logits

    for posterior in (Deterministic(Always()), MCDropout(Always())):
        with pytest.raises(ModelError, match="eval mode"):
            posterior.predict(rows(2, 4))


@pytest.mark.filterwarnings("ignore::asktell.posteriors.UntracedWarning")
def test_attention_dropout_raises_and_can_be_kept_off() -> None:
    with pytest.raises(ModelError, match="'attend'"):
        MCDropout(made(lambda: Attention(0.1)))
    module, x = made(lambda: Attention(0.0)), rows(5, 3, 4)
    expected = naive(module, x, take_key(derive(5)), 2)
    kept_off = MCDropout(made(lambda: Attention(0.1)), off=("attend",))
    assert torch.allclose(kept_off.draw(2, generator=derive(5)).log_probs(x), expected, atol=1e-6)


@pytest.mark.filterwarnings("ignore::asktell.posteriors.UntracedWarning")
def test_dropout_inside_a_transformer_layer_is_held_fixed() -> None:
    def build() -> nn.Module:
        layer = nn.TransformerEncoderLayer(4, 2, 8, dropout=0.3, batch_first=True)
        return nn.Sequential(layer, nn.Flatten(), nn.Linear(12, 3))

    module, x = made(build), rows(5, 3, 4)
    found = MCDropout(module, off=("0.self_attn",)).draw(3, generator=derive(5)).log_probs(x)
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        torch.backends.mha.set_fastpath_enabled(False)
        expected = naive(module, x, take_key(derive(5)), 3)
        torch.backends.mha.set_fastpath_enabled(True)
    assert torch.allclose(found.exp(), expected.exp(), atol=1e-5)
    assert float((found[:, 0] - found[:, 1]).abs().max()) > 1e-3


@pytest.mark.filterwarnings("ignore::asktell.posteriors.UntracedWarning")
def test_recurrent_dropout_raises_and_can_be_kept_off() -> None:
    with pytest.raises(ModelError, match="'lstm'"):
        MCDropout(made(Recurrent))
    posterior = MCDropout(made(Recurrent), off=("lstm",))
    assert posterior.draw(2, generator=derive(0)).log_probs(rows(5, 3, 4)).shape == (5, 2, 3)
    assert MCDropout(made(lambda: Recurrent(layers=1))).distinct is None


@pytest.mark.filterwarnings("ignore::asktell.posteriors.UntracedWarning")
def test_items_must_be_the_first_axis_where_dropout_is() -> None:
    posterior = MCDropout(made(lambda: Recurrent(layers=1, batch_first=False)))
    with pytest.raises(ModelError, match="first axis must be the items"):
        posterior.draw(2, generator=derive(0)).log_probs(rows(3, 3, 4))


@pytest.mark.filterwarnings("ignore:dropout2d")
@pytest.mark.parametrize("layer", [nn.Dropout1d(0.5), nn.Dropout2d(0.5)])
def test_channels_must_have_an_extent(layer: nn.Module) -> None:
    posterior = MCDropout(nn.Sequential(nn.Linear(4, 4), layer, nn.Linear(4, 3)))
    with pytest.raises(ModelError, match="channels"):
        posterior.draw(2, generator=derive(0)).log_probs(rows(3, 4))


def test_features_are_what_goes_into_the_last_layer() -> None:
    module, x = made(ResNet).eval(), rows(5, 1, 6, 6)
    posterior = MCDropout(module, batch=2)
    last: nn.Linear = module.get_submodule("out")  # type: ignore[assignment]
    with torch.no_grad():
        again = last(posterior.features(x)).log_softmax(-1)
    assert torch.allclose(again, posterior.point_log_probs(x), atol=1e-6)
    assert torch.equal(MCDropout(module, head="out", batch=2).features(x), posterior.features(x))


def test_features_need_a_head_whose_output_is_the_network_s() -> None:
    pooled = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.Unflatten(1, (8, 1)), nn.Conv1d(8, 3, 1), nn.Flatten())
    with pytest.raises(EvidenceError, match="head="):
        MCDropout(pooled).features(rows(5, 4))
    with pytest.raises(EvidenceError, match="head="):
        MCDropout(two_moons_mlp(), head="3").features(rows(5, 2))
    assert MCDropout(nn.Sequential(two_moons_mlp(), nn.LogSoftmax(-1))).features(rows(5, 2)).shape == (5, 50)


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (nn.Sequential(nn.Linear(4, 1)), "two classes"),
        (nn.Sequential(nn.Linear(4, 4), nn.Unflatten(1, (2, 2))), "shape"),
        (nn.LSTM(4, 3), "tuple"),
    ],
)
def test_outputs_that_are_no_logits_raise(module: nn.Module, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        Deterministic(module).predict(rows(5, 4))


def test_inputs_are_cast_to_the_module_s_dtype_unless_they_are_whole_numbers() -> None:
    module = made(two_moons_mlp)
    assert torch.equal(MCDropout(module).predict(rows(5, 2).double()), MCDropout(module).predict(rows(5, 2)))
    words = nn.Sequential(nn.Embedding(10, 4), nn.Flatten(), nn.Dropout(0.5), nn.Linear(8, 3))
    assert MCDropout(words).predict(torch.ones(5, 2, dtype=torch.int64)).shape == (5, 3)


@pytest.mark.parametrize("kind", [Deterministic, MCDropout])
def test_a_batch_of_no_rows_raises(kind: Callable[..., object]) -> None:
    with pytest.raises(ModelError, match="batch"):
        kind(two_moons_mlp(), batch=0)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("build", [dbal_cnn, batchbald_cnn])
def test_cuda_gives_what_the_cpu_gives(build: Callable[[], nn.Module]) -> None:
    module, x = made(build, torch.float64), rows(5, 1, 28, 28, dtype=torch.float64)
    found = MCDropout(copy.deepcopy(module).cuda()).draw(3, generator=derive(0)).log_probs(x)
    expected = MCDropout(module).draw(3, generator=derive(0)).log_probs(x)
    assert found.device.type == "cpu"
    assert torch.allclose(found.exp(), expected.exp(), atol=1e-10)
