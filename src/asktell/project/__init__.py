"""The durable half: what must survive a crash, in one database. Standard library and SQLAlchemy only."""

from asktell.project.schema import ItemState
from asktell.project.status import Status
from asktell.project.store import Project

__all__ = ["ItemState", "Project", "Status"]
