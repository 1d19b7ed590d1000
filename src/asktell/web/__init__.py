"""The labelling page, the dashboard and the API of a project. Needs the extra: pip install 'asktell[serve]'."""

from asktell.web.app import create_app
from asktell.web.passwords import hash_password, make_token
from asktell.web.server import serve

__all__ = ["create_app", "hash_password", "make_token", "serve"]
