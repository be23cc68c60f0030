"""封存: encryption of personal data at rest, and pseudonyms (个保法 art. 51: 加密、去标识化).

One secret, ``BIANMIN_REGISTER__ENCRYPTION_KEY``, from which three keys are derived with HKDF: one for Fernet
(AES-128-CBC with HMAC-SHA256), one for the HMAC of pseudonyms, one for the HMAC of signed addresses. Fernet's own form of key is not demanded, so that an
office may use any long passphrase; without one a random key is kept in the data folder.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
import os
import secrets
import tempfile
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from register.errors import SealBroken

KEY_FILE = "register.key"
SHORTEST_KEY = 16

log = logging.getLogger(__name__)


class Seal:
    """封条: closes and opens personal data, and gives people names that say nothing about them."""

    __slots__ = ("_fernet", "_pseudonyms", "_signatures")

    def __init__(self, key: str) -> None:
        """``key`` is any secret text of at least 16 characters. Raises :class:`SealBroken` when it is shorter."""
        if len(key) < SHORTEST_KEY:
            raise SealBroken(
                f"the encryption key has fewer than {SHORTEST_KEY} characters; "
                "set BIANMIN_REGISTER__ENCRYPTION_KEY to a longer one"
            )
        self._fernet = Fernet(base64.urlsafe_b64encode(_derive(key, b"bianmin register seal")))
        self._pseudonyms = hmac.new(_derive(key, b"bianmin register pseudonym"), digestmod=hashlib.sha256)
        self._signatures = hmac.new(_derive(key, b"bianmin register signature"), digestmod=hashlib.sha256)

    def close(self, text: str) -> str:
        """The sealed form of ``text``, printable ASCII; different each time."""
        return self._fernet.encrypt(text.encode("utf-8", "surrogatepass")).decode("ascii")

    def open(self, sealed: str) -> str:
        """The text that was sealed. Raises :class:`SealBroken` for another key or a damaged value."""
        try:
            return self._fernet.decrypt(sealed).decode("utf-8", "surrogatepass")
        except (InvalidToken, ValueError) as error:
            raise SealBroken(
                "personal data were sealed with another key; "
                f"restore the {KEY_FILE} of the backup or set the former BIANMIN_REGISTER__ENCRYPTION_KEY"
            ) from error

    def pseudonym(self, text: str) -> str:
        """假名: 32 hex digits, the same for the same text and key; not to be turned back without the key."""
        mac = self._pseudonyms.copy()
        mac.update(text.encode("utf-8", "surrogatepass"))
        return mac.hexdigest()[:32]

    def sign(self, text: str) -> str:
        """签名: 43 characters that may stand in an address; only this house can make them for ``text``."""
        mac = self._signatures.copy()
        mac.update(text.encode("utf-8", "surrogatepass"))
        return base64.urlsafe_b64encode(mac.digest()).rstrip(b"=").decode("ascii")

    def signed(self, text: str, signature: str) -> bool:
        """Whether ``signature`` is ours for ``text``; takes the same time whatever is wrong with it."""
        return hmac.compare_digest(self.sign(text).encode(), signature.encode("utf-8", "surrogatepass"))


def load_or_create(key: str, folder: Path) -> Seal:
    """The seal of this house: the configured ``key``, else the key file in the data ``folder``, made once.

    Safe when several processes start at once: the first file stands and everybody reads it.
    """
    if key:
        return Seal(key)
    path = folder / KEY_FILE
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        _write_once(path, secrets.token_urlsafe(32))
    return Seal(path.read_text("ascii").strip())


def _write_once(path: Path, key: str) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".register-key-")  # mkstemp gives mode 0600
    draft = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(key + "\n")
            file.flush()
            os.fsync(file.fileno())
        draft.chmod(0o600)
        try:
            path.hardlink_to(draft)  # fails when another process was first; never shows a half-written key
        except FileExistsError:
            return
        log.warning(
            "made %s, the key of the sealed personal data: back it up apart from the database; "
            "without it sealed data cannot be opened",
            path,
        )
    finally:
        draft.unlink(missing_ok=True)


def _derive(key: str, purpose: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=purpose).derive(key.encode("utf-8", "surrogatepass"))
