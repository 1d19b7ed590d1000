"""A project's settings, read again only after somebody has changed the project."""

from asktell.project import Project


class Settings:
    """Reads like a mapping of what `Project.settings` holds now. May be used from several threads."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._read: tuple[int, dict[str, object]] | None = None

    def get(self, name: str) -> object:
        """The value of a setting; None if it is not set."""
        version, known = self._project.changes(), self._read
        if known is None or known[0] != version:
            known = self._read = (version, self._project.settings)
        return known[1].get(name)
