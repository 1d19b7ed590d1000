"""A model of scikit-learn: which handwritten digits should be labelled so that a random forest reads the others well?

    python examples/own_sklearn.py

The trees of the forest are the draws: BatchBALD asks what they disagree about. Random items are asked for comparison.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import train_test_split

import asktell

START, BATCH, ROUNDS, SEEDS = 20, 20, 4, (0, 1)

pixels, digits = load_digits(return_X_y=True)
pool, test, truth, test_truth = train_test_split(pixels, digits, test_size=500, random_state=0)
ids = [f"digit-{row}" for row in range(len(pool))]  # ids are stable for life: here the row in the pool, as text
row_of = {item: row for row, item in enumerate(ids)}


def rows(items: tuple[str, ...]) -> list[int]:
    """Where the items stand in the pool."""
    return [row_of[item] for item in items]


def draws(forest: RandomForestClassifier, images: np.ndarray) -> np.ndarray:
    """Log-probabilities by image, tree and class; a class that the forest has not seen yet has probability 0."""
    probs = np.zeros((len(images), len(forest.estimators_), 10), dtype=np.float32)
    for number, tree in enumerate(forest.estimators_):
        probs[:, number, forest.classes_] = tree.predict_proba(images)
    with np.errstate(divide="ignore"):
        return np.log(probs)  # log 0 = -inf is legal


def accuracies(strategy: asktell.strategies.Strategy, seed: int, folder: Path) -> list[float]:
    """Test accuracy before the first query and after each."""
    found = []
    with asktell.Project.create(folder, ids, classes=list("0123456789"), seed=seed) as project:
        first = asktell.Loop(project, asktell.strategies.Random())
        query = first.ask(first.candidates(), START)
        loop = asktell.Loop(project, strategy)
        for _ in range(ROUNDS + 1):
            loop.tell(query.ids, [str(truth[row]) for row in rows(query.ids)], annotator="scikit-learn")
            snapshot = loop.candidates()
            forest = RandomForestClassifier(50, min_samples_leaf=2, random_state=seed)
            forest.fit(pool[rows(snapshot.labelled_ids)], [int(label) for label in snapshot.labels])
            found.append(forest.score(test, test_truth))
            query = loop.ask(snapshot, BATCH, log_probs=draws(forest, pool[rows(snapshot.ids)]))
    return found


with TemporaryDirectory() as folder:
    print("labels           ", *(f"{START + number * BATCH:5d}" for number in range(ROUNDS + 1)))
    for strategy in (asktell.strategies.BatchBALD(), asktell.strategies.Random()):
        runs = [accuracies(strategy, seed, Path(folder) / f"{strategy.name}-{seed}") for seed in SEEDS]
        print(f"{strategy.name:9} accuracy", *(f"{accuracy:5.3f}" for accuracy in np.mean(runs, axis=0)))
