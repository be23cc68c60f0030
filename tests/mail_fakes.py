"""Mail servers of a bad day on loopback: a small IMAP and a small SMTP server that do what a test tells them.

``fault`` says what happens to a connection: "" nothing; "refuse" it is closed before a word; "stall" nothing is said;
"garbage" something else is spoken; "cut:WORD" it ends in the middle of the first command with this word in it;
"password" the login is refused; "drip" and "drip:WORD" one byte now and then, from the start or from that command on. The SMTP server answers ``said[VERB]`` instead of its own words where a test sets it.
"""

from __future__ import annotations

import datetime
import ipaddress
import re
import socket
import ssl
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

PASSWORD = "secret"


class Cut(Exception):
    """The connection ends here."""


@dataclass
class Server:
    """One listening socket; each connection is served by a thread of its own."""

    tls: ssl.SSLContext | None = None
    implicit: bool = False  # encrypted from the first byte, otherwise after STARTTLS
    fault: str = ""
    port: int = 0
    connections: int = 0
    commands: list[str] = field(default_factory=list)  # what came in, and under "!" what came in unencrypted

    def __post_init__(self) -> None:
        self._stopped = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._open: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._stopped.set()
        self.break_connections()
        self._listener.close()

    def break_connections(self) -> None:
        """What is open now ends without a word."""
        for connection in list(self._open):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue

    def _accept(self) -> None:
        while not self._stopped.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        self.connections += 1
        self._open.add(connection)
        talk = Talk(connection, self)
        try:
            if self.fault == "refuse":
                return
            if self.fault == "stall":
                self._stopped.wait(30)
                return
            if self.fault == "garbage":
                talk.say("HTTP/1.1 400 Bad Request")
                return
            if self.fault == "drip":
                talk.drip()
            if self.implicit:
                talk.encrypt()
            self.serve(talk)
        except (OSError, Cut, ValueError):
            return  # the client went away, or had to be sent away
        finally:
            self._open.discard(connection)
            talk.close()

    def serve(self, talk: Talk) -> None:
        raise NotImplementedError


class Talk:
    """One connection, line by line."""

    def __init__(self, connection: socket.socket, server: Server) -> None:
        self.connection = connection
        self.server = server
        self.encrypted = False
        self.file: Any = connection.makefile("rb")

    def encrypt(self) -> None:
        assert self.server.tls is not None
        self.connection = self.server.tls.wrap_socket(self.connection, server_side=True)
        self.file = self.connection.makefile("rb")
        self.encrypted = True

    def say(self, *lines: str) -> None:
        self.raw("".join(f"{line}\r\n" for line in lines).encode())

    def raw(self, data: bytes) -> None:
        self.connection.sendall(data)

    def hear(self) -> str:
        line = self.file.readline().decode("utf-8", "replace").rstrip("\r\n")
        if not line:
            raise Cut
        self.server.commands.append(line if self.encrypted else f"!{line}")
        kind, _, word = self.server.fault.partition(":")
        if kind == "cut" and word in line:
            self.connection.sendall(b"* half an ans")
            raise Cut
        if kind == "drip" and word in line:
            self.drip()
        return str(line)

    def drip(self) -> None:
        """One byte of an answer after the other, never a whole one; ends when the client has gone."""
        if self.server.implicit and not self.encrypted:
            self.connection.sendall(b"\x16\x03\x03\x3f\xff")  # a TLS record of 16 KB of handshake is announced
        while True:
            self.connection.sendall(b"*")
            time.sleep(0.03)

    def close(self) -> None:
        try:
            self.connection.close()
        except OSError:
            return


@dataclass
class FakeImap(Server):
    """RFC 3501, as much of it as is spoken here. ``mails`` by UID."""

    mails: dict[int, bytes] = field(default_factory=dict)
    seen: set[int] = field(default_factory=set)
    quota: tuple[int, int] | None = None  # (used, allowed) in KB
    greeting: str = "* OK ready"

    def put(self, raw: bytes, envelope: str = "wang@example.test") -> int:
        number = max(self.mails, default=0) + 1
        self.mails[number] = f"Return-Path: <{envelope}>\r\n".encode() + raw
        return number

    def serve(self, talk: Talk) -> None:
        talk.say(self.greeting)
        while True:
            tag, _, rest = talk.hear().partition(" ")
            verb = rest.partition(" ")[0].upper()
            if verb == "CAPABILITY":
                offered = "STARTTLS " if self.tls and not talk.encrypted else ""
                talk.say(f"* CAPABILITY IMAP4rev1 {offered}{'QUOTA' if self.quota else ''}", f"{tag} OK done")
            elif verb == "STARTTLS":
                talk.say(f"{tag} OK begin")
                talk.encrypt()
            elif verb == "LOGIN" and (self.fault == "password" or f'"{PASSWORD}"' not in rest):
                talk.say(f"{tag} NO [AUTHENTICATIONFAILED] Authentication failed.")
            elif verb == "SELECT":
                talk.say(f"* {len(self.mails)} EXISTS", "* OK [UIDVALIDITY 7] yes", f"{tag} OK [READ-WRITE] done")
            elif verb == "GETQUOTAROOT" and self.quota:
                used, most = self.quota
                talk.say('* QUOTAROOT INBOX ""', f'* QUOTA "" (STORAGE {used} {most})', f"{tag} OK done")
            elif verb == "LOGOUT":
                talk.say("* BYE", f"{tag} OK done")
                return
            elif verb == "UID":
                self._uid(talk, tag, rest[4:])
            else:
                talk.say(f"{tag} OK done")

    def _uid(self, talk: Talk, tag: str, rest: str) -> None:
        verb, _, words = rest.partition(" ")
        if verb == "SEARCH":
            match = re.search(r"UID (\d+):", words)
            first = int(match.group(1)) if match else 1
            found = [u for u in self.mails if u >= first and not ("UNSEEN" in words and u in self.seen)]
            talk.say("* SEARCH " + " ".join(map(str, found)), f"{tag} OK done")
            return
        number = int(words.partition(" ")[0])
        if verb == "STORE":
            self.seen.add(number)
        elif "RFC822.SIZE" in words:
            talk.say(f"* 1 FETCH (UID {number} RFC822.SIZE {len(self.mails[number])})")
        else:
            raw = self.mails[number]
            talk.raw(f"* 1 FETCH (UID {number} BODY[] {{{len(raw)}}}\r\n".encode() + raw + b")\r\n")
        talk.say(f"{tag} OK done")


@dataclass
class FakeSmtp(Server):
    """RFC 5321, as much of it as is spoken here. ``taken`` holds what was accepted: (recipient, mail)."""

    said: dict[str, str] = field(default_factory=dict)
    taken: list[tuple[str, bytes]] = field(default_factory=list)
    takes_and_cuts: bool = False  # the mail is accepted, and the line ends before the answer

    def serve(self, talk: Talk) -> None:
        talk.say("220 ready")
        recipient = ""
        while True:
            line = talk.hear()
            verb = line.partition(" ")[0].upper()
            if verb in self.said:
                talk.say(self.said[verb])
            elif verb in ("EHLO", "HELO"):
                offered = ["250-STARTTLS"] if self.tls and not talk.encrypted else []
                talk.say("250-here", *offered, "250 AUTH PLAIN LOGIN")
            elif verb == "STARTTLS":
                talk.say("220 begin")
                talk.encrypt()
            elif verb == "AUTH":
                talk.say("535 5.7.8 wrong" if self.fault == "password" else "235 welcome")
            elif verb == "RCPT":
                recipient = line.partition("<")[2].partition(">")[0]
                talk.say("250 fine")
            elif verb == "DATA":
                talk.say("354 go on")
                self._take(talk, recipient)
            elif verb == "QUIT":
                talk.say("221 bye")
                return
            else:
                talk.say("250 fine")

    def _take(self, talk: Talk, recipient: str) -> None:
        lines = []
        while (line := talk.file.readline()) != b".\r\n":
            if not line or self.fault == "cut in the mail":
                raise Cut
            lines.append(line)
        if "." in self.said:
            talk.say(self.said["."])
            return
        self.taken.append((recipient, b"".join(lines)))
        if self.takes_and_cuts:
            self.takes_and_cuts = False
            raise Cut
        talk.say("250 taken")


def certificate(folder: Path, name: str = "127.0.0.1", *, days: int = 1) -> tuple[ssl.SSLContext, Path]:
    """A self-made certificate for ``name``: the server's side of TLS, and the PEM file that a client may trust."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a mail server of the tests")])
    try:
        alternative: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        alternative = x509.DNSName(name)
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=10))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([alternative]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    folder.mkdir(parents=True, exist_ok=True)
    public, private = folder / "certificate.pem", folder / "key.pem"
    public.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(public, private)
    return context, public
