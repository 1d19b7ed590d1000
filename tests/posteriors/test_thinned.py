"""Draws as smaller networks: the same functions as with masks, and smaller where they should be, nowhere else."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrize

from asktell.posteriors import MCDropout, forms, thinned
from asktell.posteriors.forms import cut
from asktell.posteriors.masks import active_dropouts
from asktell.posteriors.thinned import thin_out
from asktell.posteriors.traces import traced
from asktell.randomness import derive, seeded
from asktell.training import batchbald_cnn, dbal_cnn, digits_mlp, two_moons_mlp

DROP, RELU, CLASSES = nn.Dropout(0.4), nn.ReLU(), 3
Build = Callable[[], nn.Module]


class Wired(nn.Module):
    """Named layers and a function that wires them up."""

    def __init__(self, wire: Callable[[Any, Tensor], Tensor], **layers: nn.Module) -> None:
        super().__init__()
        self.wire = wire
        for name, layer in layers.items():
            self.add_module(name, layer)

    def forward(self, x: Tensor) -> Tensor:
        return self.wire(self, x)


def wired(wire: Callable[[Any, Tensor], Tensor], **layers: nn.Module) -> Build:
    """Dropouts `first` and `drop`, linear layers `inner` (6 to 8) and `out` (8 to classes), and `layers`."""
    standard = {
        "first": nn.Dropout(0.3),
        "inner": nn.Linear(6, 8),
        "drop": nn.Dropout(0.5),
        "out": nn.Linear(8, CLASSES),
    }
    return lambda: Wired(wire, **(standard | layers))


def stack(*layers: nn.Module) -> Build:
    return lambda: nn.Sequential(*layers)


def after_dropout(act: nn.Module) -> Build:
    return stack(nn.Dropout(0.3), nn.Linear(6, 8), nn.Dropout(0.5), act, nn.Linear(8, CLASSES))


def before_dropout(act: nn.Module) -> Build:
    return stack(nn.Dropout(0.3), nn.Linear(6, 8), act, nn.Dropout(0.5), nn.Linear(8, CLASSES))


def image(*layers: nn.Module) -> Build:
    """Images [n, 4, 6, 6] through `layers`, of 4 channels, to logits."""
    return stack(nn.Dropout2d(0.3), *layers, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, CLASSES))


def conv(**options: Any) -> nn.Module:
    return nn.Conv2d(4, 4, 3, **options)


def mutating(m: Any, x: Tensor) -> Tensor:
    h = m.inner(m.first(x))
    dropped = m.drop(h)
    h.add_(1)
    logits: Tensor = m.out(functional.relu(dropped)) + m.out(h)
    return logits


def sums_with_in_place_relu(m: Any, x: Tensor) -> Tensor:
    h = m.inner(x)
    logits: Tensor = m.out(m.relu(m.drop(h)) + h)
    return logits


def functional_image(m: Any, x: Tensor) -> Tensor:
    h = functional.relu(functional.max_pool2d(m.drop2(m.conv(m.first(x))), 2))
    h = h.view(h.size(0), -1)
    h = m.drop(torch.relu(m.inner(h)))
    logits: Tensor = m.out(h.reshape(h.shape[0], -1))
    return logits


class Doubled(nn.Linear):
    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        return 2 * super().forward(input)


class Half(nn.Module):
    def forward(self, weight: Tensor) -> Tensor:
        return weight / 2


def parametrised() -> nn.Module:
    module = after_dropout(nn.ReLU())()
    parametrize.register_parametrization(module.get_submodule("1"), "weight", Half())
    return module


def tied() -> nn.Module:
    a, b = nn.Linear(6, 6), nn.Linear(6, 6)
    b.weight = a.weight
    return nn.Sequential(nn.Dropout(0.3), a, nn.ReLU(), nn.Dropout(0.5), b, nn.Dropout(0.5), nn.Linear(6, CLASSES))


def patched() -> nn.Module:
    module = after_dropout(nn.ReLU())()
    layer: Any = module.get_submodule("1")
    layer.forward = lambda x: functional.linear(x, layer.weight) * 2
    return module


def shared() -> nn.Module:
    layer, drop = nn.Linear(6, 6), nn.Dropout(0.5)
    return nn.Sequential(nn.Dropout(0.3), layer, nn.ReLU(), drop, layer, drop, nn.Linear(6, CLASSES))


Case = tuple[Build, tuple[int, ...], list[tuple[str, str]]]
VECTOR, IMAGE, DIGIT = (6,), (4, 6, 6), (1, 28, 28)
REFERENCE: dict[str, Case] = {
    "dbal": (dbal_cnn, DIGIT, [("7", "columns rows"), ("10", "columns")]),
    "batchbald": (batchbald_cnn, DIGIT, [("4", "columns rows"), ("9", "columns rows"), ("12", "columns")]),
    "two moons": (two_moons_mlp, (2,), [("3", "columns rows"), ("6", "columns")]),
    "digits": (digits_mlp, (1, 8, 8), [("4", "columns rows"), ("7", "columns")]),
}
BOTH, FIRST = [("1", "columns rows"), ("4", "columns")], [("1", "columns rows")]
INNER = [("inner", "columns rows"), ("out", "columns")]
THINNED: dict[str, Case] = {
    "relu after": (after_dropout(nn.ReLU()), VECTOR, BOTH),
    "relu in place after": (after_dropout(nn.ReLU(inplace=True)), VECTOR, BOTH),
    "identity after": (after_dropout(nn.Identity()), VECTOR, BOTH),
    "dropout off after": (after_dropout(nn.Dropout(0.0)), VECTOR, BOTH),
    "p of one after": (after_dropout(nn.Dropout(1.0)), VECTOR, [*FIRST, ("4", "columns")]),
    "tanh before": (before_dropout(nn.Tanh()), VECTOR, BOTH),
    "gelu before": (before_dropout(nn.GELU()), VECTOR, BOTH),
    "sigmoid before": (before_dropout(nn.Sigmoid()), VECTOR, BOTH),
    "relu in place before": (before_dropout(nn.ReLU(inplace=True)), VECTOR, BOTH),
    "without bias": (
        stack(nn.Dropout(0.3), nn.Linear(6, 8, bias=False), nn.Dropout(0.5), nn.Linear(8, CLASSES, bias=False)),
        VECTOR,
        [("1", "columns rows"), ("3", "columns")],
    ),
    "nested": (
        stack(nn.Sequential(nn.Dropout(0.3), nn.Sequential(nn.Linear(6, 8), nn.Dropout(0.5))), nn.Linear(8, CLASSES)),
        VECTOR,
        [("0.1.0", "columns rows"), ("1", "columns")],
    ),
    "shared": (shared, VECTOR, [("1", "columns rows"), ("1", "columns rows"), ("6", "columns")]),
    "tied": (tied, VECTOR, [("1", "columns rows"), ("4", "columns rows"), ("6", "columns")]),
    "two readers of a dropout": (
        wired(lambda m, x: m.out(h := m.drop(m.inner(m.first(x)))) + m.other(h), other=nn.Linear(8, CLASSES)),
        VECTOR,
        [*INNER, ("other", "columns")],
    ),
    "functional": (
        wired(functional_image, first=nn.Dropout2d(0.3), conv=conv(), drop2=nn.Dropout2d(0.4), inner=nn.Linear(16, 8)),
        IMAGE,
        [("conv", "columns rows"), *INNER],
    ),
    "one dimension": (
        stack(
            nn.Dropout1d(0.3), nn.Conv1d(4, 5, 3), nn.Dropout1d(0.5), nn.MaxPool1d(2), nn.Flatten(), nn.Linear(10, 3)
        ),
        (4, 6),
        [("1", "columns rows"), ("5", "columns")],
    ),
    "three dimensions": (
        stack(nn.Dropout3d(0.3), nn.Conv3d(4, 5, 2), nn.Dropout3d(0.5), nn.MaxPool3d(2), nn.Flatten(), nn.Linear(5, 3)),
        (4, 3, 3, 3),
        [("1", "columns rows"), ("5", "columns")],
    ),
    "strides and padding": (image(conv(stride=2, padding=2, dilation=2), RELU), IMAGE, [("1", "columns")]),
    "same padding": (image(conv(padding="same", bias=False), RELU), IMAGE, [("1", "columns")]),
    "average pools": (image(nn.AvgPool2d(2), conv(padding=1)), IMAGE, [("2", "columns")]),
    "dropout of single pixels' channels": (
        stack(nn.Dropout2d(0.3), conv(), nn.AdaptiveAvgPool2d(1), nn.Dropout(0.5), nn.Flatten(), nn.Linear(4, 3)),
        IMAGE,
        [("1", "columns rows"), ("5", "columns")],
    ),
    "flattened single pixels": (
        stack(nn.Dropout2d(0.3), conv(), nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Dropout(0.5), nn.Linear(4, 3)),
        IMAGE,
        [("1", "columns rows"), ("5", "columns")],
    ),
    "almost all is dropped": (
        stack(nn.Dropout(0.9), nn.Linear(6, 2), nn.ReLU(), nn.Dropout(0.9), nn.Linear(2, 3)),
        VECTOR,
        [("1", "columns rows"), ("4", "columns")],
    ),
    "channels almost all dropped": (
        stack(nn.Dropout2d(0.9), conv(), nn.Dropout2d(0.9), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(16, 3)),
        IMAGE,
        [("1", "columns rows"), ("5", "columns")],
    ),
}
MASKED: dict[str, Case] = {
    **{
        f"{type(act).__name__} after": (after_dropout(act), VECTOR, FIRST)
        for act in (nn.Tanh(), nn.GELU(), nn.Sigmoid(), nn.Softplus(), nn.ReLU6(), nn.BatchNorm1d(8), nn.LayerNorm(8))
    },
    "batch norm before": (before_dropout(nn.BatchNorm1d(8)), VECTOR, [("1", "columns"), ("4", "columns")]),
    "softmax before": (before_dropout(nn.Softmax(-1)), VECTOR, [("1", "columns"), ("4", "columns")]),
    "images with batch norm after": (
        image(conv(padding=1), nn.Dropout2d(0.5), nn.BatchNorm2d(4), RELU, conv(padding=1)),
        IMAGE,
        [("1", "columns rows")],
    ),
    "skip around": (wired(lambda m, x: m.out((h := m.inner(m.first(x))) + m.drop(h))), VECTOR, [("inner", "columns")]),
    "skip around in-place relu": (wired(sums_with_in_place_relu, relu=nn.ReLU(inplace=True)), VECTOR, []),
    "two readers": (
        wired(lambda m, x: m.out(m.drop(h := m.inner(m.first(x)))) + m.other(h), other=nn.Linear(8, CLASSES)),
        VECTOR,
        [("inner", "columns"), ("out", "columns")],
    ),
    "read by a sum too": (
        wired(lambda m, x: m.out((h := m.drop(m.inner(m.first(x)))).relu() + h)),
        VECTOR,
        [("inner", "columns rows")],
    ),
    "its size is read": (
        wired(lambda m, x: m.out(m.drop(h := m.inner(m.first(x)))) * h.size(1)),
        VECTOR,
        [("inner", "columns"), ("out", "columns")],
    ),
    "written to later": (wired(mutating), VECTOR, [("inner", "columns")]),
    "weights called directly": (wired(lambda m, x: functional.linear(m.drop(x), m.inner.weight)), VECTOR, []),
    "subclass": (stack(nn.Dropout(0.5), Doubled(6, 8), nn.Dropout(0.5), nn.Linear(8, 3)), VECTOR, [("3", "columns")]),
    "parametrised": (parametrised, VECTOR, [("4", "columns")]),
    "patched": (patched, VECTOR, [("4", "columns")]),
    "dropout last": (stack(nn.Dropout(0.5), nn.Linear(6, 4), nn.Dropout(0.5)), VECTOR, FIRST),
    "dropout twice": (stack(nn.Dropout(0.5), nn.Dropout(0.5), nn.Linear(6, 4)), VECTOR, [("2", "columns")]),
    "groups": (image(conv(groups=2), nn.Dropout2d(0.5), conv(groups=4)), IMAGE, []),
    "transposed": (image(nn.ConvTranspose2d(4, 4, 3), nn.Dropout2d(0.5), nn.ConvTranspose2d(4, 4, 3)), IMAGE, []),
    "reflection": (image(conv(padding=1, padding_mode="reflect"), RELU), IMAGE, []),
    "single pixels into a convolution": (image(conv(padding=1), nn.Dropout(0.5), conv()), IMAGE, [("1", "columns")]),
    "single pixels into a pool": (
        stack(nn.Dropout(0.5), nn.MaxPool2d(3, 1, 1), nn.Flatten(), nn.Linear(144, CLASSES)),
        IMAGE,
        [],
    ),
    "pool of other axes": (
        stack(nn.Dropout1d(0.5), nn.MaxPool2d((2, 2)), nn.Flatten(), nn.Linear(9, CLASSES)),
        (6, 6),
        [],
    ),
    "spread out": (
        stack(nn.Dropout2d(0.3), nn.Upsample(scale_factor=2), nn.MaxPool2d(4), nn.Flatten(), nn.Linear(36, CLASSES)),
        IMAGE,
        [],
    ),
    "channels in part": (
        stack(nn.Dropout2d(0.3), nn.Flatten(2), nn.Conv1d(4, 2, 36), nn.Flatten(), nn.Linear(2, CLASSES)),
        IMAGE,
        [],
    ),
    "linear along the wrong axis": (
        stack(nn.Dropout1d(0.3), nn.Linear(6, 6), nn.Dropout1d(0.3), nn.Linear(6, 6), nn.Flatten(), nn.Linear(36, 3)),
        (6, 6),
        [],
    ),
    "sequences": (
        stack(nn.Dropout(0.3), nn.Linear(6, 6), nn.Dropout(0.3), nn.Linear(6, 6), nn.Flatten(), nn.Linear(36, 3)),
        (6, 6),
        [],
    ),
}
CASES = REFERENCE | THINNED | MASKED


def made(build: Build, dtype: torch.dtype = torch.float32) -> nn.Module:
    with seeded(derive(0, "weights")):
        module = build()
        for layer in module.modules():
            if isinstance(layer, nn.Linear | nn.Conv2d):
                layer.reset_parameters()
            if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
                layer.running_mean = torch.randn(layer.num_features)
                layer.running_var = torch.rand(layer.num_features) + 0.5
    return module.to(dtype).eval()


def rows(n: int, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(n, *shape, generator=derive(1, "rows")).to(dtype)


def probabilities(module: nn.Module, x: Tensor, *, thin: bool = True, k: int = 4) -> Tensor:
    return MCDropout(module, batch=4, thin=thin).draw(k, generator=derive(5)).log_probs(x).exp()


def shares(module: nn.Module, x: Tensor) -> list[tuple[str, str]]:
    """The layers that draws run in part, and which parts."""
    layers = active_dropouts(module, ())
    with torch.no_grad():
        found = thin_out(traced(module, layers), x[:4], layers)
    return [(layer.name, " ".join(part for part in ("columns", "rows") if getattr(layer, part))) for layer in found]


def agree(module: nn.Module, x: Tensor) -> bool:
    """Whether thinned draws are masked draws, without the check that would fall back to masks."""
    expected, tolerance = probabilities(module, x, thin=False), 1e-5 if x.dtype == torch.float32 else 1e-10
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(forms, "_agrees", lambda *_: True)
        rounded_up = probabilities(module, x)
        patch.setattr(thinned, "_MULTIPLE", 1)
        exactly = probabilities(module, x)
    return all(float((found - expected).abs().max()) <= tolerance for found in (rounded_up, exactly))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", CASES)
def test_thinned_draws_are_masked_draws(name: str, dtype: torch.dtype) -> None:
    build, shape, _ = CASES[name]
    assert agree(made(build, dtype), rows(6, *shape, dtype=dtype))


@pytest.mark.parametrize("name", CASES)
def test_what_can_be_thinned_is_and_nothing_else(name: str) -> None:
    build, shape, expected = CASES[name]
    assert shares(made(build), rows(4, *shape)) == expected


@st.composite
def vectors(draw: st.DrawFn) -> nn.Module:
    """A stack for vectors [n, 6]."""
    acts = (nn.ReLU(), nn.ReLU(inplace=True), nn.Tanh(), nn.Softplus(), nn.Identity(), nn.BatchNorm1d(6))
    layers = [*acts, nn.Dropout(0.5), nn.Dropout(0.3), nn.Dropout(1.0), nn.Linear(6, 6), nn.Linear(6, 6, bias=False)]
    return nn.Sequential(nn.Dropout(0.2), *draw(st.lists(st.sampled_from(layers), max_size=8)), nn.Linear(6, CLASSES))


@st.composite
def images(draw: st.DrawFn) -> nn.Module:
    """A stack for images [n, 4, 6, 6]; the same module may stand in several places."""
    drops = [nn.Dropout2d(0.5), nn.Dropout(0.5), nn.Dropout2d(1.0), nn.Dropout2d(0.0)]
    pools = [nn.MaxPool2d(3, 1, 1), nn.AvgPool2d(3, 1, 1, count_include_pad=False), nn.BatchNorm2d(4)]
    acts = [nn.ReLU(), nn.ReLU(inplace=True), nn.LeakyReLU(inplace=True), nn.Sigmoid()]
    convs = [conv(padding=1), conv(padding=1, bias=False), conv(padding=1, groups=2), nn.Conv2d(4, 4, 1)]
    layers = draw(st.lists(st.sampled_from([*drops, *pools, *acts, *convs]), max_size=8))
    return nn.Sequential(nn.Dropout2d(0.2), *layers, nn.Flatten(), nn.Dropout(0.1), nn.Linear(144, CLASSES))


@settings(max_examples=15, deadline=None)
@given(module=vectors())
def test_any_stack_of_layers_is_thinned_right(module: nn.Module) -> None:
    assert agree(made(lambda: module, torch.float64), rows(6, 6, dtype=torch.float64))


@settings(max_examples=15, deadline=None)
@given(module=images())
def test_any_stack_of_convolutions_is_thinned_right(module: nn.Module) -> None:
    assert agree(made(lambda: module, torch.float64), rows(6, 4, 6, 6, dtype=torch.float64))


def test_relu_and_pool_after_a_dropout_run_once_for_all_draws() -> None:
    module, x = made(batchbald_cnn), rows(6, *DIGIT)
    layers = active_dropouts(module, ())
    form: Any = cut(module, layers, x[:4])
    assert [node.target for node in form.first.graph.nodes if node.op == "call_module"] == ["0", "2"]
    assert functional.relu in {node.target for node in form.first.graph.nodes}


def test_a_disagreement_falls_back_to_masks(monkeypatch: pytest.MonkeyPatch) -> None:
    module, x = made(digits_mlp), rows(6, 64)
    expected = probabilities(module, x, thin=False)
    monkeypatch.setattr(thinned, "_linear", lambda x, weight, bias: functional.linear(x, weight, bias) * 2)
    form = cut(module, active_dropouts(module, ()), x[:4])
    assert form.traced
    assert not form.thinned
    assert torch.equal(probabilities(module, x), expected)


def test_the_batch_and_the_first_rows_do_not_matter() -> None:
    module, x = made(batchbald_cnn, torch.float64), rows(7, *DIGIT, dtype=torch.float64)
    expected = MCDropout(module).draw(3, generator=derive(0)).log_probs(x)
    draws = MCDropout(module, batch=2).draw(3, generator=derive(0))
    found = torch.cat([draws.log_probs(x[:1]), draws.log_probs(x[1:])])
    assert torch.allclose(found.exp(), expected.exp(), atol=1e-10)


def test_items_of_another_shape_are_thinned_anew() -> None:
    module = made(stack(nn.Dropout2d(0.3), conv(), nn.AdaptiveMaxPool2d(2), nn.Flatten(), nn.Linear(16, CLASSES)))
    posteriors = [MCDropout(module, thin=thin) for thin in (True, False)]
    for x in (rows(5, 4, 6, 6), rows(5, 4, 9, 7)):
        found, expected = (posterior.draw(3, generator=derive(0)).log_probs(x).exp() for posterior in posteriors)
        assert torch.allclose(found, expected, atol=1e-5)


def test_the_module_is_never_changed() -> None:
    module, x = made(batchbald_cnn), rows(6, *DIGIT)
    before = {name: weight.clone() for name, weight in module.state_dict().items()}
    posterior = MCDropout(module)
    posterior.draw(3, generator=derive(0)).log_probs(x)
    for network in (module, posterior._network.module):
        assert [name for name, _ in network.named_modules()] == ["", *(str(number) for number in range(13))]
        assert all(torch.equal(weight, before[name]) for name, weight in network.state_dict().items())
        assert not any(layer._forward_hooks for layer in network.modules())
