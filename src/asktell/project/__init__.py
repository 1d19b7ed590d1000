"""The durable half: what must survive a crash, in one database. Standard library and SQLAlchemy only."""

from asktell.project.schema import ItemPart, ItemState
from asktell.project.status import Status
from asktell.project.store import Project

__all__ = ["ItemPart", "ItemState", "Project", "Status"]
