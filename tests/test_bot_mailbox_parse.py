"""Reading mail: citizens' letters in every form are read, what programs send is told apart."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mail_corpus import TO, Sample, automatic_mails, letters, mail, word

from bot.channels.mailbox_parse import LONGEST_ID, decoded, parse, safe_name
from bot.channels.mailbox_rules import CAPS, automatic, needs_person, over_cap
from bot.channels.mailbox_words import own_words, question_of
from bot.errors import UnreadableMail

AUTOMATIC = automatic_mails()
LETTERS = letters()


def delivered(sample: Sample) -> bytes:
    """As a server stores it: the envelope sender noted on top."""
    return f"Return-Path: <{sample.envelope}>\r\n".encode() + sample.raw


def test_the_corpus_is_as_large_as_it_should_be() -> None:
    assert len(AUTOMATIC) >= 60
    assert len(LETTERS) >= 60
    assert len({sample.raw for sample in AUTOMATIC + LETTERS}) == len(AUTOMATIC) + len(LETTERS)


@pytest.mark.parametrize("sample", AUTOMATIC, ids=lambda s: s.name)
def test_no_mail_of_a_program_is_answered(sample: Sample) -> None:
    assert automatic(parse(delivered(sample)), {TO})


@pytest.mark.parametrize("sample", LETTERS, ids=lambda s: s.name)
def test_every_letter_is_read_and_may_be_answered(sample: Sample) -> None:
    read = parse(delivered(sample))
    assert automatic(read, {TO}) is None
    assert needs_person(read) is None
    assert read.sender == read.reply_to == "wang@example.test"
    assert sample.says in read.question
    if sample.not_says:
        assert sample.not_says not in read.question
        assert sample.not_says in read.whole or "html" in sample.name


def test_real_mail_from_the_field_is_told_apart(shared: Path) -> None:
    for path in sorted((shared / "samples").glob("eml_0[123]*.eml")):
        assert automatic(parse(path.read_bytes())), path.name
    short = parse((shared / "samples" / "eml_06_qq_gb18030_short.eml").read_bytes())
    assert automatic(short) is None
    assert needs_person(short) == "no Return-Path: the envelope sender is unknown"
    assert short.subject == "哈哈"
    assert short.sender_name == "向左"


def test_a_letter_without_return_path_is_held_unless_the_office_says_otherwise() -> None:
    read = parse(mail("", "农机补贴怎么申请？"))
    assert needs_person(read)
    assert needs_person(read, require_return_path=False) is None


def test_a_letter_without_a_usable_sender_is_held() -> None:
    read = parse(mail("From: undisclosed", "农机补贴怎么申请？", return_path="wang@example.test"))
    assert needs_person(read) == "no usable sender address"


def test_the_answer_goes_to_reply_to_when_there_is_exactly_one() -> None:
    assert parse(mail("Reply-To: li@example.test", "问")).reply_to == "li@example.test"
    assert parse(mail("Reply-To: li@example.test, zhao@example.test", "问")).reply_to == "wang@example.test"


def test_a_reply_to_of_a_program_is_not_answered() -> None:
    assert automatic(parse(mail("Reply-To: noreply@example.test", "问", return_path="wang@example.test")))


def test_of_two_senders_the_one_who_sent_the_envelope_is_answered() -> None:
    read = parse(mail("From: 王@mail.qinghe.test, 小满 <wang@example.test>", "问", return_path="wang@example.test"))
    assert (read.sender, read.reply_to, read.sender_name) == ("wang@example.test", "wang@example.test", "小满")


def test_rare_characters_labelled_gb2312_survive() -> None:
    assert decoded(word("朱镕基", "gb18030", label="gb2312")) == "朱镕基"
    read = parse(mail("", "镕𠀀".encode("gb18030"), kind="text/plain; charset=gb2312"))
    assert read.text == "镕𠀀"


@pytest.mark.parametrize(
    "value", ["=?gb2312?B?!!!?=", "=?nope?B?5Yac?=", "=?utf-8?Q?=E5=8?=", "=?utf-8?B??=", "=?hex?B?YQ==?=", "=?"]
)
def test_broken_encoded_words_are_no_errors(value: str) -> None:
    assert isinstance(decoded(value), str)


def test_ids_that_cannot_be_used_are_dropped() -> None:
    read = parse(mail(f"Message-ID: <\nIn-Reply-To: <{'a' * LONGEST_ID}@x>\nReferences: <1@x> junk <2@x>", "问"))
    assert read.message_id == ""
    assert read.in_reply_to == ""
    assert read.references == ("<1@x>", "<2@x>")


def test_attachments_get_names_that_are_only_names() -> None:
    by_name = {sample.name: sample for sample in LETTERS}
    (attachment,) = parse(by_name["attachment"].raw).attachments
    assert (attachment.name, attachment.type, attachment.size) == ("证明.pdf", "application/pdf", 1200)


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\temp\\a.doc", "a.doc"),
        ("a\x00b\n.txt", "a_b_.txt"),
        ("\u202egpj.exe", "_gpj.exe"),
        ("", "附件3.bin"),
        ("...", "附件3.bin"),
        ("长" * 300 + ".docx", "长" * 33 + ".docx"),
    ],
)
def test_file_names_are_made_safe(name: str, safe: str) -> None:
    assert safe_name(name, 3, "application/octet-stream") == safe


@pytest.mark.parametrize("raw", [b"", b"\r\n\r\n", b"hello", b"\x00" * 50, b"no header here\r\n\r\nFrom: a@b.cn"])
def test_what_is_no_mail_is_named_as_such(raw: bytes) -> None:
    with pytest.raises(UnreadableMail, match="hand"):
        parse(raw)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_damaged_mail_is_read_or_named_unreadable(data: st.DataObject) -> None:
    raw = bytearray(data.draw(st.sampled_from([s.raw[:3000] for s in AUTOMATIC + LETTERS])))
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(raw)))
        junk = data.draw(
            st.binary(max_size=8) | st.sampled_from([b"\r\n\r\n", b"\x00", b"=?gb2312?B?", b'boundary="', b"charset="])
        )
        raw[at : at + data.draw(st.integers(0, 20))] = junk
    try:
        read = parse(bytes(raw))
    except UnreadableMail:
        return
    automatic(read, {TO})
    assert read.sender == "" or "@" in read.sender


def test_text_is_kept_whole_when_cutting_would_leave_nothing() -> None:
    assert own_words("> 农机补贴怎么申请？\n> 王小满") == "农机补贴怎么申请？\n王小满"
    assert own_words("发自我的iPhone") == "发自我的iPhone"


def test_words_of_a_letter_that_look_like_history_stay() -> None:
    text = "我在2026年写过一封信，你们写道：可以补贴。\n发件人：王小满\n现在想问补贴标准。"
    assert own_words(text) == text


@pytest.mark.parametrize(
    ("subject", "text", "question"),
    [
        ("低保", "怎么申请？", "低保\n怎么申请？"),
        ("回复：答复：低保", "2", "2"),
        ("咨询", "低保怎么申请", "低保怎么申请"),
        ("给县长的一封信", "县长您好！低保怎么申请？\n谢谢！", "低保怎么申请？"),
        ("低保怎么申请", "", "低保怎么申请"),
        ("Re: ", "", ""),
        ("县长信箱", "尊敬的李县长：\n您好！\n\n村里的路什么时候修？\n盼复！\n王小满", "村里的路什么时候修？"),
    ],
)
def test_the_question_is_subject_and_text_without_courtesies(subject: str, text: str, question: str) -> None:
    assert question_of(subject, text) == question


NOW = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)


@pytest.mark.parametrize(("letters_before", "minutes"), [(10, 10), (15, 30), (25, 60), (50, 180), (100, 600)])
def test_each_cap_holds(letters_before: int, minutes: int) -> None:
    spread = timedelta(minutes=minutes) * 0.99 / letters_before
    sent = [NOW - spread * i for i in range(letters_before)]
    cap = over_cap(sent, NOW)
    assert cap is not None
    assert over_cap(sent[: letters_before - 1], NOW, [c for c in CAPS if c.minutes == minutes]) is None


def test_old_letters_do_not_count() -> None:
    assert over_cap([NOW - timedelta(hours=11)] * 500, NOW) is None


def test_a_storm_of_bounces_brings_no_answer_and_a_storm_of_letters_stays_below_the_caps() -> None:
    bounces = [s for s in AUTOMATIC if "bounce" in s.name or s.name in ("dsn", "envelope_null")]
    assert all(automatic(parse(delivered(bounces[i % len(bounces)])), {TO}) for i in range(1000))
    # The worst case: machines that no rule knows write every three seconds for ten hours.
    sent: list[datetime] = []
    for i in range(12_000):
        moment = NOW + timedelta(seconds=3 * i)
        if over_cap(sent[-100:], moment) is None:
            sent.append(moment)
    assert len(sent) == 100
