"""A training loop of one's own: a small torch network reads handwritten digits; its dropout masks are the draws.

    python examples/own_torch_loop.py [DIR]

Nothing of asktell trains here. With DIR the project stays; run again, it goes on where it was stopped.
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

import asktell

BATCH, ROUNDS, DRAWS = 20, 4, 50
torch.set_num_threads(1)  # so small a network is slower on more

digits = load_digits()
pixels, truth = torch.tensor(digits.data / 16, dtype=torch.float32), digits.target
pool, test = slice(0, 1297), slice(1297, None)
ids = [f"digit-{row}" for row in range(1297)]
row_of = {item: row for row, item in enumerate(ids)}


def inputs(items: tuple[str, ...]) -> Tensor:
    """The images of some items."""
    return pixels[[row_of[item] for item in items]]


def train(images: Tensor, labels: Tensor) -> nn.Module:
    """A fresh network, fitted the usual way."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Dropout(0.5), nn.Linear(128, 10))
    optimiser = torch.optim.Adam(network.parameters(), lr=3e-3)
    for _ in range(200):
        optimiser.zero_grad()
        nn.functional.cross_entropy(network(images), labels).backward()
        optimiser.step()
    return network.eval()


def main(folder: str) -> None:
    """Label, train, measure, ask; the first batch is random."""
    if not (Path(folder) / "project.db").exists():
        asktell.Project.create(folder, ids, classes=list("0123456789")).close()
    with asktell.Project.open(folder) as project:
        loop = asktell.Loop(project, asktell.strategies.BatchBALD())
        if not project.queries:
            asktell.Loop(project, asktell.strategies.Random()).ask(loop.candidates(), BATCH)
        while True:
            for query in loop.unanswered:  # what a person would see now
                answers = [str(truth[row_of[item]]) for item in query.ids]
                loop.tell(query.ids, answers, annotator="scikit-learn")
            snapshot = loop.candidates()
            labels = torch.tensor([project.classes.index(label) for label in snapshot.labels])
            network = train(inputs(snapshot.labelled_ids), labels)
            right = network(pixels[test]).argmax(1) == torch.tensor(truth[test])
            print(f"{len(labels):4d} labels: test accuracy {right.double().mean():.3f}", flush=True)
            if len(project.queries) > ROUNDS:
                return
            draws = asktell.MCDropout(network).draw(DRAWS, generator=asktell.derive(0, "draws", project.next_query))
            query = loop.ask(snapshot, BATCH, log_probs=draws.log_probs(inputs(snapshot.ids)))
            print(f"     asked {BATCH} items that tell {sum(query.scores):.2f} nats about the network")


if len(sys.argv) > 1:
    main(sys.argv[1])
else:
    with TemporaryDirectory() as folder:
        main(folder)
