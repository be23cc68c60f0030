"""信箱命令: ``bianmin mailbox``: run the worker, look after what was set aside, approve drafts."""

from __future__ import annotations

import argparse
import getpass
import logging
import signal
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from bot.app import build, mailbox_of
from bot.channels.mailbox import Mailbox
from bot.channels.mailbox_store import StoredMail
from bot.config import Settings
from bot.errors import ConfigError, UnknownMail

Emit = Callable[[object, Iterable[str]], None]

_ACTIONS = ("run", "quarantine", "redeliver", "drafts", "approve", "reject", "save")


def arguments(parser: argparse.ArgumentParser) -> None:
    """The words of ``bianmin mailbox``."""
    parser.add_argument(
        "action", choices=_ACTIONS, nargs="?", default="run", help="run (default) takes in, answers, sends"
    )
    parser.add_argument("number", type=int, nargs="?", help="number of the mail")
    parser.add_argument("--once", action="store_true", help="one round instead of going on")
    parser.add_argument("--all", action="store_true", help="quarantine: automatic mail and duplicates as well")
    parser.add_argument("--reason", default="", help="reject, save: why (kept in the register)")
    parser.add_argument("--to", type=Path, default=Path(), help="save: folder for the original and its attachments")


def run(args: argparse.Namespace, settings: Settings, emit: Emit) -> int:
    """One command; the exit code."""
    house = build(settings)
    try:
        mailbox = mailbox_of(house)
        if args.action == "run":
            return _work(args, mailbox, emit)
        if args.action == "quarantine":
            _list(mailbox, mailbox.set_aside(everything=args.all), emit)
        elif args.action == "drafts":
            _drafts(mailbox, emit)
        else:
            _act(args, mailbox, emit)
    finally:
        house.close()
    return 0


def _work(args: argparse.Namespace, mailbox: Mailbox, emit: Emit) -> int:
    if not mailbox.configured:
        raise ConfigError("no mail account is configured; set [mailbox] imap_host, smtp_host and address")
    worker = mailbox.worker()
    if args.once:
        done = worker.once()
        found = mailbox.problems()
        lines = [f"{done['taken']} taken in, {done['dealt']} dealt with, {done['sent']} letters tried"]
        emit({**done, "problems": found}, [*lines, *(f"problem: {problem}" for problem in found)])
        return 1 if found else 0
    logging.getLogger("bot.channels").setLevel(logging.INFO)
    signal.signal(signal.SIGTERM, lambda *_: worker.stop())
    sys.stderr.write("bianmin: the mailbox is being looked after; stop with Ctrl-C\n")
    try:
        worker.run()
    except KeyboardInterrupt:
        worker.stop()
    return 0


def _list(mailbox: Mailbox, mails: list[StoredMail], emit: Emit) -> None:
    values = [
        {
            "id": mail.id,
            "account": mail.account,
            "received_at": mail.received_at.isoformat(),
            "state": mail.state.value,
            "reason": mail.reason,
            "size": mail.size,
            "entry": mail.entry,
        }
        for mail in mails
    ]
    lines = [f"{m.id:>6}  {m.received_at:%Y-%m-%d %H:%M}  {m.state.value:<11}  {m.reason}" for m in mails]
    emit(values, lines or ["nothing is set aside"])


def _drafts(mailbox: Mailbox, emit: Emit) -> None:
    drafts = mailbox.desk.drafts()
    values = [
        {"id": d.mail.id, "entry": d.mail.entry, "kind": d.reply.kind.value, "subject": d.subject, "text": d.reply.text}
        for d in drafts
    ]
    lines = [
        f"{d.mail.id:>6}  entry {d.mail.entry}  {d.reply.kind.value}  {d.subject}\n{_indented(d.reply.text)}"
        for d in drafts
    ]
    emit(values, lines or ["no drafts wait"])


def _act(args: argparse.Namespace, mailbox: Mailbox, emit: Emit) -> None:
    if args.number is None:
        raise UnknownMail(f"mailbox {args.action} needs the number of a mail; see: bianmin mailbox quarantine|drafts")
    if args.action == "save":
        if not args.reason.strip():
            raise UnknownMail("mailbox save needs --reason: each look at an original is kept in the register")
        files = mailbox.save(args.number, args.to, getpass.getuser(), args.reason)
        emit({"files": [str(file) for file in files]}, [f"written: {file}" for file in files])
        return
    if args.action == "redeliver":
        mailbox.store.redeliver(args.number)
        done = "will be answered in the worker's next round"
    elif args.action == "approve":
        mailbox.desk.approve(args.number)
        done = "is on its way"
    else:
        mailbox.desk.reject(args.number, args.reason)
        done = "will not be sent"
    emit({"id": args.number, "action": args.action}, [f"mail {args.number} {done}"])


def _indented(text: str) -> str:
    return "\n".join(f"        {line}" for line in text.splitlines())
