"""The county mailbox between Debian's dovecot and postfix on loopback: killed workers, lost connections, wrong passwords."""

from __future__ import annotations

import imaplib
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import mail_servers
import pytest
from mail_corpus import QUESTIONS, TO, mail
from mail_endurance import EVERY_KIND, endure
from mail_servers import MailServers

from bot.app import House, build, mailbox_of
from bot.channels.mailbox_imap import Folder
from bot.channels.mailbox_store import MailState
from bot.channels.mailbox_worker import Intake, Outbox
from bot.config import DataSettings, MailboxSettings, Settings
from bot.errors import MailServerProblem
from register.clock import now_beijing


@pytest.fixture(scope="module")
def servers() -> Iterator[MailServers]:
    reason = mail_servers.missing()
    if reason:
        pytest.skip(reason)
    folder = Path(tempfile.mkdtemp(prefix="bm-"))  # a short path: unix sockets live there
    try:
        with mail_servers.running(folder) as running:
            yield running
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def boxes(servers: MailServers) -> Iterator[MailServers]:
    """The servers with empty boxes."""
    for name in set(mail_servers.BOXES.values()):
        shutil.rmtree(servers.folder / "mail" / name, ignore_errors=True)
    yield servers


def account(servers: MailServers, **more: object) -> MailboxSettings:
    return MailboxSettings(
        **{  # type: ignore[arg-type]
            "address": TO,
            "imap_host": "127.0.0.1",
            "imap_port": servers.imap_port,
            "imap_tls": "none",
            "imap_user": "xianzhang",
            "imap_password": mail_servers.PASSWORD,
            "smtp_host": "127.0.0.1",
            "smtp_port": servers.smtp_port,
            "smtp_tls": "none",
            "auto_kinds": tuple(EVERY_KIND.split(",")),
            "poll_seconds": 2,
            **more,
        }
    )


@pytest.fixture
def house(demo_folder: Path, tmp_path: Path, boxes: MailServers) -> Iterator[House]:
    shutil.copytree(demo_folder, tmp_path / "data")
    built = build(replace(Settings(), data=DataSettings(folder=tmp_path / "data"), mailbox=account(boxes)))
    yield built
    built.close()


def wait_for(condition: object, seconds: float = 30) -> None:
    assert callable(condition)
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert condition()


def arrived(servers: MailServers, count: int, box: str = "xianzhang") -> None:
    wait_for(lambda: len(servers.maildir(box)) >= count)


def with_mailbox(house: House, **more: object) -> House:
    return replace(house, settings=replace(house.settings, mailbox=replace(house.settings.mailbox, **more)))  # type: ignore[arg-type]


def test_a_letter_goes_through_real_servers_and_back(house: House, boxes: MailServers) -> None:
    boxes.send(TO, mail("", QUESTIONS[0], message_id="<a@example.test>"), "wang@example.test")
    arrived(boxes, 1)
    assert mailbox_of(house).worker().once() == {"taken": 1, "dealt": 1, "sent": 1}
    arrived(boxes, 1, "citizens")
    (answer,) = boxes.maildir("citizens")
    assert answer.startswith(b"Return-Path: <>")
    assert b"In-Reply-To: <a@example.test>" in answer
    assert mailbox_of(house).worker().once() == {"taken": 0, "dealt": 0, "sent": 0}
    assert mailbox_of(house).problems() == []


def test_mail_is_marked_as_read_only_after_it_is_kept(
    house: House, boxes: MailServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    boxes.send(TO, mail("", QUESTIONS[0]), "wang@example.test")
    arrived(boxes, 1)
    mailbox = mailbox_of(house)

    def full(*_: object) -> None:
        raise OSError("no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(type(mailbox.store), "take_in", full)
        with pytest.raises(OSError, match="no space"):
            mailbox.worker().once()
    assert unseen(boxes) == 1
    mailbox.worker().once()
    assert unseen(boxes) == 0


def unseen(servers: MailServers) -> int:
    with imaplib.IMAP4("127.0.0.1", servers.imap_port) as imap:
        imap.login("xianzhang", mail_servers.PASSWORD)
        imap.select("INBOX", readonly=True)
        return len(imap.search(None, "UNSEEN")[1][0].split())


def test_new_numbers_on_the_server_bring_no_second_answer(house: House, boxes: MailServers) -> None:
    boxes.send(TO, mail("", QUESTIONS[0]), "wang@example.test")
    arrived(boxes, 1)
    mailbox = mailbox_of(house)
    mailbox.worker().once()
    (boxes.folder / "mail" / "xianzhang" / "dovecot-uidlist").unlink()
    for file in (boxes.folder / "mail" / "xianzhang").glob("dovecot*"):
        file.unlink()
    time.sleep(1.1)  # the new UIDVALIDITY is a time in seconds
    mailbox.worker().once()
    counts = mailbox.store.counts()
    assert (counts[MailState.ANSWERED], counts[MailState.DUPLICATE]) == (1, 1)


def test_old_mail_is_left_alone_at_the_first_look(house: House, boxes: MailServers) -> None:
    with imaplib.IMAP4("127.0.0.1", boxes.imap_port) as imap:
        imap.login("xianzhang", mail_servers.PASSWORD)
        old = time.localtime(time.time() - 40 * 86400)
        imap.append("INBOX", "", imaplib.Time2Internaldate(old), mail("", "旧信"))
        imap.append("INBOX", "(\\Seen)", imaplib.Time2Internaldate(time.time()), mail("", "读过的信"))
    mailbox = mailbox_of(house)
    assert mailbox.worker().once()["taken"] == 0
    boxes.send(TO, mail("", QUESTIONS[0]), "wang@example.test")
    arrived(boxes, 3)
    assert mailbox.worker().once()["taken"] == 1


def test_idle_brings_the_mail_at_once(house: House, boxes: MailServers) -> None:
    slow = with_mailbox(house, poll_seconds=60)
    worker = mailbox_of(slow).worker()
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        wait_for(lambda: mailbox_of(slow).store.account("main").polled_at is not None)
        time.sleep(1)  # it waits now, for a minute if nobody tells it
        boxes.send(TO, mail("", QUESTIONS[0]), "wang@example.test")
        arrived(boxes, 1, "citizens")
    finally:
        worker.stop()
        thread.join(20)
    assert not thread.is_alive()


def test_a_wrong_password_and_a_wrong_folder_are_named(boxes: MailServers) -> None:
    with pytest.raises(MailServerProblem, match="check address, user and password"):
        Folder(account(boxes, imap_password="wrong"))
    with pytest.raises(MailServerProblem, match="folder '来信' cannot be opened"):
        Folder(account(boxes, folder="来信"))


def test_folders_with_chinese_names_are_read(boxes: MailServers) -> None:
    with imaplib.IMAP4("127.0.0.1", boxes.imap_port) as imap:
        imap.login("xianzhang", mail_servers.PASSWORD)
        imap.create('"&ZeVnLIqe-"')  # the example of RFC 3501 5.1.3
    folder = Folder(account(boxes, folder="日本語"))
    assert folder.uids(0) == []
    folder.close()


def test_a_refused_recipient_is_final_and_a_closed_port_is_not(house: House, boxes: MailServers) -> None:
    boxes.send(TO, mail("", QUESTIONS[0], sender="ghost@qinghe.test"), "ghost@example.test")
    arrived(boxes, 1)
    closed = with_mailbox(house, smtp_port=mail_servers.free_port()).settings.mailbox
    mailbox = mailbox_of(house)
    intake = Intake("main", closed, closed, mailbox.store)
    assert intake.poll() == 1
    intake.close()
    mailbox.desk.work()
    earlier = now_beijing() - timedelta(hours=1)  # so that the pause is over at once
    Outbox(closed, house.book, mailbox.store, clock=lambda: earlier).work(stopped=iter((False, True)).__next__)
    (entry,) = house.book.log()
    assert [d.outcome for d in entry.deliveries] == ["unreachable"]
    assert mailbox.problems() != []
    mailbox.worker().once()
    assert mailbox.problems() == []
    assert [d.outcome for d in house.book.find(entry.entry).deliveries] == ["unreachable", "refused:550"]


def test_a_mail_beyond_the_limit_is_read_in_part(house: House, boxes: MailServers) -> None:
    huge = mail("", QUESTIONS[0] + "\n" + "x" * 70 + ("\n" + "x" * 70) * 30_000)
    boxes.send(TO, huge, "wang@example.test")
    arrived(boxes, 1)
    mailbox = mailbox_of(with_mailbox(house, mail_limit_mb=1))
    mailbox.worker().once()
    (stored,) = mailbox.store.listed((MailState.ANSWERED,))
    assert stored.size == 1_000_000


def test_killed_workers_answer_every_letter_once_and_no_program(
    demo_folder: Path, tmp_path: Path, boxes: MailServers
) -> None:
    shutil.copytree(demo_folder, tmp_path / "data")
    result = endure(boxes, tmp_path / "data", 60, 3, patience=120)
    assert result.answered == result.letters == 40
    assert result.wrongly == 0
    assert result.twice == 0
    # RFC 5321 6.1: a death between the server's yes and our record of it brings the same mail again, once a kill.
    assert result.copies <= result.kills
