"""The written form of a reply: salutation, number, quotes, sources, search record, in text, HTML and DOCX."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path

import docx
import pytest
from lxml import html as lxml_html

from register.clock import BEIJING
from register.inquiry import Channel, Reply, ReplyKind, SearchFacts, Source
from replies.composer import FORBIDDEN, Composer
from replies.errors import TemplateMissing
from replies.letters import LetterWriter, addressed
from replies.preview import OFFICE, samples

WRITER = LetterWriter(OFFICE, "https://www.qinghe.example")
COMPOSER = Composer(None, OFFICE, "https://www.qinghe.example")
DAY = date(2026, 11, 20)
QUOTE = "第三条 高龄津贴标准：\n\n80至89周岁每人每月60元。"
ANSWER = Reply(
    kind=ReplyKind.ANSWER,
    text=f"查到了，原文这样写：\n\n「{QUOTE}」\n——《青禾县高龄津贴发放管理办法》\nhttps://www.qinghe.example/p/gaoling#p-3\n\n资料截至2026年11月20日。",
    sources=(
        Source(
            "gaoling", "青禾县高龄津贴发放管理办法", "青政发〔2026〕5号", "青禾县人民政府", "2026-03-02", "第三条", QUOTE,
            "in_force", "/p/gaoling#p-3", validity_label="有效",
        ),
    ),
    search_record=SearchFacts("高龄津贴多少", ("高龄津贴",), ("老年津贴",), {"年份": "2026"}, 85, 1308, "1", "2026-11-20", 6, 0.01),
    disclaimer="本回复是便民答复。",
)  # fmt: skip


def written(reply: Reply = ANSWER, **more: object) -> tuple[str, str, str, str]:
    """(text, HTML mail, page, text of the DOCX)."""
    letter = WRITER.write(reply, 12, **{"name": "李青禾", "subject": "高龄津贴", "day": DAY, **more})  # type: ignore[arg-type]
    paper = docx.Document(io.BytesIO(WRITER.docx(letter)))
    lines = [p.text for p in paper.paragraphs] + [c.text for t in paper.tables for r in t.rows for c in r.cells]
    return WRITER.text(letter), WRITER.html(letter), WRITER.page(letter), "\n".join(lines)


def test_every_form_says_who_when_what_and_whence() -> None:
    received = datetime(2026, 11, 19, 23, 30, tzinfo=BEIJING)
    for form in written(received=received):
        for needed in (
            "便民答复单", "李青禾：您好", "登记编号：12", "2026年11月20日", "您2026年11月19日的来信“高龄津贴”", "80至89周岁每人每月60元。",
            "《青禾县高龄津贴发放管理办法》（青政发〔2026〕5号），第三条，青禾县人民政府，2026年3月2日，有效", "检索记录", "老年津贴",
            "85份公开文件、1308条内容", "本回复是便民答复。", "不是对政府信息公开申请的正式答复", OFFICE.phone, OFFICE.name,
        ):  # fmt: skip
            assert needed in form


def test_a_quote_with_blank_lines_stays_one_marked_paragraph() -> None:
    letter = WRITER.write(ANSWER, 1, day=DAY)
    (quoted,) = [p for p in letter.body if p.quote]
    assert QUOTE in quoted.text


def test_the_disclaimer_is_said_once() -> None:
    reply = replace(ANSWER, text=f"{ANSWER.text}\n\n{ANSWER.disclaimer}")
    assert all(form.count(ANSWER.disclaimer) == 1 for form in written(reply))


def test_nothing_a_citizen_writes_becomes_markup() -> None:
    hostile = '<script>alert(1)</script>{{ 7*7 }}"'
    text, mail, page, _ = written(replace(ANSWER, text=hostile), name=hostile, subject=hostile)
    for form in (mail, page):
        assert "<script" not in form
        assert "&lt;script&gt;" in form
    assert "49" not in text
    assert lxml_html.document_fromstring(mail).findall(".//script") == []


def test_the_html_mail_loads_nothing_from_anywhere() -> None:
    tree = lxml_html.document_fromstring(written()[1])
    assert not tree.xpath("//img | //link | //script | //iframe | //@background")
    links = tree.xpath("//a/@href")
    assert links
    assert set(links) == {"https://www.qinghe.example/p/gaoling#p-3"}


@pytest.mark.parametrize(
    "name", ["", "13800000000", "wang@example.test", "admin", "   ", "\x00\x01", "很" * 40, "123 456"]
)
def test_what_is_no_name_is_not_used_as_one(name: str) -> None:
    assert addressed(name) == ""
    assert "市民朋友：您好" in written(name=name)[0]


def test_characters_that_xml_cannot_hold_do_not_break_the_paper() -> None:
    forms = written(replace(ANSWER, text="前\x00\x0b\ufffe\ud800后"), name="李\x0b", subject="\ufffe")
    assert all("前后" in form for form in forms)


@pytest.mark.parametrize("sample", samples(OFFICE), ids=lambda s: s.name)
def test_every_kind_of_reply_has_a_letter_without_forbidden_words(sample: object) -> None:
    reply = COMPOSER.compose(sample.decision, channel=Channel.MAILBOX)  # type: ignore[attr-defined]
    letter = WRITER.write(reply, 7, day=DAY)
    assert letter.body
    own = WRITER.text(replace(letter, body=(), record=(), sources=()))
    assert not [word for word in FORBIDDEN if word in own]


def test_a_broken_or_forbidden_template_is_refused_at_start(tmp_path: Path) -> None:
    import shutil

    from replies.letters import SHIPPED

    shutil.copytree(SHIPPED, tmp_path / "letters")
    words = tmp_path / "letters" / "words.txt.j2"
    good = words.read_text("utf-8")
    words.write_text(good.replace("{{ date }}", "{{ datum }}"), "utf-8")
    with pytest.raises(TemplateMissing, match="datum"):
        LetterWriter(OFFICE, "", folder=tmp_path / "letters")
    words.write_text(good.replace("便民答复单", "信息不存在答复单"), "utf-8")
    with pytest.raises(TemplateMissing, match="不存在"):
        LetterWriter(OFFICE, "", folder=tmp_path / "letters")
    words.unlink()
    with pytest.raises(TemplateMissing):
        LetterWriter(OFFICE, "", folder=tmp_path / "letters")
