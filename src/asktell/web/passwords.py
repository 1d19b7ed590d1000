"""Passwords and tokens: only their hashes are kept."""

from hashlib import sha256
from hmac import compare_digest
from secrets import token_urlsafe

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from asktell.errors import ProjectError

LEAST, MOST = 8, 1024
"""Characters of a password."""
_HASHER = PasswordHasher()


def hash_password(password: str) -> str:
    """What to keep as the setting `password`: argon2id with a salt. Raises `ProjectError` if too short or too long."""
    if not LEAST <= len(password) <= MOST:
        raise ProjectError(f"a password has {LEAST} to {MOST} characters, not {len(password)}; choose another")
    return _HASHER.hash(password)


def is_password(password: str, kept: str) -> bool:
    """Whether it is the password whose hash was kept. Takes some 50 ms, on purpose."""
    try:
        return len(password) <= MOST and _HASHER.verify(kept, password)
    except (Argon2Error, InvalidHashError):
        return False


def make_token() -> tuple[str, str]:
    """A new token of 256 random bits for programs, and what to keep of it as the setting `token`."""
    token = token_urlsafe(32)
    return token, hash_token(token)


def hash_token(token: str) -> str:
    """What is kept of a token: nobody guesses 256 bits, so a plain hash is enough."""
    return sha256(token.encode()).hexdigest()


def is_token(token: str, kept: str) -> bool:
    """Whether it is the token whose hash was kept, compared in constant time."""
    return compare_digest(hash_token(token), kept)
