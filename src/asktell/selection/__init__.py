"""Which rows to ask: functions from arrays to a `Selection`, rows in pick order."""

from asktell.selection.joint import batchbald, joint_information
from asktell.selection.ranked import power_sample, softmax_sample, softrank_sample, top_k
from asktell.selection.result import Report, Selection

__all__ = [
    "Report",
    "Selection",
    "batchbald",
    "joint_information",
    "power_sample",
    "softmax_sample",
    "softrank_sample",
    "top_k",
]
