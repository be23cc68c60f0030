"""A WeChat server and the phone behind it, written from the protocol page and without wechatpy.

消息加解密说明: AES-256-CBC, key = base64(EncodingAESKey + "="), IV = the key's first 16 bytes, plain text = 16 random
bytes + length (4 bytes, network order) + message + AppID, padded to 32 bytes (PKCS#7).
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import struct
import time
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

LETTERS = Path(__file__).parent / "letters" / "wechat"
TOKEN = "qinghe-token"
AES_KEY = base64.b64encode(bytes(range(32))).decode().rstrip("=")
APP_ID = "wxqinghe000000001"


def sha1(*parts: str) -> str:
    return hashlib.sha1("".join(sorted(parts)).encode()).hexdigest()


def letter(name: str, **fields: str) -> str:
    """A raw letter, with some of its elements replaced (the value goes in as it is, markup and all)."""
    xml = (LETTERS / f"{name}.xml").read_text("utf-8")
    for field, value in fields.items():
        xml, found = re.subn(rf"<{field}>.*?</{field}>", lambda _, f=field, v=value: f"<{f}>{v}</{f}>", xml, flags=re.S)
        assert found, f"{name}.xml has no {field}"
    return xml


@dataclass
class Phone:
    """Signs, encrypts and opens what goes between WeChat and us."""

    token: str = TOKEN
    aes_key: str = AES_KEY
    app_id: str = APP_ID

    def _cipher(self) -> Cipher:
        key = base64.b64decode(self.aes_key + "=")
        return Cipher(algorithms.AES(key), modes.CBC(key[:16]))

    def encrypt(self, xml: str) -> str:
        data = xml.encode()
        data = os.urandom(16) + struct.pack("!I", len(data)) + data + self.app_id.encode()
        pad = 32 - len(data) % 32
        encryptor = self._cipher().encryptor()
        return base64.b64encode(encryptor.update(data + bytes([pad]) * pad) + encryptor.finalize()).decode()

    def decrypt(self, text: str) -> str:
        decryptor = self._cipher().decryptor()
        data = decryptor.update(base64.b64decode(text)) + decryptor.finalize()
        pad = data[-1]
        assert 1 <= pad <= 32 and data[-pad:] == bytes([pad]) * pad, "padding"
        data = data[16:-pad]
        (size,) = struct.unpack("!I", data[:4])
        assert data[4 + size :].decode() == self.app_id
        return data[4 : 4 + size].decode()

    def plain(self, xml: str, at: float | None = None) -> tuple[dict[str, str], bytes]:
        """Query and body of a post in 明文模式."""
        stamp, nonce = str(int(time.time() if at is None else at)), os.urandom(4).hex()
        return {"signature": sha1(self.token, stamp, nonce), "timestamp": stamp, "nonce": nonce}, xml.encode()

    def sealed(self, xml: str, at: float | None = None) -> tuple[dict[str, str], bytes]:
        """Query and body of a post in 安全模式."""
        return self.sealed_raw(self.encrypt(xml), at)

    def sealed_raw(self, encrypted: str, at: float | None = None) -> tuple[dict[str, str], bytes]:
        query, _ = self.plain("", at)
        query["encrypt_type"] = "aes"
        query["msg_signature"] = sha1(self.token, query["timestamp"], query["nonce"], encrypted)
        body = (
            f"<xml><ToUserName><![CDATA[gh_qinghe000001]]></ToUserName><Encrypt><![CDATA[{encrypted}]]></Encrypt></xml>"
        )
        return query, body.encode()

    def read(self, body: str, sealed: bool = False) -> dict[str, str]:
        """The fields of a passive reply; in 安全模式 its signature is checked and it is decrypted."""
        fields = {element.tag: element.text or "" for element in ET.fromstring(body)}
        if not sealed:
            return fields
        encrypted = fields["Encrypt"]
        assert fields["MsgSignature"] == sha1(self.token, fields["TimeStamp"], fields["Nonce"], encrypted)
        return self.read(self.decrypt(encrypted))
