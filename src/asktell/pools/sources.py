"""Items from data that lies on disk: folders of images, tables of texts, files of features.

Each gives `Found`: ids that stay the same for life, what the items are, their digests, labels that exist already, and
what was left out with its reason. Nothing here loads torch.
"""

from asktell.pools.features import read_features
from asktell.pools.folders import read_images
from asktell.pools.found import Found
from asktell.pools.tables import read_table

__all__ = ["Found", "read_features", "read_images", "read_table"]
