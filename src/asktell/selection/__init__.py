"""Which rows to ask: functions from arrays to a `Selection`, rows in pick order."""

from asktell.selection.cover import k_center, max_cover, robust_k_center
from asktell.selection.joint import batchbald, joint_information
from asktell.selection.ranked import power_sample, softmax_sample, softrank_sample, top_k
from asktell.selection.result import Report, Selection
from asktell.selection.spread import kmeans_pp, weighted_kmeans

__all__ = [
    "Report",
    "Selection",
    "batchbald",
    "joint_information",
    "k_center",
    "kmeans_pp",
    "max_cover",
    "power_sample",
    "robust_k_center",
    "softmax_sample",
    "softrank_sample",
    "top_k",
    "weighted_kmeans",
]
