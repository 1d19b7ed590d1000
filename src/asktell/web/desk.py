"""A project as it is served: everything that the routes work with, in one place."""

import json
import time
from collections.abc import Mapping
from pathlib import Path

from asktell.project import Project
from asktell.project.catalogue import Catalogue
from asktell.project.worker import Notice, notice, read_worker
from asktell.web.advice import Advice, newest_advice
from asktell.web.answering import Answering
from asktell.web.asking import Asking, Upcoming
from asktell.web.sessions import Sessions
from asktell.web.settings import Settings
from asktell.web.showing import Showing
from asktell.web.throttle import Throttle

TRIES, TRIES_OF_ALL, MINUTE = 5, 50, 60.0
"""Wrong passwords a minute: from one address, and from all."""


class Desk:
    """Opens a project for serving. Close it."""

    def __init__(self, folder: Path, secret: str) -> None:
        self.project = Project.open(folder)
        self.settings = Settings(self.project)
        self.catalogue = Catalogue(self.project.path)
        self.sessions = Sessions(self.project, self.settings, secret, Throttle(TRIES, TRIES_OF_ALL, MINUTE))
        self.showing = Showing(self.project, self.settings, self.catalogue)
        self.answering = Answering(self.project)
        self._asking = Asking(self.project, self.catalogue)
        self.is_over = False

    def close(self) -> None:
        """Let go of the project; open event streams end."""
        self.is_over = True
        self.catalogue.close()
        self.project.close()

    @property
    def folder(self) -> Path:
        """The project's folder."""
        return self.project.folder

    @property
    def name(self) -> str:
        """What people call the project: the name of its folder."""
        return self.folder.resolve().name

    def upcoming(self, n: int) -> Upcoming:
        """The next questions; see `Asking`."""
        return self._asking.upcoming(n, stopped=self.is_stopped())

    def notice(self) -> Notice:
        """What to tell people about the worker now."""
        return notice(read_worker(self.folder), self.folder, time.time())

    def advice(self) -> Advice | None:
        """The newest advice on stopping; None before the first."""
        return newest_advice(self.project.trainings)

    def is_stopped(self) -> bool:
        """Whether the project was told to stop when advised to, and the advice is to stop."""
        if self.settings.get("stop") is not True:
            return False
        advice = self.advice()
        return advice is not None and advice.stop

    def document(self, name: str) -> Mapping[str, object]:
        """A small JSON file of the worker's, empty where there is none that can be read."""
        try:
            found = json.loads((self.folder / name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, Mapping) else {}
