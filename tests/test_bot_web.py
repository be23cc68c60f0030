"""The citizen's web door: pages, forms, the public interface, and what it does with bad input."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import date
from urllib.parse import urlencode

import pytest
import web_house
from starlette.requests import Request
from web_house import Tags, visit

from bot.channels import pages
from bot.channels.api import finding_json, reply_json
from bot.channels.http import RateLimiter, WebError, clean_text, client_address
from bot.config import WebSettings
from bot.errors import BotError
from knowledge.model import DocumentKind, Filters, Question, Validity
from register.inquiry import Channel, Reply, ReplyKind, Step

FORM = {"content-type": "application/x-www-form-urlencoded"}
FRAGMENT = {"x-bianmin-fragment": "1"}


@pytest.fixture
def house() -> web_house.WebHouse:
    return web_house.build()


def test_every_page_says_that_the_county_is_fictional_and_names_the_office(house: web_house.WebHouse) -> None:
    visitor = visit(house)
    for path in ("/", "/chat", "/p/gaoling", "/browse", "/browse?q=津贴", "/p/nichts"):
        page = visitor.get(path).text
        assert "虚构县" in page
        assert "青禾县人民政府办公室" in page
        assert "截至 2026年11月20日" in page
        assert '<html lang="zh-CN"' in page


def test_examples_are_questions_made_from_published_service_guides() -> None:
    examples = pages.example_questions(web_house.DOCUMENTS)
    assert ("养老服务", "高龄津贴怎么申报？") in examples
    assert ("医疗卫生", "居民医保怎么参保缴费？") in examples
    assert len({topic for topic, _ in examples}) == 6, "a different field each while there are any"
    office_guide = replace(web_house.GUIDE, title="青禾县人民政府办公室政府信息公开指南")
    assert pages.example_questions([office_guide]) == [], "a guide to the office is not a matter"
    plain = replace(web_house.GUIDE, title="惠民殡葬服务指南", topic="")
    assert pages.example_questions([plain]) == [("", "惠民殡葬怎么办？")]
    lapsed = [replace(d, validity=Validity.REPEALED) for d in web_house.DOCUMENTS]
    assert pages.example_questions(lapsed) == []


def test_a_question_by_plain_form_is_answered_and_survives_a_reload(house: web_house.WebHouse) -> None:
    visitor = visit(house)
    key = Tags(visitor.get("/chat").text).all("input", name="key")[0]["value"]
    sent = visitor.post("/chat", data={"text": "高龄津贴有多少", "key": key})
    assert (sent.status_code, sent.headers["location"]) == (303, "/chat#e1")
    page = visitor.get("/chat").text
    card = Tags(page)
    assert card.all("article", id="e1")
    assert "高龄津贴有多少" in page
    assert "（一）80周岁至89周岁，每人每月60元；" in page
    for part in ("《青禾县高龄津贴发放管理办法》", "青政办规〔2026〕1号", "第三条", "2026年2月26日", "有效"):
        assert part in page
    assert {"class": "act strong", "href": "/p/gaoling#p-2"} in card.all("a")
    assert card.all("a", href="/p/gaoling-jiedu"), "the interpretation is one tap away"


def test_a_double_submit_is_one_message(house: web_house.WebHouse) -> None:
    visitor = visit(house)
    key = Tags(visitor.get("/chat").text).all("input", name="key")[0]["value"]
    for _ in range(2):
        visitor.post("/chat", data={"text": "高龄津贴", "key": key})
    assert len(house.reception.entries) == 1
    visitor.post("/chat", data={"text": "农机购置补贴", "key": key})
    assert len(house.reception.entries) == 2, "other words under the same key (back button) are a new question"


def test_without_cookies_the_answer_comes_at_once_and_a_double_submit_is_still_one(house: web_house.WebHouse) -> None:
    for _ in range(2):
        answer = visit(house).post("/chat", data={"text": "高龄津贴", "key": "k" * 20})
        assert answer.status_code == 200
        assert "每人每月60元" in answer.text
    assert len(house.reception.entries) == 1


def test_a_stranger_sees_and_judges_nothing_of_a_conversation(house: web_house.WebHouse) -> None:
    owner = visit(house)
    owner.get("/chat")
    owner.post("/chat", data={"text": "高龄津贴有多少"})
    stranger = visit(house, cookies={"bianmin_talk": "s" * 22, "bianmin_entries": "1"})
    assert "高龄津贴有多少" not in stranger.get("/chat").text
    assert stranger.post("/feedback", data={"entry": "1", "useful": "0"}).status_code == 404
    assert house.book.judged == {}
    assert owner.post("/feedback", data={"entry": "1", "useful": "1"}).status_code == 303
    assert house.book.judged == {1: True}


def test_an_entry_of_another_channel_is_never_drawn(house: web_house.WebHouse) -> None:
    visitor = visit(house)
    visitor.get("/chat")
    visitor.post("/chat", data={"text": "高龄津贴有多少"})
    house.reception.entries[1] = replace(house.reception.entries[1], channel=Channel.WECHAT)
    assert "高龄津贴有多少" not in visitor.get("/chat").text


def test_clearing_forgets_the_conversation(house: web_house.WebHouse) -> None:
    visitor = visit(house)
    visitor.get("/chat")
    visitor.post("/chat", data={"text": "高龄津贴有多少"})
    visitor.post("/chat/clear", data={})
    assert "高龄津贴有多少" not in visitor.get("/chat").text


def test_the_register_gets_a_pseudonym_and_never_the_cookie(house: web_house.WebHouse) -> None:
    visitor = visit(house)
    visitor.get("/chat")
    visitor.post("/chat", data={"text": "高龄津贴"})
    cookie = visitor.cookies["bianmin_talk"]
    inquiry = house.reception.asked[0]
    assert inquiry.channel is Channel.WEB
    assert cookie not in (inquiry.conversation, inquiry.message_key, inquiry.sender)
    assert inquiry.received_at.tzinfo is not None


def test_cookies_are_first_party_http_only_and_secure_behind_tls() -> None:
    for base_url, secure in (("https://zw.qinghe.example", True), ("http://127.0.0.1:8000", False)):
        lines = visit(web_house.build(base_url=base_url)).get("/chat").headers.get_list("set-cookie")
        assert lines
        for line in lines:
            assert "httponly" in line.lower()
            assert "samesite=lax" in line.lower()
            assert ("secure" in line.lower()) is secure


@pytest.mark.parametrize("word", list(web_house.REPLIES))
def test_every_kind_of_reply_is_drawn_with_all_its_parts(house: web_house.WebHouse, word: str) -> None:
    reply = web_house.REPLIES[word]
    card = visit(house).post("/chat", data={"text": word}, headers=FRAGMENT)
    assert card.status_code == 200
    page = Tags(card.text)
    for line in (reply.notice, reply.disclaimer, reply.organ_reason):
        assert line in card.text
    for source in reply.sources:
        assert page.all("a", href=source.url)
        assert all(line in card.text for line in source.quote.splitlines() if "|" not in line)
    for near in reply.nearest:
        assert page.all("a", href=near.url)
    for choice in reply.choices:
        assert page.all("button", value=choice.send)
        assert choice.label in page.words
    for step in reply.steps:
        assert step.text in page.words
    if reply.organ:
        assert reply.organ.address in card.text
        assert reply.organ.hours in card.text
        assert page.all("a", href="tel:" + re.sub(r"\D", "", reply.organ.phone.partition("、")[0]))
    if reply.search_record:
        assert "<b>52</b> 份文件、<b>1180</b> 条内容，截至 2026年11月20日" in card.text
    if not (reply.lead or reply.sources):
        assert reply.text.splitlines()[0] in card.text


def test_a_lapsed_text_wears_its_warning_before_its_words(house: web_house.WebHouse) -> None:
    card = visit(house).post("/chat", data={"text": "旧办法"}, headers=FRAGMENT).text
    assert card.index("已于2026年4月1日废止") < card.index("每人每月60元")


def test_a_link_with_a_dangerous_scheme_is_shown_as_words_only(house: web_house.WebHouse) -> None:
    steps = (Step("点这里", "javascript:alert(1)"), Step("那里", "//evil.example/"), Step("打电话", "tel:12345"))
    web_house_reply = Reply(ReplyKind.REFER, "请看", lead="请看", steps=steps)
    house.reception.answer = lambda inquiry, /: (1, web_house_reply)  # type: ignore[method-assign]
    page = Tags(visit(house).post("/chat", data={"text": "点"}, headers=FRAGMENT).text)
    assert [a["href"] for a in page.all("a") if a["href"].startswith(("java", "//"))] == []
    assert page.all("a", href="tel:12345")
    assert "点这里" in page.words


def test_the_document_page_shows_elements_heads_passages_and_neighbours(house: web_house.WebHouse) -> None:
    page = visit(house).get("/p/gaoling").text
    tags = Tags(page)
    assert [s["id"] for s in tags.all("section", **{"class": "item"})] == [f"p-{i}" for i in range(1, 7)]
    assert page.count("第二章　发放</h2>") == 1, "a head is printed once, before the first passage under it"
    assert page.index("第二章　发放</h2>") < page.index('id="p-3"')
    assert "青禾县人民政府办公室文件" in page
    for element in ("QH0001/2026-00021", "青政办规〔2026〕1号", "2026年4月1日", "养老服务", "老年人"):
        assert element in page
    assert "<td>90—99周岁</td><td>120元</td>" in page, "table rows are drawn as a table"
    for neighbour in ("/p/gaoling-jiedu", "/p/gaoling-zhinan", "/p/gaoling-2023"):
        assert tags.all("a", href=neighbour)


def test_a_repealed_document_says_so_first_and_names_its_successor(house: web_house.WebHouse) -> None:
    page = visit(house).get("/p/gaoling-2023").text
    assert page.index("已经废止") < page.index("<h1>")
    assert page.index('href="/p/gaoling"') < page.index("<h1>")


def test_only_official_documents_wear_a_red_head(house: web_house.WebHouse) -> None:
    assert "redhead" not in visit(house).get("/p/gaoling-jiedu").text


def test_an_unknown_document_is_a_courteous_404(house: web_house.WebHouse) -> None:
    for path in ("/p/nichts", "/p/%E4%B8%AD%00", "/p/" + "x" * 3000):
        page = visit(house).get(path)
        assert page.status_code == 404
        assert "没有找到这份文件" in page.text
        assert 'href="/chat"' in page.text


def test_the_list_is_filtered_by_element_with_counts_under_the_other_filters() -> None:
    listing = pages.browse(web_house.DOCUMENTS, Filters(topic="养老服务", kind=DocumentKind.POLICY), "", 1)
    assert {d.id for d in listing.documents} == {"gaoling", "gaoling-2023"}
    years = next(g for g in listing.groups if g.field == "year")
    assert [(o.label, o.count) for o in years.options] == [("2026年", 1), ("2023年", 1)]
    topics = next(g for g in listing.groups if g.field == "topic")
    assert topics.chosen == "养老服务"
    assert [o.label for o in topics.options] == ["养老服务"], "only fields that still have policies"


def test_joint_issuers_are_each_found_and_each_stand_in_the_red_head(house: web_house.WebHouse) -> None:
    joint = replace(web_house.ALLOWANCE, id="joint", issuer="青禾县民政局 青禾县财政局<b>")
    house.library.held = (joint, web_house.GUIDE)
    page = visit(house).get("/p/joint").text
    assert "青禾县民政局<br>青禾县财政局&lt;b&gt;文件" in page
    organs = next(g for g in pages.browse(house.library.held, Filters(), "", 1).groups if g.field == "organ")
    assert {(o.label, o.count) for o in organs.options} == {("青禾县民政局", 2), ("青禾县财政局<b>", 1)}
    visit(house).get("/browse", params={"q": "津贴", "organ": "青禾县财政局<b>"})
    assert house.library.questions[-1].filters == Filters(documents=("joint",))
    visit(house).get("/browse", params={"q": "津贴", "organ": "无此机关"})
    assert house.library.questions[-1].filters.documents, "an unknown organ never means every document"


def test_what_a_notice_hands_on_stands_under_its_own_title() -> None:
    document = replace(web_house.ALLOWANCE, title="关于印发《青禾县高龄津贴发放管理办法》的通知")
    first, *rest = web_house.passages_of(document)
    view = pages.document_view(document, [replace(first, part="通知"), *rest, replace(first, part="附件1")], [])
    assert [head.text for head in view.outline if head.level == 0] == ["通知", "青禾县高龄津贴发放管理办法", "附件1"]
    assert len({head.id for head in view.outline}) == len(view.outline)


def test_the_front_page_offers_organs_where_few_documents_name_their_field() -> None:
    offered = pages.shelf(pages.browse(web_house.DOCUMENTS, Filters(), "", 1))
    assert offered and offered.field == "topic"
    bare = [replace(d, topic="") for d in web_house.DOCUMENTS]
    offered = pages.shelf(pages.browse(bare, Filters(), "", 1))
    assert offered and offered.field == "organ"
    assert pages.shelf(pages.browse([], Filters(), "", 1)) is None


def test_the_list_is_cut_into_pages() -> None:
    many = [replace(web_house.GUIDE, id=f"g{i}", written_on=date(2020, 1, 1)) for i in range(65)]
    last = pages.browse(many, Filters(), "", 99)
    assert (last.page, last.pages, len(last.documents)) == (3, 3, 5)
    assert last.page_urls == ("/browse?page=2", "")


def test_the_search_box_asks_the_library_within_the_chosen_filters(house: web_house.WebHouse) -> None:
    page = visit(house).get("/browse", params={"q": "津贴", "topic": "养老服务"}).text
    assert house.library.questions[-1].text == "津贴"
    assert house.library.questions[-1].filters.topic == "养老服务"
    assert 'href="/p/gaoling#p-1"' in page
    assert "<mark>津贴</mark>" in page
    miss = visit(house).get("/browse", params={"q": "火箭"}).text
    assert "本库未检索到" in miss
    assert "不存在" not in miss


@pytest.mark.parametrize("query", ["year=20x6", "kind=evil", "validity=x"])
def test_a_filter_that_cannot_be_read_is_a_courteous_422(house: web_house.WebHouse, query: str) -> None:
    page = visit(house).get(f"/browse?{query}")
    assert page.status_code == 422
    assert page.headers["content-type"].startswith("text/html")


def test_large_print_is_one_button_and_comes_back_to_the_same_page(house: web_house.WebHouse) -> None:
    visitor = visit(house)
    assert 'class="large"' not in visitor.get("/chat").text
    back = visitor.post("/display", data={"size": "large", "back": "/p/gaoling?a=1"})
    assert (back.status_code, back.headers["location"]) == (303, "/p/gaoling?a=1")
    assert '<html lang="zh-CN" class="large">' in visitor.get("/p/gaoling").text


@pytest.mark.parametrize(
    "back", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:1", "", "/a\r\nX: y", "http://["]
)
def test_the_way_back_never_leaves_the_site(house: web_house.WebHouse, back: str) -> None:
    answer = visit(house).post("/display", data={"size": "large", "back": back})
    assert answer.headers["location"] == "/chat"


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://["},
        {"sec-fetch-site": "cross-site"},
    ],
)
def test_a_form_from_another_site_is_refused(house: web_house.WebHouse, headers: dict[str, str]) -> None:
    for path in ("/chat", "/feedback", "/display", "/chat/clear"):
        assert visit(house).post(path, data={"text": "津贴"}, headers=headers).status_code == 403
    assert house.reception.asked == []


def test_our_own_forms_pass_the_origin_check(house: web_house.WebHouse) -> None:
    own = {"origin": "http://127.0.0.1:8000", "sec-fetch-site": "same-origin"}
    assert visit(house).post("/chat", data={"text": "津贴"}, headers=own).status_code == 200


def test_wherever_no_route_answers_people_get_a_page_and_programs_json(house: web_house.WebHouse) -> None:
    page = visit(house).get("/nirgends")
    assert (page.status_code, "没有这个网页" in page.text) == (404, True)
    assert "default-src 'none'" in page.headers["content-security-policy"]
    answer = visit(house).get("/api/nothing")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")
    wrong = visit(house).get("/api/ask")
    assert (wrong.status_code, wrong.json()["error"]["code"], wrong.headers["allow"]) == (
        405,
        "method_not_allowed",
        "POST",
    )


def test_an_accident_shows_no_word_of_it(house: web_house.WebHouse) -> None:
    def broken() -> None:
        raise RuntimeError("secret path /var/lib")

    house.library.state = broken  # type: ignore[method-assign,assignment]
    house.library.ask = lambda question, /: broken()  # type: ignore[method-assign,assignment,return-value]
    page = visit(house, raise_errors=False).get("/chat")
    assert page.status_code == 500
    assert "请过几分钟再试" in page.text
    answer = visit(house, raise_errors=False).get("/api/search?q=津贴")
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "failed")
    assert "secret" not in page.text + answer.text


# ---- headers, files, size ----


def test_every_answer_forbids_foreign_and_inline_code(house: web_house.WebHouse) -> None:
    visitor = visit(house)
    answers = [visitor.get(p) for p in ("/", "/chat", "/p/gaoling", "/p/nichts", "/browse", "/api/search?q=津贴")]
    answers.append(visitor.post("/api/ask", json={"text": "津贴"}))
    for answer in answers:
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "same-origin"


def test_pages_hold_no_inline_code_and_ask_nobody_else(house: web_house.WebHouse) -> None:
    visitor = visit(house)
    for word in web_house.REPLIES:
        visitor.post("/chat", data={"text": word})
    for path in ("/", "/chat", "/p/gaoling", "/p/gaoling-2023", "/browse", "/browse?q=津贴"):
        for tag, attributes in Tags(visitor.get(path).text).tags:
            assert not any(name.startswith("on") or name == "style" for name in attributes), (path, tag, attributes)
            if tag in ("script", "link", "img"):
                assert attributes.get("src", attributes.get("href", "")).startswith("/static/")


def test_pages_stay_under_sixty_kilobytes_with_everything_they_need(house: web_house.WebHouse) -> None:
    files = {file.url: len(file.content) for file in pages.static_files().values()}
    visitor = visit(house)
    for word in web_house.REPLIES:
        visitor.post("/chat", data={"text": word})
    for path in ("/", "/chat", "/p/gaoling", "/browse", "/browse?q=津贴", "/kiosk", "/kiosk/p/gaoling", "/api"):
        page = visitor.get(path)
        named = [a.get("src", a.get("href", "")) for tag, a in Tags(page.text).tags if tag in ("script", "link")]
        assert named
        assert len(page.content) + sum(files[address] for address in named) < 60_000, path


def test_static_files_are_kept_for_ever_under_the_address_of_their_content(house: web_house.WebHouse) -> None:
    for name, file in pages.static_files().items():
        got = visit(house).get(file.url)
        assert got.content == file.content
        assert "immutable" in got.headers["cache-control"]
        old = visit(house).get(f"/static/000000000000/{name}")
        assert "immutable" not in old.headers["cache-control"]
    assert visit(house).get("/static/0/..%2Fbase.html.j2").status_code == 404


def test_the_conversation_is_never_kept_by_a_cache(house: web_house.WebHouse) -> None:
    assert visit(house).get("/chat").headers["cache-control"] == "no-store"


# ---- colours ----


def _palettes() -> list[dict[str, str]]:
    css = (web_house.TEMPLATES / "static" / "site.css").read_text("utf-8")
    light = css[: css.index("@media (prefers-color-scheme: dark)")]
    dark = css[css.index("@media (prefers-color-scheme: dark)") : css.index("* { box-sizing")]
    return [dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", part)) for part in (light, dark)]


def _contrast(one: str, other: str) -> float:
    """WCAG 2.2 contrast ratio of two #rrggbb colours (https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio)."""

    def luminance(colour: str) -> float:
        channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        r, g, b = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
        return 0.2126 * r + 0.7152 * g + 0.0722 * b

    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("palette", _palettes(), ids=["light", "dark"])
def test_words_stand_out_from_their_ground(palette: dict[str, str]) -> None:
    grounds = ("ground", "surface", "sunk", "accent-soft", "mark", "quoted")
    pairs = [(ink, on) for ink in ("ink", "muted", "accent") for on in grounds]
    pairs += [("accent-ink", "accent"), ("warn-ink", "warn"), ("red", "surface")]
    for ink, on in pairs:
        assert _contrast(palette[ink], palette[on]) >= 4.5, (ink, on, _contrast(palette[ink], palette[on]))
    assert _contrast(palette["edge"], palette["surface"]) >= 3, "the edge of a text box (WCAG 1.4.11)"


# ---- bad input ----

STRANGE = {
    "long": "低保" * 5000,
    "emoji": "😀🙏🏽👨‍👩‍👧‍👦",
    "html": "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "template": "{{ 7*7 }}{% raw %}${7*7}#{7*7}",
    "sql": "'; drop table inquiries; --",
    "joiners": "\u200d" * 500 + "津贴",
    "controls": "津\x00贴\x1b[31m\x07",
    "bidi": "\u202e津贴\u2066",
    "number": "青政办规〔2026〕1号",
}


@pytest.mark.parametrize("text", STRANGE.values(), ids=STRANGE.keys())
def test_strange_questions_get_a_courteous_card(house: web_house.WebHouse, text: str) -> None:
    visitor = visit(house)
    visitor.get("/chat")
    answer = visitor.post("/chat", data={"text": text})
    assert answer.status_code == 303
    page = visitor.get("/chat").text
    assert "<script>alert" not in page
    assert "onerror=alert" not in page.replace("&lt;img src=x onerror=alert(1)&gt;", "")
    assert "49" not in Tags(page).words.replace("2049", "")
    assert len(page) < 20_000, "a long question is shown in part"
    assert not any(c in house.reception.asked[0].text for c in "\x00\x1b\x07")
    answer = visitor.post("/api/ask", json={"text": text})
    assert answer.status_code == 200
    assert answer.json()["text"]


def test_lone_surrogates_cannot_enter(house: web_house.WebHouse) -> None:
    answer = visit(house).post(
        "/api/ask", content=b'{"text": "\\ud83d\\u6d25\\u8d34"}', headers={"content-type": "application/json"}
    )
    assert answer.status_code == 200
    house.reception.asked[0].text.encode("utf-8")
    assert clean_text("\udc80a") == "\ufffda"


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (b"text=" + b"a" * 400_000, FORM, 413),
        (urlencode({"text": "\u6d25" * 30_000}).encode(), FORM, 413),
        (b"text=%E6%B4", FORM, 400),
        (b"text=\xff\xfe", FORM, 400),
        (b"&".join(b"a=%d" % i for i in range(50)), FORM, 400),
        (b"text=a", {"content-type": "multipart/form-data; boundary=x"}, 415),
        (b"text=a", {"content-type": "text/plain"}, 415),
        (b"text=a", {}, 415),
        (b"", FORM, 422),
        (b"text=%20%0A", FORM, 422),
        (b"text=a", {**FORM, "content-length": "9" * 400}, 413),
    ],
)
def test_bad_forms_get_a_page_with_a_fitting_status(
    house: web_house.WebHouse, content: bytes, headers: dict[str, str], status: int
) -> None:
    answer = visit(house).post("/chat", content=content, headers=headers)
    assert answer.status_code == status
    assert "<h1>" in answer.text
    assert "Traceback" not in answer.text
    assert house.reception.asked == []
    card = visit(house).post("/chat", content=content, headers={**headers, **FRAGMENT})
    assert card.status_code == status
    assert card.text.startswith("<article")


@pytest.mark.parametrize(
    ("content", "media_type", "status"),
    [
        (b"{", "application/json", 400),
        (b"[]", "application/json", 400),
        (b'"x"', "application/json", 400),
        (b"\xff\xfe{", "application/json", 400),
        (b"[" * 60_000, "application/json", 400),
        (b'{"text": ' + b"1" * 5000 + b"}", "application/json", 400),
        (b'{"text": "a"}', "text/plain", 415),
        (b'{"text": "' + b"a" * 70_000 + b'"}', "application/json", 413),
        (b"{}", "application/json", 422),
        (b'{"text": 5}', "application/json", 422),
        (b'{"text": "  "}', "application/json", 422),
        (b'{"text": "\\u0000"}', "application/json", 422),
        (b'{"text": "a", "conversation": 5}', "application/json", 422),
        (b'{"text": "a", "conversation": "' + b"c" * 201 + b'"}', "application/json", 422),
    ],
)
def test_bad_json_gets_the_error_of_the_contract(
    house: web_house.WebHouse, content: bytes, media_type: str, status: int
) -> None:
    answer = visit(house).post("/api/ask", content=content, headers={"content-type": media_type})
    assert answer.status_code == status
    error = answer.json()["error"]
    assert set(error) == {"code", "message"}
    assert error["code"]
    assert error["message"]
    assert house.reception.asked == []


def test_a_body_without_a_length_is_cut_at_the_limit(house: web_house.WebHouse) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(1000):
            yield b'{"text": "aaaaaaaaaa' * 100

    answer = visit(house).post("/api/ask", content=endless(), headers={"content-type": "application/json"})
    assert answer.status_code == 413


# ---- the public interface ----

REPLY_FIELDS = {"entry", "kind", "text", "confidence", "sources", "choices", "organ", "search_record"}
SOURCE_FIELDS = {"document", "title", "number", "issuer", "written_on", "locator", "quote", "validity", "url"}
RECORD_FIELDS = {
    "query",
    "terms",
    "expanded",
    "filters",
    "scope_documents",
    "scope_passages",
    "index_version",
    "as_of",
    "hits",
    "seconds",
}


@pytest.mark.parametrize("word", list(web_house.REPLIES))
def test_the_reply_has_every_field_of_the_contract(word: str) -> None:
    reply = json.loads(json.dumps(reply_json(7, web_house.REPLIES[word])))
    assert set(reply) >= REPLY_FIELDS
    assert reply["entry"] == 7
    assert reply["kind"] == web_house.REPLIES[word].kind.value
    assert all(set(source) >= SOURCE_FIELDS for source in reply["sources"])
    assert all(set(choice) == {"label", "send"} for choice in reply["choices"])
    assert reply["organ"] is None or set(reply["organ"]) == {"name", "phone", "address", "hours"}
    assert set(reply["search_record"]) == RECORD_FIELDS


def test_ask_answers_and_names_the_conversation_to_go_on_with(house: web_house.WebHouse) -> None:
    first = visit(house).post("/api/ask", json={"text": "高龄津贴"}).json()
    assert first["kind"] == "answer"
    assert first["sources"][0]["locator"] == "第三条"
    visit(house).post("/api/ask", json={"text": "那九十岁呢", "conversation": first["conversation"]})
    one, two = house.reception.asked
    assert one.channel is Channel.API
    assert one.conversation == two.conversation
    assert one.message_key != two.message_key


def test_search_gives_hits_and_the_record(house: web_house.WebHouse) -> None:
    found = visit(house).get("/api/search", params={"q": "津贴", "limit": "3", "year": "2026"}).json()
    assert set(found) >= {"query", "hits", "record"}
    assert set(found["record"]) == RECORD_FIELDS
    fields = {"document", "title", "number", "locator", "quote", "score", "validity", "url"}
    assert all(set(hit) == fields for hit in found["hits"])
    assert found["hits"][0]["url"] == "/p/gaoling#p-1"
    question = house.library.questions[-1]
    assert (question.limit, question.filters.year) == (3, 2026)
    assert finding_json(house.library.ask(Question("津贴")))["record"]["as_of"] == "2026-11-20"  # type: ignore[index]


@pytest.mark.parametrize("query", ["", "q=", "q=a&limit=0", "q=a&limit=999", "q=a&limit=x", "q=a&year=99999"])
def test_a_bad_search_is_a_422(house: web_house.WebHouse, query: str) -> None:
    answer = visit(house).get(f"/api/search?{query}")
    assert answer.status_code == 422
    assert answer.json()["error"]["message"]


# ---- limits ----


def test_too_many_questions_are_asked_to_wait() -> None:
    visitor = visit(web_house.build(asks_per_minute=2))
    assert [visitor.post("/api/ask", json={"text": "津贴"}).status_code for _ in range(3)] == [200, 200, 429]
    refused = visitor.post("/api/ask", json={"text": "津贴"})
    assert refused.json()["error"]["code"] == "too_many_requests"
    assert int(refused.headers["retry-after"]) > 0
    page = visitor.post("/chat", data={"text": "津贴"})
    assert page.status_code == 429
    assert "秒再试" in page.text
    assert visitor.get("/chat").status_code == 200, "reading is not limited"


def test_the_bucket_refills_and_remembers_a_bounded_number_of_addresses() -> None:
    now = [0.0]
    limiter = RateLimiter(60, clock=lambda: now[0], remember=3)
    for _ in range(60):
        limiter.check("a")
    with pytest.raises(WebError):
        limiter.check("a")
    now[0] += 1.0
    limiter.check("a")
    for address in "bcde":
        limiter.check(address)
    assert len(limiter._buckets) == 3


@pytest.mark.parametrize(
    ("peer", "forwarded", "counted"),
    [
        ("203.0.113.9", "198.51.100.1", "203.0.113.9"),
        ("10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "6.6.6.6, 198.51.100.1, 10.0.0.2", "198.51.100.1"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("2001:db8:1:2:3::4", "", "2001:db8:1:2::/64"),
        ("10.0.0.1", "x" * 500, "x" * 64),
    ],
)
def test_only_trusted_proxies_are_believed(peer: str, forwarded: str, counted: str) -> None:
    headers = [(b"x-forwarded-for", forwarded.encode())] if forwarded else []
    request = Request({"type": "http", "method": "GET", "path": "/", "headers": headers, "client": (peer, 1)})
    assert client_address(request, ("10.0.0.1", "10.0.0.2")) == counted


def test_a_reply_that_is_still_being_made_is_a_503_that_may_be_sent_again(house: web_house.WebHouse) -> None:
    house.reception.fails_with = BotError("entry 5 is still being worked on")
    page = visit(house).post("/chat", data={"text": "津贴"})
    assert (page.status_code, page.headers["retry-after"]) == (503, "3")
    assert "entry 5" not in page.text
    assert visit(house).post("/api/ask", json={"text": "津贴"}).json()["error"]["code"] == "still_working"


# ---- small parts ----


def test_phone_lines_are_cut_into_links_without_losing_a_character() -> None:
    line = "0999-5550101、5550102（夜间12345）"
    pieces = pages.phones(line)
    assert "".join(piece for piece, _ in pieces) == line
    assert [link for _, link in pieces if link] == ["tel:09995550101", "tel:5550102", "tel:12345"]


def test_dates_are_read_from_iso_and_anything_else_is_left_alone() -> None:
    assert pages.day("2026-03-05") == "2026年3月5日"
    assert pages.day(date(2026, 3, 5)) == "2026年3月5日"
    assert pages.day("二〇二六年") == "二〇二六年"
    assert pages.day(None) == pages.day("") == ""


def test_snippets_mark_the_matched_words_and_keep_the_text() -> None:
    text = "甲" * 200 + "高龄津贴标准" + "乙" * 200
    pieces = pages.snippet(text, ("津贴", "高龄津贴", "的"))
    assert ("高龄津贴", True) in pieces
    assert pieces[0] == ("…", False)
    assert pieces[-1] == ("…", False)
    assert pages.snippet("没有词", ()) == [("没有词", False)]


def test_no_template_is_orphaned(house: web_house.WebHouse) -> None:
    texts = {path.name: path.read_text("utf-8") for path in web_house.TEMPLATES.glob("*.j2")}
    code = "".join(
        path.read_text("utf-8") for path in (web_house.TEMPLATES.parents[1] / "bot" / "channels").glob("*.py")
    )
    for name in texts:
        used = code + "".join(text for other, text in texts.items() if other != name)
        assert name in used, f"{name} is used nowhere"


# ---- in a frame of another site ----

COUNTY = "https://www.qinghe.example"


def test_by_default_nobody_may_frame_the_chat(house: web_house.WebHouse) -> None:
    page = visit(house).get("/chat?embed=1")
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
    assert page.headers["x-frame-options"] == "DENY"


def test_listed_sites_may_frame_the_chat_and_nothing_else() -> None:
    house = web_house.build(web=WebSettings(embed_origins=(COUNTY, "http://oa.qinghe.example:8080")))
    visitor = visit(house)
    framed = [visitor.get("/chat?embed=1"), visitor.post("/chat?embed=1", data={"text": "津贴"})]
    framed += [visitor.post("/chat?embed=1", data={"text": " "}), visitor.get("/chat?embed=1&size=large")]
    for page in framed:
        policy = page.headers["content-security-policy"]
        assert policy.endswith(f"frame-ancestors 'self' {COUNTY} http://oa.qinghe.example:8080")
        assert "x-frame-options" not in page.headers, "it knows no list of sites"
    for path in ("/chat", "/", "/p/gaoling?embed=1", "/browse?embed=1", "/kiosk?embed=1", "/a/1?embed=1", "/x?embed=1"):
        page = visitor.get(path)
        assert "frame-ancestors 'none'" in page.headers["content-security-policy"], path
        assert page.headers["x-frame-options"] == "DENY", path


def test_in_a_frame_the_conversation_needs_no_cookie_and_no_script() -> None:
    house = web_house.build(web=WebSettings(embed_origins=(COUNTY,)))
    visitor = visit(house)
    page = visitor.get("/chat?embed=1")
    for text in ("补贴", "高龄津贴"):
        form = {
            a["name"]: a["value"] for a in Tags(page.text).all("input") if a.get("name") in ("talk", "entries", "key")
        }
        page = visitor.post("/chat?embed=1", data={**form, "text": text})
        assert page.status_code == 200
    assert len(Tags(page.text).all("article", id="e1")) == len(Tags(page.text).all("article", id="e2")) == 1
    one, two = house.reception.asked
    assert one.conversation == two.conversation
    assert not visitor.cookies
    form = {a["name"]: a["value"] for a in Tags(page.text).all("input") if a.get("name") in ("talk", "entries")}
    judged = visitor.post("/feedback?embed=1", data={**form, "entry": "2", "useful": "1"})
    assert house.book.judged == {2: True}
    assert "谢谢，已经记下" in judged.text
    assert visitor.post("/chat/clear?embed=1", data=form).headers["location"] == "/chat?embed=1"
    assert 'class="large"' in visitor.get("/chat?embed=1&size=large").text
    assert not visitor.cookies


def test_the_conversation_of_a_frame_is_drawn_again_for_its_own_id_only() -> None:
    house = web_house.build(web=WebSettings(embed_origins=(COUNTY,)))
    visitor = visit(house)
    visitor.post("/chat?embed=1", data={"text": "高龄津贴有多少", "talk": "t" * 22}, headers=FRAGMENT)
    own = visitor.post("/chat/again?embed=1", data={"talk": "t" * 22, "entries": "1"}, headers=FRAGMENT)
    assert "高龄津贴有多少" in own.text
    assert own.headers["cache-control"] == "no-store"
    for talk in ("s" * 22, "", "<b>"):
        stranger = visitor.post("/chat/again?embed=1", data={"talk": talk, "entries": "1"}, headers=FRAGMENT)
        assert stranger.text.strip() == ""
    # Outside a frame the id in a form counts for nothing: only the cookie does.
    assert "高龄津贴" not in visitor.post("/chat/again", data={"talk": "t" * 22, "entries": "1"}).text


def test_the_widget_has_one_address_for_good_and_a_hashed_one(house: web_house.WebHouse) -> None:
    stable = visit(house).get("/static/widget.js")
    assert stable.status_code == 200
    assert "javascript" in stable.headers["content-type"]
    assert stable.headers["cache-control"] == "public, max-age=3600"
    assert stable.headers["cross-origin-resource-policy"] == "cross-origin"
    assert visit(house).get(pages.static_files()["widget.js"].url).content == stable.content
