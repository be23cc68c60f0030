"""A worker that is killed again and again, between real mail servers: what arrives, and how often."""

from __future__ import annotations

import email
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from mail_corpus import TO, Sample, automatic_mails, letters
from mail_servers import PASSWORD, MailServers

EVERY_KIND = "answer,choices,clarify,not_found,not_held,needs_creation,unclear,refer,application,progress,menu,smalltalk,handover,failed"


@dataclass(frozen=True)
class Result:
    """What came back. ``answered`` counts letters, ``copies`` mails beyond the first with the same Message-ID."""

    letters: int
    programs: int
    answered: int
    wrongly: int  # answers to programs
    twice: int  # letters with two different answers
    copies: int
    kills: int
    seconds: float


def environment(servers: MailServers, data: Path, **more: str) -> dict[str, str]:
    """What a worker needs to know, as an office would set it."""
    return {
        **{key: value for key, value in os.environ.items() if not key.startswith("BIANMIN_")},
        "BIANMIN_DATA__FOLDER": str(data),
        "BIANMIN_MAILBOX__ADDRESS": TO,
        "BIANMIN_MAILBOX__IMAP_HOST": "127.0.0.1",
        "BIANMIN_MAILBOX__IMAP_PORT": str(servers.imap_port),
        "BIANMIN_MAILBOX__IMAP_TLS": "none",
        "BIANMIN_MAILBOX__IMAP_USER": "xianzhang",
        "BIANMIN_MAILBOX__IMAP_PASSWORD": PASSWORD,
        "BIANMIN_MAILBOX__SMTP_HOST": "127.0.0.1",
        "BIANMIN_MAILBOX__SMTP_PORT": str(servers.smtp_port),
        "BIANMIN_MAILBOX__SMTP_TLS": "none",
        "BIANMIN_MAILBOX__AUTO_KINDS": EVERY_KIND,
        "BIANMIN_MAILBOX__POLL_SECONDS": "2",
        **more,
    }


def mails(count: int) -> tuple[list[tuple[str, bytes]], list[Sample]]:
    """``count`` mails: two in three letters, each of a sender and with an id of its own, the rest from programs."""
    programs = automatic_mails()
    wanted = count // 3
    senders = []
    # Without these the sender or the id could not be made the letter's own.
    plain = [s for s in letters() if not s.name.startswith("message_id") and s.raw.count(b"wang@example.test") == 1]
    for i in range(count - wanted):
        sender = f"wang{i}@example.test"
        raw = plain[i % len(plain)].raw.replace(b"wang@example.test", sender.encode())
        lines = [line for line in raw.split(b"\r\n") if not line.lower().startswith(b"message-id:")]
        if i % len(plain) != i:  # a second round of the same letters
            lines.insert(0, b"X-Round: 2")
        senders.append((sender, b"\r\n".join([f"Message-ID: <letter-{i}@example.test>".encode(), *lines])))
    return senders, [programs[i % len(programs)] for i in range(wanted)]


def endure(servers: MailServers, data: Path, count: int, kills: int, patience: float) -> Result:
    """Send ``count`` mails while the worker is killed ``kills`` times; wait until all letters have an answer."""
    started = time.monotonic()
    people, programs = mails(count)
    chance = random.Random(11)
    queue = [(raw, sender) for sender, raw in people] + [(s.raw, s.envelope) for s in programs]
    chance.shuffle(queue)
    batches = [queue[i :: kills + 1] for i in range(kills + 1)]
    env = environment(servers, data)
    worker = start(env)
    try:
        for index, batch in enumerate(batches):
            servers.send_many(TO, batch)
            if index < kills:
                time.sleep(chance.uniform(1.5, 4.0))
                kill(worker)
                worker = start(env)
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline and len(answers(servers)) < len(people):
            time.sleep(0.5)
        time.sleep(3)  # whatever is sent too often is sent now
    finally:
        kill(worker)
    replied = answers(servers)
    programs_answered = sum(
        1
        for raw in servers.maildir("citizens") + servers.maildir("xianzhang")
        if _to(raw) not in replied and _ours(raw)
    )
    ids = [ids for address, ids in replied.items() if any(address == sender for sender, _ in people)]
    return Result(
        letters=len(people),
        programs=len(programs),
        answered=sum(1 for sender, _ in people if sender in replied),
        wrongly=programs_answered,
        twice=sum(1 for counted in ids if len(counted) > 1),
        copies=sum(sum(counted.values()) - len(counted) for counted in ids),
        kills=kills,
        seconds=round(time.monotonic() - started, 1),
    )


def answers(servers: MailServers) -> dict[str, Counter[str]]:
    """Recipient of the form wang7@… → Message-IDs of what he got from us, counted."""
    found: dict[str, Counter[str]] = {}
    for raw in servers.maildir("citizens"):
        recipient = _to(raw)
        if _ours(raw) and recipient.startswith("wang") and recipient != "wang@example.test":
            found.setdefault(recipient, Counter())[email.message_from_bytes(raw)["Message-ID"]] += 1
    return found


def _to(raw: bytes) -> str:
    return str(email.message_from_bytes(raw)["To"])


def _ours(raw: bytes) -> bool:
    message = email.message_from_bytes(raw)
    return message["X-Loop"] == TO and str(message["Message-ID"]).startswith("<bianmin.")


def start(env: dict[str, str]) -> subprocess.Popen[bytes]:
    """A worker as ``bianmin mailbox`` starts it."""
    log = Path(env["BIANMIN_DATA__FOLDER"]) / "worker.log"
    with log.open("ab") as stream:
        return subprocess.Popen(
            [sys.executable, "-m", "bot", "mailbox"],
            env=env,
            cwd=Path(__file__).parent.parent,
            stdout=stream,
            stderr=stream,
            start_new_session=True,
        )


def kill(worker: subprocess.Popen[bytes]) -> None:
    """SIGKILL: no time to tidy up."""
    worker.send_signal(signal.SIGKILL)
    worker.wait(20)
