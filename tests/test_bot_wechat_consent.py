"""The page on which citizens allow 订阅通知, against a fake WeChat."""

from __future__ import annotations

import asyncio
import html
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from test_bot_wechat import NOTICES, SECRET, FakeWeChat, House, ask, client, consent, said, text
from wechat_phone import AES_KEY, APP_ID, TOKEN

from bot.channels.wechat import Door
from bot.channels.wechat_consent import DAYS, address_of, last_day, signature
from bot.config import DataSettings, ServerSettings, Settings, WeChatSettings
from bot.database import migrate, open_engine
from register.clock import now_beijing

BASE = "https://zwgk.qinghe.example"
TICKET = {"errcode": 0, "errmsg": "ok", "ticket": "TICKET-1", "expires_in": 7200}


@pytest.fixture
def wechat() -> Iterator[FakeWeChat]:
    fake = FakeWeChat()
    fake.script["ticket/getticket"] = [TICKET]
    yield fake
    fake.close()


@pytest.fixture
def house(tmp_path: Path, wechat: FakeWeChat) -> Iterator[House]:
    engine = open_engine(f"sqlite:///{tmp_path / 'bianmin.db'}")
    migrate(engine)
    engine.dispose()
    own = WeChatSettings(
        token=TOKEN, aes_key=AES_KEY, app_id=APP_ID, app_secret=SECRET, api_base=wechat.base, **NOTICES
    )  # type: ignore[arg-type]
    built = House(tmp_path, Settings(data=DataSettings(tmp_path), server=ServerSettings(base_url=BASE), wechat=own))
    yield built
    built.engine.dispose()


def get(door: Door, address: str) -> httpx.Response:
    async def run() -> httpx.Response:
        async with client(door) as http:
            return await http.get(address)

    return asyncio.run(run())


def test_a_page_is_signed_as_the_protocol_says() -> None:
    """The example of JS-SDK 使用权限签名算法."""
    ticket = "sM4AOVdWfPE4DxkXGEs8VMCPGGVi4C3VM0P37wVUCFvkVAy_90u5h9nbSlYy3-Sl-HhTdfl2fzFy1AOcHKP7qg"
    signed = signature(ticket, "Wm3WZYTPz0wzccnW", 1414587457, "http://mp.weixin.qq.com?params=value#top")
    assert signed == "0f9de62fce790f9a083d5c99e95740ceb90c27ed"


def test_the_chat_gives_the_address_of_the_page_until_the_citizen_has_consented(house: House) -> None:
    door = house.door()
    before, _, after = (said(r) for r in ask(door, text("订阅 养老", 1), consent(), text("我的订阅", 2)))
    found = re.search(re.escape(BASE) + r"(/wechat/topics\?k=[\w.-]+)", before)
    assert found, before
    assert get(door, found[1]).status_code == 200
    assert BASE not in after


def test_an_address_of_the_county_s_own_goes_first(house: House) -> None:
    assert "https://mp.example/s/1" in said(ask(house.door(consent_url="https://mp.example/s/1"), text("订阅 养老"))[0])


def test_the_page_holds_wechats_button_signed_for_the_address_as_the_phone_sees_it(
    house: House, wechat: FakeWeChat
) -> None:
    door = house.door()
    address = address_of(now_beijing().date(), house.seal) + "&from=singlemessage&isappinstalled=0"
    page = get(door, address)
    told = {name: html.unescape(value) for name, value in re.findall(r'data-(\w+)="([^"]*)"', page.text)}
    assert told["app"] == APP_ID
    assert told["signature"] == signature("TICKET-1", told["nonce"], int(told["stamp"]), BASE + address)
    assert '<wx-open-subscribe template="T-policy">' in page.text
    assert "只通知一次" in page.text
    assert "以后都会通知" in get(house.door(long_term_templates=("T-policy",)), address).text
    assert len(wechat.named("ticket/getticket")) == 1, "one ticket for all pages and processes"
    assert "TICKET" not in page.text
    assert SECRET not in page.text


def test_the_page_may_load_wechats_script_and_frame_and_nothing_else(house: House) -> None:
    page = get(house.door(), address_of(now_beijing().date(), house.seal))
    policy = page.headers["content-security-policy"]
    rules = {name: values for name, *values in (rule.split() for rule in policy.split(";"))}
    assert rules["default-src"] == ["'none'"]
    assert rules["script-src"] == ["'self'", "https://res.wx.qq.com"]
    assert rules["frame-src"] == ["https://*.qq.com", "webcompt:"]
    assert rules["frame-ancestors"] == ["'none'"]
    scripts = re.findall(r"<script(?! type=\"text/wxtag-template\")[^>]*>(.*?)</script>", page.text, re.S)
    assert len(scripts) == 2
    assert not any(scripts), "no script stands in the page itself"
    assert page.headers["cache-control"] == "no-store"


def test_an_address_ends_and_cannot_be_made_up(house: House, wechat: FakeWeChat) -> None:
    today = now_beijing().date()
    old = get(house.door(), address_of(today - timedelta(days=DAYS + 1), house.seal))
    assert (old.status_code, "已经过期" in old.text, "我的订阅" in old.text) == (410, True, True)
    key = urlsplit(address_of(today, house.seal)).query.removeprefix("k=")
    assert last_day(key, house.seal) == today + timedelta(days=DAYS)
    day, _, made = key.partition(".")
    for wrong in ("", "x", f"{int(day) + 1}.{made}", f"{day}.{'A' * 43}", "99999999999." + made, key + "\n"):
        assert last_day(wrong, house.seal) is None
        assert get(house.door(), f"/wechat/topics?k={wrong.strip()}x").status_code == 404
    assert wechat.calls == []


@pytest.mark.parametrize(
    "answer", [{"errcode": 48001, "errmsg": "api unauthorized"}, {"errcode": 0}, (502, b"<html>bad gateway</html>")]
)
def test_without_a_ticket_the_page_says_so_in_plain_words(
    house: House, wechat: FakeWeChat, caplog: pytest.LogCaptureFixture, answer: object
) -> None:
    wechat.script["ticket/getticket"] = [answer, TICKET]
    door, address = house.door(), address_of(now_beijing().date(), house.seal)
    page = get(door, address)
    assert page.status_code == 503
    assert "请过一会儿再来" in page.text
    assert "wx-open-subscribe" not in page.text
    assert "订阅通知 cannot be shown" in caplog.text
    assert SECRET not in caplog.text
    assert get(door, address).status_code == 200


def test_where_wechat_cannot_show_the_button_there_is_no_page(house: House) -> None:
    address = address_of(now_beijing().date(), house.seal)
    assert get(house.door(app_secret=""), address).status_code == 404
    assert get(house.door(policy_template=""), address).status_code == 404
    assert BASE not in said(ask(house.door(app_secret=""), text("订阅 养老"))[0])
