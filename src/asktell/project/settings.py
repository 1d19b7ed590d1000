"""Settings of a project by name: JSON values that people and programs may change."""

import json

from sqlalchemy import Connection, delete, insert, select

from asktell.project import schema
from asktell.project.documents import to_json


def read(connection: Connection) -> dict[str, object]:
    """All settings, by name in alphabetical order."""
    setting = schema.setting.c
    rows = connection.execute(select(setting.name, setting.value).order_by(setting.name))
    return {name: json.loads(value) for name, value in rows}


def write(connection: Connection, name: str, value: object) -> None:
    """Another value; None removes the setting. Raises `ProjectError` if the value is no JSON."""
    connection.execute(delete(schema.setting).where(schema.setting.c.name == name))
    if value is not None:
        connection.execute(insert(schema.setting), {"name": name, "value": to_json(value, f"setting {name!r}")})
