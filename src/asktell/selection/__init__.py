"""Which rows to ask: functions from arrays to a `Selection`, rows in pick order."""

from asktell.selection.joint import batchbald, joint_information
from asktell.selection.ranked import power_sample, softmax_sample, softrank_sample, top_k
from asktell.selection.result import Report, Selection
from asktell.selection.spread import kmeans_pp, weighted_kmeans

__all__ = [
    "Report",
    "Selection",
    "batchbald",
    "joint_information",
    "kmeans_pp",
    "power_sample",
    "softmax_sample",
    "softrank_sample",
    "top_k",
    "weighted_kmeans",
]
