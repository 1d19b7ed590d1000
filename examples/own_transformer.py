"""A text classifier of Hugging Face as a posterior: a Gaussian over its last layer, after it was fitted as ever.

    python examples/own_transformer.py

Needs transformers (pip install 'asktell[transformers]'). So that nothing is downloaded, the network here is tiny and
starts from random weights; with `AutoModelForSequenceClassification.from_pretrained(...)` and its tokenizer in place
of `build` and `tokens` it is the real thing.
"""

import torch
from torch import Tensor, nn
from transformers import BertConfig, BertForSequenceClassification

import asktell
from asktell.learners import LastLayerLaplace, Round
from asktell.rows import as_rows
from asktell.training import Training

torch.set_num_threads(1)

ANIMALS, VEHICLES = ["owl", "wren", "fox", "hare", "trout"], ["tram", "bus", "truck", "ferry", "glider"]
PLACES, TIMES = ["forest", "harbour", "town", "valley"], ["today", "slowly", "often", "again"]
CLASSES = ("animal", "vehicle")
texts = [
    f"the {thing} crossed the {place} {time}" for thing in ANIMALS + VEHICLES for place in PLACES for time in TIMES
]
truth = torch.tensor([int(any(word in text for word in VEHICLES)) for text in texts])
VOCABULARY = {word: number for number, word in enumerate(sorted({w for text in texts for w in text.split()}), 2)}
UNKNOWN, LENGTH = 1, 8  # 0 is padding


def tokens(sentences: list[str]) -> Tensor:
    """Numbers of words, int64 [sentences, LENGTH]."""
    numbers = [[VOCABULARY.get(word, UNKNOWN) for word in sentence.split()][:LENGTH] for sentence in sentences]
    return torch.tensor([row + [0] * (LENGTH - len(row)) for row in numbers])


class Logits(nn.Module):
    """Token numbers in, logits out: all that asktell asks of a network."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, numbers: Tensor) -> Tensor:
        """[n, classes]."""
        logits: Tensor = self.model(input_ids=numbers, attention_mask=(numbers != 0).long()).logits
        return logits


def build(classes: int) -> nn.Module:
    """A BERT of two layers, untrained."""
    config = BertConfig(
        vocab_size=len(VOCABULARY) + 2, hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=64, max_position_embeddings=LENGTH, num_labels=classes,
    )  # fmt: skip
    return Logits(BertForSequenceClassification(config))


order = torch.randperm(len(texts), generator=asktell.derive(0, "order"))
train, test = order[:60].tolist(), order[60:].tolist()
labelled = Round(0, CLASSES, as_rows(tokens([texts[i] for i in train])), truth[train])
learner = LastLayerLaplace(build, Training(epochs=20, batch=16, lr=2e-3), precision=1.0, head="model.classifier")
posterior = learner.fit(labelled, generator=asktell.derive(0, "fit"))

sentences = as_rows(tokens([texts[i] for i in test]))
right = posterior.predict(sentences).argmax(1) == truth[test]
print(f"accuracy {right.double().mean():.3f} on {len(test)} sentences")
draws = posterior.draw(50, generator=asktell.derive(0, "draws"))
known = asktell.uncertainty(draws.log_probs(sentences)).epistemic.mean()
strange = asktell.uncertainty(draws.log_probs(as_rows(tokens(["one two three four", "lorem ipsum"])))).epistemic.mean()
print(f"epistemic uncertainty in nats: sentences {known:.3f}, nonsense {strange:.3f}")
