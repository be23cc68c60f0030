"""A shared answer: reached by its signed address only, for a while, without a word of the question."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest
import web_house
from web_house import SEAL, Tags, visit

from bot.channels import share
from knowledge.model import Validity
from register.clock import now_beijing
from register.inquiry import Reply, ReplyKind

FRAGMENT = {"x-bianmin-fragment": "1"}
TODAY = date(2026, 11, 21)


@pytest.fixture
def house() -> web_house.WebHouse:
    return web_house.build()


def link_after(house: web_house.WebHouse, text: str) -> str:
    """The address behind 分享 on the card that answers ``text``."""
    visitor = visit(house)
    card = Tags(visitor.post("/chat", data={"text": text}, headers=FRAGMENT).text)
    return next(a["href"] for a in card.all("a") if "data-share" in a)


def test_a_shared_answer_shows_the_quotes_and_no_word_of_the_question(house: web_house.WebHouse) -> None:
    question = "我叫张三丰，我爸89了，高龄津贴他能领多少"
    page = visit(house).get(link_after(house, question))
    assert page.status_code == 200
    for part in (
        "每人每月60元",
        "《青禾县高龄津贴发放管理办法》",
        "青政办规〔2026〕1号",
        "第三条",
        "2026年2月26日",
        "有效",
    ):
        assert part in page.text
    for own in ("张三丰", "我爸", "89了", "80岁、老人", web_house.REPLIES["津贴"].lead):
        assert own not in page.text
    assert page.headers["x-robots-tag"] == "noindex, nofollow"
    assert page.headers["referrer-policy"] == "same-origin", "the address is not handed to other sites"
    assert not page.headers.get_list("set-cookie")


def test_what_may_hold_the_askers_words_is_left_out() -> None:
    whole = replace(
        web_house.REPLIES["水费"], lead="“张三丰家水费”这件事", organ_reason="张三丰", text="张三丰", more="张三丰"
    )
    shown = share.shared(whole, web_house.FakeLibrary()).reply
    assert "张三丰" not in repr(shown)
    assert shown.organ == whole.organ
    assert (shown.lead, shown.text, shown.steps, shown.nearest, shown.choices, shown.search_record) == (
        "",
        "",
        (),
        (),
        (),
        None,
    )


@pytest.mark.parametrize(("word", "offered"), [("津贴", True), ("水费", True), ("举报", True), ("补贴", False)])
def test_only_what_says_something_to_others_can_be_shared(word: str, offered: bool) -> None:
    assert share.shareable(web_house.REPLIES[word]) is offered


def test_replies_about_the_question_itself_cannot_be_shared(house: web_house.WebHouse) -> None:
    visitor = visit(house)
    for word in ("无人机", "统计", "那个", "你好", "出错", "孩子"):
        assert "data-share" not in visitor.post("/chat", data={"text": word}, headers=FRAGMENT).text, word


def test_an_address_opens_its_own_answer_only(house: web_house.WebHouse) -> None:
    first = link_after(house, "高龄津贴")
    visit(house).post("/chat", data={"text": "水费"})
    assert visit(house).get(first).status_code == 200
    stolen = visit(house).get(first.replace("/a/1?", "/a/2?"))
    assert (stolen.status_code, "没有找到这条分享" in stolen.text) == (404, True)


WRONG = (
    "/a/1",
    "/a/1?k=",
    "/a/1?k=20808",
    "/a/1?k=20808." + "A" * 43,
    "/a/1?k=99999999999999." + "A" * 43,
    "/a/1?k=999999." + "A" * 43,
    "/a/1?k=%00",
    "/a/1?k=签名",
    "/a/x?k=20808." + "A" * 43,
    "/a/-1",
    "/a/99999999999999999999999",
    "/a/%F0%9F%98%80",
)


def test_a_wrong_address_is_a_courteous_404(house: web_house.WebHouse) -> None:
    visitor = visit(house)
    visitor.post("/chat", data={"text": "高龄津贴"})
    for address in WRONG:
        page = visitor.get(address)
        assert page.status_code == 404, address
        assert "没有找到这条分享" in page.text
        assert "每人每月60元" not in page.text


def test_the_term_cannot_be_lengthened() -> None:
    address = share.address_of(7, TODAY, 30, SEAL)
    key = address.partition("?k=")[2]
    assert share.last_day(7, key, SEAL) == date(2026, 12, 21)
    day, _, signature = key.partition(".")
    assert share.last_day(7, f"{int(day) + 1}.{signature}", SEAL) is None
    assert share.last_day(8, key, SEAL) is None


def test_an_expired_address_says_since_when(house: web_house.WebHouse) -> None:
    visit(house).post("/chat", data={"text": "高龄津贴"})
    today = now_beijing().date()
    on_the_last_day = share.address_of(1, today - timedelta(days=30), 30, SEAL)
    assert visit(house).get(on_the_last_day).status_code == 200
    page = visit(house).get(share.address_of(1, today - timedelta(days=31), 30, SEAL))
    assert page.status_code == 410
    assert "到期" in page.text
    assert "每人每月60元" not in page.text


def test_an_entry_that_is_gone_is_a_courteous_410(house: web_house.WebHouse) -> None:
    page = visit(house).get(share.address_of(5, now_beijing().date(), 30, SEAL))
    assert (page.status_code, "已经不在了" in page.text) == (410, True)


def test_a_quote_from_a_withdrawn_document_is_not_shown_any_more(house: web_house.WebHouse) -> None:
    address = link_after(house, "高龄津贴")
    house.library.held = tuple(d for d in house.library.held if d.id != "gaoling")
    page = visit(house).get(address)
    assert page.status_code == 410
    assert "已经撤下" in page.text
    assert "每人每月60元" not in page.text


def test_of_two_quotes_the_one_still_published_stays() -> None:
    both = Reply(
        ReplyKind.ANSWER,
        "",
        sources=(web_house.source_from(web_house.ALLOWANCE, 1), web_house.source_from(web_house.GUIDE, 0)),
        facts=(("收费", "不收费"),),
        notice="注意",
    )
    shown = share.shared(both, web_house.FakeLibrary(held=(web_house.GUIDE,)))
    assert [source.document for source in shown.reply.sources] == ["gaoling-zhinan"]
    assert (shown.withdrawn, shown.empty, shown.reply.facts, shown.reply.notice) == (1, False, (), "")


def test_a_document_repealed_since_wears_its_warning_before_the_quote(house: web_house.WebHouse) -> None:
    address = link_after(house, "高龄津贴")
    house.library.held = (replace(web_house.ALLOWANCE, validity=Validity.REPEALED),)
    page = visit(house).get(address).text
    assert page.index("现在是“已废止”") < page.index("每人每月60元")
