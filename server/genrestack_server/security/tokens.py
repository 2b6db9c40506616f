"""Bearer tokens: a file of their SHA-256, one a line, and what a caller's token may do.

    # who may ask
    9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08 web-frontend
    60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752 release-job admin

A token is 32 random bytes, so its plain SHA-256 gives nothing away; a slow hash is for what people make up.
"""

import hashlib
import hmac
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from genrestack_common.text import counted
from genrestack_server.errors import TokenFileError

ADMIN: Final = "admin"
"""Word that marks a token for management calls."""
NAME: Final = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
"""What the name of a token may be."""
_DIGEST: Final = r"[0-9a-fA-F]{64}"
_MAX_FILE_BYTES: Final = 2**20


@dataclass(frozen=True, slots=True)
class Token:
    """What is known of a token that is let in."""

    digest: bytes
    name: str
    admin: bool


class Tokens:
    """The tokens of a file, as of its last good reading."""

    def __init__(self, path: Path) -> None:
        self.paths: Final = (path,)
        self._tokens = read_tokens(path)

    def find(self, text: str) -> Token | None:
        """Find a caller's token; how long it takes does not depend on how nearly it is one."""
        digest = token_digest(text)
        found = None
        for token in self._tokens:
            if hmac.compare_digest(token.digest, digest):
                found = token
        return found

    def reload(self) -> str:
        """Read the file again; a broken one leaves the old tokens in force.

        Returns:
            what was read, for the log.

        Raises:
            TokenFileError: as `read_tokens`.

        """
        (path,) = self.paths
        self._tokens = read_tokens(path)
        return f"{path}, {counted(len(self._tokens), 'token')}"


def token_digest(text: str) -> bytes:
    """Return a token's SHA-256, 32 bytes."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()


def read_tokens(path: Path) -> tuple[Token, ...]:
    """Read a token file.

    Raises:
        TokenFileError: naming the file and line, never the line's text: it may be a token.

    """
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_FILE_BYTES + 1)
    except OSError as error:
        raise TokenFileError(
            f"cannot read the token file {path}: {error.strerror}; check its path, and that this user may read it"
        ) from error
    if len(content) > _MAX_FILE_BYTES:
        raise TokenFileError(f"the token file {path} is larger than 1 MiB; it takes a line for each token")
    tokens: dict[bytes, Token] = {}
    for number, line in enumerate(content.decode("utf-8", "replace").splitlines(), start=1):
        token = _parsed(line, f"{path} line {number}")
        if token is not None:
            if token.digest in tokens:
                raise TokenFileError(f"{path} line {number} is the token of an earlier line once more; remove one")
            tokens[token.digest] = token
    if not tokens:
        raise TokenFileError(f"the token file {path} holds no token; `genrestack token` makes one and its line")
    return tuple(tokens.values())


def _parsed(line: str, where: str) -> Token | None:
    words = line.partition("#")[0].split()
    if not words:
        return None
    if not re.fullmatch(_DIGEST, words[0]):
        raise TokenFileError(f"{where} does not begin with 64 hexadecimal digits; `genrestack token` makes a line")
    admin = len(words) > 1 and words[-1] == ADMIN
    names = words[1:-1] if admin else words[1:]
    if len(names) > 1 or any(name == ADMIN or not re.fullmatch(NAME, name) for name in names):
        raise TokenFileError(f"{where} must be: DIGEST [NAME] [admin]; a name is letters, digits, '.', '_' and '-'")
    return Token(bytes.fromhex(words[0]), names[0] if names else "", admin)
