"""Scores of the mean prediction, and its aleatoric part."""

from torch import Tensor

from asktell.arrays import LogProbs, Scores, entropies
from asktell.scores.formula import applied


def least_confident(log_probs: LogProbs) -> Scores:
    """1 - max_c mean_k p: the probability that the mean prediction is wrong, by its own account.

    Between 0 and 1 - 1/c. Lewis & Gale 1994; often called "variation ratio", which is `mc_variation_ratio`.

    >>> least_confident(torch.tensor([[[0.7, 0.3]]]).log())
    tensor([0.3000], dtype=torch.float64)
    """
    return applied(lambda p, _: 1 - p.mean(1).amax(-1), log_probs)


def margin(log_probs: LogProbs) -> Scores:
    """-(p1 - p2): minus the lead of the likeliest class of the mean prediction over the second.

    Between -1 and 0; 0 with a single class. Scheffer et al. 2001.

    >>> margin(torch.tensor([[[0.7, 0.2, 0.1]]]).log())
    tensor([-0.5000], dtype=torch.float64)
    """
    return applied(_margin, log_probs)


def entropy(log_probs: LogProbs) -> Scores:
    """H[mean_k p], total uncertainty, in nats.

    Between 0 and log c. Shannon 1948; "max entropy" in Gal et al. 2017 (arXiv:1703.02910), section 4.

    >>> entropy(torch.tensor([[[0.5, 0.5]]]).log())
    tensor([0.6931], dtype=torch.float64)
    """
    return applied(lambda p, _: entropies(p.mean(1)), log_probs)


def expected_entropy(log_probs: LogProbs) -> Scores:
    """mean_k H[p_k], aleatoric uncertainty, in nats: what stays unknown were the model known.

    Between 0 and `entropy`. Depeweg et al. 2018, eq. 4 (arXiv:1710.07283).

    >>> clash = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]]).log()
    >>> expected_entropy(clash).abs()
    tensor([0.], dtype=torch.float64)
    """
    return applied(lambda p, log_p: entropies(p, log_p).mean(1), log_probs)


def _margin(p: Tensor, _: Tensor) -> Tensor:
    if p.shape[-1] == 1:
        return p.new_zeros(len(p))
    first, second = p.mean(1).topk(2, dim=-1).values.unbind(-1)
    return second - first
