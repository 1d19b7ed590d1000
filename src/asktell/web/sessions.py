"""Who is there: the password at the door, signed cookies, tokens of programs, and proof against forged requests."""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from secrets import token_urlsafe

from itsdangerous import BadData, URLSafeTimedSerializer

from asktell.errors import AsktellError
from asktell.project import Project
from asktell.web.passwords import is_password, is_token
from asktell.web.settings import Settings
from asktell.web.throttle import Throttle

DAYS = 14
"""How long a session lasts."""
NAME_LENGTH = 60
NOBODY = "me"
"""Whose answers they are where nobody said."""
_DOOR = "door"


class RefusedError(AsktellError):
    """Somebody is not let in; `status` is the HTTP status, `wait` the seconds until another try makes sense."""

    def __init__(self, message: str, status: int, wait: float = 0.0) -> None:
        super().__init__(message)
        self.status, self.wait = status, wait


@dataclass(frozen=True)
class Visitor:
    """Somebody who was let in: the name that answers are kept under, and the session; None for a program's token."""

    annotator: str
    session: str | None


class Sessions:
    """Lets people in by the project's password and programs by its token.

    A session is a signed cookie: nothing is kept here, so that it outlives a restart. Another password, or another
    `secret`, ends all sessions. `throttle` bounds wrong passwords.
    """

    def __init__(self, project: Project, settings: Settings, secret: str, throttle: Throttle) -> None:
        self._settings, self._throttle = settings, throttle
        self._key = sha256(secret.encode()).digest()
        self._signer = URLSafeTimedSerializer(
            secret, salt="asktell session", signer_kwargs={"key_derivation": "hmac", "digest_method": sha256}
        )
        self.cookie = f"asktell_{sha256(str(project.folder.resolve()).encode()).hexdigest()[:10]}"

    def sign_in(self, password: str, annotator: str, address: str) -> str:
        """A new session as the value of its cookie. Raises `RefusedError`."""
        wait = self._throttle.attempt(address)
        if wait:
            raise RefusedError(f"Too many wrong passwords. Try again in {wait:.0f} seconds.", 429, wait)
        kept = self._kept("password")
        if kept is None or not is_password(password, kept):
            raise RefusedError("That is not the project's password.", 403)
        self._throttle.succeed(address)
        session = {"annotator": check_annotator(annotator), "session": token_urlsafe(16), "password": _mark(kept)}
        return self._signer.dumps(session)

    def by_cookie(self, cookies: Mapping[str, str]) -> Visitor | None:
        """Who sent these cookies; None if nobody who is let in."""
        try:
            session = self._signer.loads(cookies.get(self.cookie, ""), max_age=DAYS * 86_400)
        except BadData:
            return None
        kept = self._kept("password")
        if kept is None or not hmac.compare_digest(_mark(kept), session["password"]):
            return None
        return Visitor(session["annotator"], session["session"])

    def by_token(self, token: str) -> Visitor | None:
        """The program that sent this token; None if it is not the project's."""
        kept = self._kept("token")
        if kept is None or not is_token(token, kept):
            return None
        return Visitor(NOBODY, None)

    # Proof that a request was made by one of our own pages ---------------------------------------------------

    def proof(self, visitor: Visitor) -> str:
        """What every page of a session holds and every change must send back."""
        return self._prove(f"session:{visitor.session}")

    def is_proof(self, visitor: Visitor, given: str) -> bool:
        """Whether a change came with its session's proof. Programs with a token need none: no browser adds one."""
        return visitor.session is None or hmac.compare_digest(self.proof(visitor).encode(), given.encode())

    def door(self, cookies: Mapping[str, str]) -> tuple[str, str]:
        """For the sign-in page, where there is no session yet: a value for the door's cookie, and its proof."""
        kept = cookies.get(self.door_cookie) or token_urlsafe(16)
        return kept, self._prove(f"door:{kept}")

    def is_door_proof(self, cookies: Mapping[str, str], given: str) -> bool:
        """Whether a sign-in came from our own page."""
        kept = cookies.get(self.door_cookie)
        return bool(kept) and hmac.compare_digest(self._prove(f"door:{kept}").encode(), given.encode())

    @property
    def door_cookie(self) -> str:
        """The name of the cookie that ties the sign-in page to a browser."""
        return f"{self.cookie}_{_DOOR}"

    def _prove(self, what: str) -> str:
        return hmac.new(self._key, what.encode(), sha256).hexdigest()

    def _kept(self, name: str) -> str | None:
        kept = self._settings.get(name)
        return kept if isinstance(kept, str) else None


def check_annotator(name: str) -> str:
    """The name, trimmed; "me" for none. Raises `RefusedError` for one that is too long or holds control characters.

    >>> check_annotator("  Ann "), check_annotator("")
    ('Ann', 'me')
    """
    trimmed = name.strip()
    if len(trimmed) > NAME_LENGTH or not trimmed.isprintable():
        raise RefusedError(f"A name has at most {NAME_LENGTH} printable characters; choose another.", 422)
    return trimmed or NOBODY


def _mark(kept: str) -> str:
    """What a session remembers of the password's hash, so that another password ends it."""
    return sha256(kept.encode()).hexdigest()[:16]
