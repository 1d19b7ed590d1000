"""Which rows to ask: functions from arrays to a `Selection`, rows in pick order."""

from asktell.selection.balls import probcover, purity_radius
from asktell.selection.cover import k_center, robust_k_center
from asktell.selection.facility import facility_location, max_cover
from asktell.selection.fisher import bait
from asktell.selection.joint import batchbald, joint_information
from asktell.selection.ranked import power_sample, softmax_sample, softrank_sample, top_k
from asktell.selection.result import Report, Selection
from asktell.selection.spread import kmeans_pp, weighted_kmeans
from asktell.selection.typical import typiclust

__all__ = [
    "Report",
    "Selection",
    "bait",
    "batchbald",
    "facility_location",
    "joint_information",
    "k_center",
    "kmeans_pp",
    "max_cover",
    "power_sample",
    "probcover",
    "purity_radius",
    "robust_k_center",
    "softmax_sample",
    "softrank_sample",
    "top_k",
    "typiclust",
    "weighted_kmeans",
]
