"""The kiosk: by touch alone, and nothing of one citizen is left for the next."""

from __future__ import annotations

from dataclasses import replace

import pytest
import web_house
from web_house import Tags, visit

from bot.channels import pages
from bot.config import WebSettings
from knowledge.model import Filters, Validity
from register.inquiry import Channel

FRAGMENT = {"x-bianmin-fragment": "1"}


@pytest.fixture
def house() -> web_house.WebHouse:
    return web_house.build(web=WebSettings(kiosk_reset_seconds=45))


def hidden(page: str, name: str) -> str:
    return Tags(page).all("input", name=name)[0]["value"]


def test_the_start_offers_questions_fields_and_organs_of_the_library(house: web_house.WebHouse) -> None:
    page = visit(house).get("/kiosk").text
    tags = Tags(page)
    assert tags.all("button", value="高龄津贴怎么申报？")
    assert tags.all("a", href="/kiosk?topic=%E5%85%BB%E8%80%81%E6%9C%8D%E5%8A%A1"), "养老服务"
    assert "青禾县民政局" in page
    assert 'data-seconds="45"' in page
    assert 'content="45;url=/kiosk"' in page, "without scripts a refresh goes home"


def test_a_field_lists_its_questions_then_its_documents_and_no_lapsed_text() -> None:
    menu = pages.kiosk_menu(web_house.DOCUMENTS, Filters(topic="养老服务"), 1)
    assert menu.title == "养老服务"
    assert [(item.label, bool(item.ask)) for item in menu.entries] == [
        ("高龄津贴怎么申报？", True),
        ("《青禾县高龄津贴发放管理办法》解读", False),
        ("青禾县高龄津贴发放管理办法", False),
    ]
    lapsed = [replace(d, validity=Validity.EXPIRED) for d in web_house.DOCUMENTS]
    assert pages.kiosk_menu(lapsed, Filters(topic="养老服务"), 1).entries == ()


def test_a_long_menu_is_cut_into_screens() -> None:
    many = [replace(web_house.GUIDE, id=f"g{i}", title=f"第{i}项津贴申请办事指南") for i in range(19)]
    last = pages.kiosk_menu(many, Filters(organ="青禾县民政局"), 99)
    assert (last.page, last.pages, len(last.entries)) == (3, 3, 3)
    assert last.page_urls[0].endswith("page=2")
    assert last.page_urls[1] == ""


@pytest.mark.parametrize("query", ["topic=没有", "organ=%00", "topic=a&page=x", "topic=" + "长" * 300, "page=9"])
def test_a_strange_menu_is_an_ordinary_page(house: web_house.WebHouse, query: str) -> None:
    page = visit(house).get(f"/kiosk?{query}")
    assert page.status_code == 200
    assert "回首页" in page.text


def test_a_whole_errand_by_touch_is_one_conversation_of_the_kiosk(house: web_house.WebHouse) -> None:
    visitor = visit(house)
    start = visitor.get("/kiosk").text
    sent = {"text": "补贴有哪些", "key": hidden(start, "key"), "talk": hidden(start, "talk")}
    choices = visitor.post("/kiosk", data=sent).text
    button = next(b for b in Tags(choices).all("button") if b.get("value") == "高龄津贴")
    again = {"text": button["value"], "key": hidden(choices, "key"), "talk": hidden(choices, "talk")}
    answer = visitor.post("/kiosk", data=again).text
    assert "每人每月60元" in answer
    assert "补贴有哪些" not in answer, "the screen shows one question and its answer"
    assert {i.channel for i in house.reception.asked} == {Channel.KIOSK}
    assert len({i.conversation for i in house.reception.asked}) == 1
    assert hidden(start, "talk") not in house.reception.asked[0].conversation


def test_a_double_touch_is_one_message_and_a_new_start_a_new_conversation(house: web_house.WebHouse) -> None:
    visitor = visit(house)
    start = visitor.get("/kiosk").text
    sent = {"text": "津贴", "key": hidden(start, "key"), "talk": hidden(start, "talk")}
    for _ in range(2):
        visitor.post("/kiosk", data=sent)
    assert len(house.reception.entries) == 1
    assert hidden(visitor.get("/kiosk").text, "talk") != sent["talk"]


def test_nothing_is_left_behind(house: web_house.WebHouse) -> None:
    visitor = visit(house)
    answers = [
        visitor.get("/kiosk"),
        visitor.get("/kiosk?topic=养老服务"),
        visitor.post("/kiosk", data={"text": "津贴"}),
        visitor.get("/kiosk/p/gaoling"),
        visitor.get("/kiosk/p/nichts"),
        visitor.post("/kiosk", data={"text": ""}),
    ]
    for answer in answers:
        assert answer.headers["cache-control"] == "no-store"
        assert not answer.headers.get_list("set-cookie")
    for field in Tags(answers[0].text).all("input", type="text"):
        assert field["autocomplete"] == "off", "the browser must not propose what others wrote"


def test_cookies_of_somebody_who_went_to_the_chat_are_ended(house: web_house.WebHouse) -> None:
    visitor = visit(house, cookies={"bianmin_talk": "t" * 22, "bianmin_entries": "1", "desk": "stays"})
    ended = visitor.get("/kiosk").headers.get_list("set-cookie")
    assert sorted(line.partition("=")[0] for line in ended) == ["bianmin_entries", "bianmin_talk"]
    assert all("Max-Age=0" in line for line in ended)


def test_over_tls_the_browser_is_told_to_clear_what_it_holds() -> None:
    secure = visit(web_house.build(base_url="https://zw.qinghe.example")).get("/kiosk")
    assert secure.headers["clear-site-data"] == '"cache", "storage"'
    assert "clear-site-data" not in visit(web_house.build()).get("/kiosk").headers


def test_no_link_leads_out_of_the_kiosk(house: web_house.WebHouse) -> None:
    visitor = visit(house)
    answers = [visitor.post("/kiosk", data={"text": word}) for word in web_house.REPLIES]
    for page in (
        *answers,
        visitor.get("/kiosk"),
        visitor.get("/kiosk?topic=养老服务"),
        visitor.get("/kiosk/p/gaoling-2023"),
    ):
        assert page.status_code == 200
        tags = Tags(page.text)
        assert [a["href"] for a in tags.all("a") if not a["href"].startswith(("/kiosk", "#"))] == []
        assert [f["action"] for f in tags.all("form") if not f["action"].startswith("/kiosk")] == []
        assert "data-share" not in page.text


def test_a_judgement_counts_only_for_the_own_conversation(house: web_house.WebHouse) -> None:
    visitor = visit(house)
    page = visitor.post("/kiosk", data={"text": "津贴", "talk": "k" * 22}).text
    own = {"entry": "1", "useful": "1", "talk": hidden(page, "talk")}
    assert visitor.post("/kiosk/judge", data={**own, "talk": "x" * 22}, headers=FRAGMENT).status_code == 404
    assert visitor.post("/kiosk/judge", data={**own, "talk": ""}, headers=FRAGMENT).status_code == 422
    assert house.book.judged == {}
    assert visitor.post("/kiosk/judge", data=own, headers=FRAGMENT).status_code == 204
    assert house.book.judged == {1: True}
    assert visitor.post("/kiosk/judge", data=own).headers["location"] == "/kiosk"


@pytest.mark.parametrize(
    ("data", "headers", "status"),
    [
        ({"text": " "}, {}, 422),
        ({"text": "长" * 30_000}, {}, 413),
        ({"text": "津贴"}, {"origin": "https://evil.example"}, 403),
        ({"text": "津贴"}, {"content-type": "text/plain"}, 415),
    ],
)
def test_bad_forms_get_a_page_of_the_kiosk(
    house: web_house.WebHouse, data: dict[str, str], headers: dict[str, str], status: int
) -> None:
    answer = visit(house).post("/kiosk", data=data, headers=headers)
    assert answer.status_code == status
    assert 'class="kiosk"' in answer.text
    assert "回首页" in answer.text
    assert house.reception.asked == []
