"""Scores of how much the draws disagree, taking each draw as one member of a committee."""

from torch import Tensor

from asktell.arrays import LogProbs, Scores, entropies
from asktell.scores.formula import applied_to_committee


def mc_variation_ratio(log_probs: LogProbs) -> Scores:
    """1 - the share of draws that vote for the most voted class.

    Between 0 and 1 - 1/min(k, c), in steps of 1/k: many ties. Freeman 1965; Gal et al. 2017, section 4
    (arXiv:1703.02910).

    >>> votes = torch.tensor([[[0.9, 0.1], [0.8, 0.2], [0.2, 0.8], [0.6, 0.4]]]).log()
    >>> mc_variation_ratio(votes)
    tensor([0.2500], dtype=torch.float64)
    """
    return applied_to_committee(lambda p, _: 1 - _vote_shares(p).amax(-1), log_probs)


def vote_entropy(log_probs: LogProbs) -> Scores:
    """H[share of votes per class], in nats.

    Between 0 and log min(k, c). Dagan & Engelson 1995.

    >>> vote_entropy(torch.tensor([[[0.9, 0.1], [0.2, 0.8]]]).log())
    tensor([0.6931], dtype=torch.float64)
    """
    return applied_to_committee(lambda p, _: entropies(_vote_shares(p)), log_probs)


def max_kl(log_probs: LogProbs) -> Scores:
    """max_k KL(p_k || mean_k p), in nats: how far the most deviant member is from the consensus.

    Between `bald`, which is the mean over k, and log k. After McCallum & Nigam 1998.

    >>> max_kl(torch.tensor([[[1.0, 0.0], [0.0, 1.0]]]).log())
    tensor([0.6931], dtype=torch.float64)
    """
    return applied_to_committee(_max_kl, log_probs)


def mean_std(log_probs: LogProbs) -> Scores:
    """mean_c std_k p, the population standard deviation over draws.

    Between 0 and sqrt((1 - 1/c) / c). Kampffmeyer et al. 2016; Gal et al. 2017 (arXiv:1703.02910), section 4.

    >>> mean_std(torch.tensor([[[1.0, 0.0], [0.0, 1.0]]]).log())
    tensor([0.5000], dtype=torch.float64)
    """
    return applied_to_committee(_mean_std, log_probs)


def _vote_shares(p: Tensor) -> Tensor:
    """[rows, c]: the share of draws whose likeliest class it is."""
    votes = p.argmax(-1, keepdim=True)
    return p.new_zeros(p.shape).scatter_(-1, votes, 1.0).mean(1)


def _mean_std(p: Tensor, _: Tensor) -> Tensor:
    return (p - p.mean(1, keepdim=True)).square_().mean(1).sqrt_().mean(-1)


def _max_kl(p: Tensor, log_p: Tensor) -> Tensor:
    log_mean = p.mean(1, keepdim=True).clamp_min(5e-324).log()
    return (p * (log_p - log_mean)).sum(-1).amax(-1).clamp_min(0.0)
