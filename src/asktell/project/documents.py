"""JSON as it stands in the database."""

import json

from asktell.errors import ProjectError


def to_json(document: object, what: str) -> str:
    """A document as text; raises `ProjectError` for what is no JSON: other objects, NaN, infinity.

    >>> to_json({"name": "bald"}, "a strategy")
    '{"name": "bald"}'
    """
    try:
        return json.dumps(document, allow_nan=False, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise ProjectError(f"{what} must be JSON, and {document!r} is not: {error}") from None
