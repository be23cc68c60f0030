"""The protocol of WeChat's callback: what is let in, what is refused, what can never go out."""

from __future__ import annotations

import base64
import contextlib
import xml.etree.ElementTree as ET

import pytest
import xmltodict
from hypothesis import given, settings
from hypothesis import strategies as st
from wechat_phone import AES_KEY, APP_ID, LETTERS, TOKEN, Phone, letter, sha1
from wechatpy import parse_message
from wechatpy.replies import TextReply

from bot.channels.wechat_wire import Consent, Letter, Wire, cdata, clean, fit, linked, plain, text_reply
from bot.errors import ConfigError, MalformedMessage, SignatureRejected
from register.inquiry import Choice

NOW = 1_795_212_000.0
PLAIN = Wire(TOKEN, "", APP_ID, 600)
SEALED = Wire(TOKEN, AES_KEY, APP_ID, 600)
PHONE = Phone()
QUESTION = "城乡居民养老保险每年最低交多少钱"


def opened(xml: str, wire: Wire = SEALED) -> Letter:
    query, body = PHONE.sealed(xml, NOW) if wire.encrypted else PHONE.plain(xml, NOW)
    return wire.open(query, body, NOW)


# --- who is let in


@pytest.mark.parametrize("wire", [PLAIN, SEALED], ids=["plain", "aes"])
def test_a_question_is_read_in_both_modes(wire: Wire) -> None:
    read = opened(letter("text"), wire)
    assert (read.text, read.event, read.openid) == (QUESTION, "", "oQingHe-citizen_0000000000A1")
    assert read.created == 1795212000
    assert not read.silent


def test_the_handshake_returns_the_echo_of_a_signed_request() -> None:
    query, _ = PHONE.plain("", NOW)
    assert SEALED.handshake({**query, "echostr": "4711"}, NOW) == "4711"
    with pytest.raises(SignatureRejected):
        SEALED.handshake({**query, "signature": "0" * 40, "echostr": "4711"}, NOW)


@pytest.mark.parametrize("field", ["signature", "timestamp", "nonce"])
def test_a_plain_post_with_a_forged_field_is_refused(field: str) -> None:
    query, body = PHONE.plain(letter("text"), NOW)
    with pytest.raises(SignatureRejected):
        PLAIN.open({**query, field: str(int(NOW) + 1)}, body, NOW)


@pytest.mark.parametrize("field", ["signature", "msg_signature", "timestamp", "nonce"])
def test_an_encrypted_post_with_a_forged_field_is_refused(field: str) -> None:
    query, body = PHONE.sealed(letter("text"), NOW)
    with pytest.raises(SignatureRejected):
        SEALED.open({**query, field: str(int(NOW) + 1)}, body, NOW)


@pytest.mark.parametrize("claimed", ["", "é" * 40, "\ud800", "0" * 39, "A" * 100_000])
def test_an_odd_signature_is_refused_and_nothing_breaks(claimed: str) -> None:
    query, body = PHONE.plain(letter("text"), NOW)
    with pytest.raises(SignatureRejected):
        PLAIN.open({**query, "signature": claimed}, body, NOW)


def test_signatures_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Defect 9: wechatpy compares with ``!=``; ours decides before the library is asked."""
    asked: list[tuple[bytes, bytes]] = []
    monkeypatch.setattr("hmac.compare_digest", lambda a, b: asked.append((a, b)) or False)
    query, body = PHONE.sealed(letter("text"), NOW)
    with pytest.raises(SignatureRejected):
        SEALED.open(query, body, NOW)
    assert asked


def test_with_a_key_plain_posts_are_refused_even_when_rightly_signed() -> None:
    query, body = PHONE.plain(letter("text"), NOW)
    with pytest.raises(SignatureRejected, match="encrypted messages only"):
        SEALED.open(query, body, NOW)


def test_with_a_key_a_post_of_both_forms_is_read_from_its_encrypted_form() -> None:
    query, body = PHONE.sealed(letter("text"), NOW)
    both = body.replace(b"<Encrypt>", b"<MsgType>text</MsgType><Content>forged</Content><Encrypt>")
    assert SEALED.open(query, both, NOW).text == QUESTION


def test_with_a_key_a_plain_body_under_an_encrypted_query_is_refused() -> None:
    query, _ = PHONE.sealed(letter("text"), NOW)
    with pytest.raises(SignatureRejected, match="Encrypt is missing"):
        SEALED.open(query, letter("text").encode(), NOW)


@pytest.mark.parametrize("late", [-601, 601, 86_400])
def test_an_old_or_early_callback_is_refused(late: int) -> None:
    query, body = PHONE.sealed(letter("text"), NOW + late)
    with pytest.raises(SignatureRejected, match="clock"):
        SEALED.open(query, body, NOW)
    query, body = PHONE.sealed(letter("text"), NOW + (599 if late > 0 else -599))
    assert SEALED.open(query, body, NOW).text == QUESTION


@pytest.mark.parametrize(
    "stamp", ["", "soon", "-1", "１７９５２１２０００", "1_795_212_000", "1795212000.0", "9" * 5000, "\n"]
)
def test_a_timestamp_that_is_no_number_is_refused(stamp: str) -> None:
    query, body = PHONE.plain(letter("text"), NOW)
    query["timestamp"] = stamp
    query["signature"] = sha1(TOKEN, stamp, query["nonce"])
    with pytest.raises(SignatureRejected):
        PLAIN.open(query, body, NOW)


def test_another_accounts_key_or_app_id_is_refused() -> None:
    for stranger in (Phone(aes_key="A" * 43), Phone(app_id="wxsomebodyelse0001")):
        query, body = stranger.sealed(letter("text"), NOW)
        with pytest.raises(SignatureRejected, match="AES key and AppID"):
            SEALED.open(query, body, NOW)


def test_a_key_that_is_none_is_named_at_start() -> None:
    with pytest.raises(ConfigError, match="BIANMIN_WECHAT__AES_KEY"):
        Wire(TOKEN, "!" * 43, APP_ID, 600)


# --- what is malformed

BOMB = (
    '<!DOCTYPE xml [<!ENTITY a "ha">'
    + "".join(f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefgh", "bcdefghi", strict=True))
    + "]><xml><MsgType>text</MsgType><FromUserName>o</FromUserName><ToUserName>g</ToUserName>"
    "<CreateTime>1</CreateTime><Content>&i;</Content></xml>"
)
EXTERNAL = (
    '<!DOCTYPE xml [<!ENTITY a SYSTEM "file:///etc/passwd">]><xml><MsgType>text</MsgType><FromUserName>o</FromUserName>'
    "<ToUserName>g</ToUserName><CreateTime>1</CreateTime><Content>&a;</Content></xml>"
)
BAD = {
    "bomb": BOMB,
    "external entity": EXTERNAL,
    "empty": "",
    "not xml": "hello",
    "json": '{"xml": 1}',
    "another root": "<html/>",
    "an empty root": "<xml/>",
    "a root of text": "<xml>text</xml>",
    "cut off": "<xml><MsgType>text",
    "no type": "<xml><FromUserName>o</FromUserName><ToUserName>g</ToUserName><CreateTime>1</CreateTime></xml>",
    "two types": letter("text").replace("<MsgType>", "<MsgType>a</MsgType><MsgType>"),
    "a type with children": letter("text", MsgType="<a/>"),
    "no sender": letter("text", FromUserName=""),
    "two senders": letter("text").replace("<FromUserName>", "<FromUserName>a</FromUserName><FromUserName>"),
    "an endless sender": letter("text", FromUserName="o" * 129),
    "no time": letter("text", CreateTime=""),
    "a time that is no number": letter("text", CreateTime="soon"),
    "a time of 5000 digits": letter("text", CreateTime="9" * 5000),
    "deep": "<xml>" + "<a>" * 8000 + "</a>" * 8000 + "</xml>",
    "control character": letter("text", Content="\x0b"),
}


@pytest.mark.parametrize("wire", [PLAIN, SEALED], ids=["plain", "aes"])
@pytest.mark.parametrize("xml", BAD.values(), ids=BAD.keys())
def test_a_bad_body_from_the_right_sender_is_malformed(xml: str, wire: Wire) -> None:
    """Defect 7: wechatpy and expat answer these with a dozen different exceptions."""
    with pytest.raises(MalformedMessage):
        opened(xml, wire)


def test_a_body_that_is_not_utf8_is_malformed() -> None:
    query, _ = PHONE.plain("", NOW)
    for body in (letter("text").encode("gb18030"), letter("text").encode("utf-16"), b"\xff\xfe\x00"):
        with pytest.raises(MalformedMessage):
            PLAIN.open(query, body, NOW)


@pytest.mark.parametrize(
    "encrypted",
    [
        "",
        "x",
        "====",
        "é",
        "QUJD",
        base64.b64encode(bytes(16)).decode(),
        base64.b64encode(bytes(64)).decode(),
        "A" * 9999,
    ],
)
def test_an_encrypted_part_that_is_none_is_refused(encrypted: str) -> None:
    """Defect 7: struct.error, IndexError, ValueError, UnicodeDecodeError come out of wechatpy here."""
    query, body = PHONE.sealed_raw(encrypted, NOW)
    with pytest.raises((SignatureRejected, MalformedMessage)):
        SEALED.open(query, body, NOW)


KEYS = st.sampled_from(["signature", "msg_signature", "timestamp", "nonce", "encrypt_type", "echostr"])


@settings(max_examples=150, deadline=None)
@given(
    st.dictionaries(KEYS, st.text()), st.binary(max_size=300) | st.text().map(lambda t: t.encode("utf-8", "replace"))
)
def test_whatever_comes_in_only_the_two_named_errors_come_out(query: dict[str, str], body: bytes) -> None:
    for wire in (PLAIN, SEALED):
        with pytest.raises((SignatureRejected, MalformedMessage)):
            wire.open(query, body, NOW)


TAGS = st.sampled_from(
    [
        "xml",
        "MsgType",
        "Event",
        "EventKey",
        "FromUserName",
        "ToUserName",
        "CreateTime",
        "MsgId",
        "Content",
        "Recognition",
        "Encrypt",
        "List",
        "SubscribeMsgPopupEvent",
        "TemplateId",
        "SubscribeStatusString",
        "Title",
        "Label",
    ]
)
WORDS = st.sampled_from(["text", "event", "voice", "click", "subscribe", "1795212000", "device_event", "x"]) | st.text()
NODES = st.recursive(
    WORDS.map(cdata),
    lambda inner: st.tuples(TAGS, st.lists(inner, max_size=6)).map(lambda t: f"<{t[0]}>{''.join(t[1])}</{t[0]}>"),
    max_leaves=25,
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(TAGS, NODES).map(lambda t: f"<{t[0]}>{t[1]}</{t[0]}>"), max_size=9).map("".join))
def test_signed_xml_of_any_shape_is_read_or_called_malformed(inner: str) -> None:
    for wire in (PLAIN, SEALED):
        with contextlib.suppress(SignatureRejected, MalformedMessage):
            assert isinstance(opened(f"<xml>{inner}</xml>", wire), Letter)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200))
def test_any_signed_ciphertext_is_read_or_refused(data: bytes) -> None:
    query, body = PHONE.sealed_raw(base64.b64encode(data).decode(), NOW)
    with pytest.raises((SignatureRejected, MalformedMessage)):
        SEALED.open(query, body, NOW)


# --- what each letter means

MEANT = {
    "text": (QUESTION, "", False),
    "text_empty": ("", "unknown", False),
    "text_sticker": ("", "unknown", False),
    "image": ("", "image", False),
    "voice": ("", "voice", False),
    "voice_recognised": ("低保怎么申请？", "", False),
    "video": ("", "video", False),
    "shortvideo": ("", "video", False),
    "location": ("", "location", False),
    "link": ("青禾县2026年义务教育招生通知", "link", False),
    "file": ("", "file", False),
    "unknown_type": ("", "unknown", False),
    "event_subscribe": ("", "subscribe", False),
    "event_subscribe_scan": ("", "subscribe", False),
    "event_unsubscribe": ("", "unsubscribe", True),
    "event_scan": ("", "scan", False),
    "event_click": ("", "click:GUIDE", False),
    "event_view": ("", "view", True),
    "event_location": ("", "position", True),
    "event_unknown": ("", "system", True),
    "event_consent": ("", "consent", True),
    "event_consent_withdrawn": ("", "consent", True),
}


def test_every_letter_has_its_meaning_in_the_table() -> None:
    assert {path.stem for path in LETTERS.glob("*.xml")} == MEANT.keys()


@pytest.mark.parametrize("name", MEANT)
def test_each_kind_of_letter_is_understood(name: str) -> None:
    read = opened(letter(name))
    assert (read.text, read.event, read.silent) == MEANT[name]


def test_consents_are_read_one_and_several() -> None:
    both = (Consent("template-policy", True), Consent("template-progress", False))
    assert opened(letter("event_consent")).consents == both
    assert opened(letter("event_consent_withdrawn")).consents == (Consent("template-policy", False),)


def test_a_redelivery_has_the_same_key_and_everything_else_another() -> None:
    first = opened(letter("text"))
    assert opened(letter("text")).key == first.key
    keys = {
        first.key,
        opened(letter("text", MsgId="24000000000000002")).key,
        opened(letter("text", CreateTime="1795212001")).key,  # WeChat reuses MsgIds: the time belongs to the key
        opened(letter("event_click")).key,
        opened(letter("event_click", EventKey="ANOTHER")).key,
        opened(letter("event_view")).key,
        opened(letter("event_view", EventKey="https://www.qinghe.example/" + "x" * 2000)).key,
        opened(letter("event_click", CreateTime="1795212001")).key,
        opened(letter("event_consent")).key,
        opened(letter("event_consent", SubscribeStatusString="reject")).key,
    }
    assert len(keys) == 10
    assert max(map(len, keys)) < 120


def test_a_message_without_an_id_is_told_apart_by_its_content() -> None:
    one, other = (letter("text", MsgId="", Content=words) for words in ("甲", "乙"))
    assert opened(one).key == opened(one).key != opened(other).key


# --- what goes out

NASTY = "a]]>b</Content></xml>\x0b\x00\ud800c<MsgType>news</MsgType>]]]]>>"


def fields(xml: str) -> dict[str, str]:
    return {element.tag: element.text or "" for element in ET.fromstring(xml)}


def test_a_reply_cannot_leave_its_cdata_section() -> None:
    """Defect 1. The library's own reply shows the danger; ours keeps every character that XML can hold."""
    with pytest.raises(Exception):  # noqa: B017 - which one depends on the text
        xmltodict.parse(TextReply(content=NASTY, source="g", target="o").render())
    hostile = Letter("o]]><x>", "g\x01]]>", 1, "k", "", "")
    read = fields(text_reply(hostile, NASTY, NOW))
    assert read["Content"] == "a]]>b</Content></xml>c<MsgType>news</MsgType>]]]]>>"
    assert (read["ToUserName"], read["FromUserName"], read["MsgType"]) == ("o]]><x>", "g]]>", "text")


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet=st.characters(), max_size=80) | st.text(alphabet="]>[<!CDATA\x0b\ud800好", max_size=80))
def test_any_text_survives_rendering_sealing_and_reading(text: str) -> None:
    sent = opened(letter("text"))
    for wire, sealed in ((PLAIN, False), (SEALED, True)):
        content = PHONE.read(wire.seal(text_reply(sent, text, NOW), NOW), sealed)["Content"]
        assert content == clean(text).replace("\r\n", "\n").replace("\r", "\n")


def test_a_sealed_reply_opens_with_wechats_own_rules() -> None:
    sent = opened(letter("text"))
    read = PHONE.read(SEALED.seal(text_reply(sent, "您好", NOW), NOW), sealed=True)
    assert read == {
        "ToUserName": sent.openid,
        "FromUserName": sent.account,
        "CreateTime": "1795212000",
        "MsgType": "text",
        "Content": "您好",
    }
    assert parse_message(text_reply(sent, "您好", NOW)).content == "您好"


@given(st.text(max_size=300), st.integers(3, 200))
def test_a_fitted_text_keeps_the_limit_and_is_a_beginning(text: str, limit: int) -> None:
    result = fit(text, limit)
    assert len(result.encode()) <= limit
    assert clean(text).startswith(result.removesuffix("…"))


def test_a_text_is_never_cut_inside_a_link() -> None:
    text = "请选择：\n" + '<a href="weixin://bizmsgmenu?msgmenucontent=1&msgmenuid=1">第一项</a>'
    for limit in range(20, len(text.encode())):
        assert "<a" not in fit(text, limit)
    assert fit(text, len(text.encode())) == text


def test_nothing_in_a_reply_is_a_link_that_we_did_not_make() -> None:
    assert plain('<a href="http://evil.example">领补贴</a> 1<2') == '＜a href="http://evil.example">领补贴＜/a> 1<2'


def test_choices_become_links_where_there_is_room() -> None:
    text = "您想问的是：\n1. 养老保险\n2. 医疗保险\n回复数字即可。"
    choices = (Choice("养老保险", "养老保险 缴费&待遇"), Choice("医疗保险", "2"), Choice("不在文中", "3"))
    rich = linked(text, choices, 1900)
    assert '1. <a href="weixin://bizmsgmenu?msgmenucontent=养老保险%20缴费%26待遇&msgmenuid=1">养老保险</a>' in rich
    assert rich.count("<a ") == 2
    assert linked(text, choices, len(text.encode())) == text
    tight = linked(text, choices, len(text.encode()) + 80)
    assert len(tight.encode()) <= len(text.encode()) + 80


def test_choices_of_the_same_words_are_told_apart_by_their_numbers() -> None:
    rich = linked("1. 甲\n2. 乙", (Choice("甲", "同"), Choice("乙", "同")), 1900)
    assert "msgmenucontent=1&" in rich
    assert "msgmenucontent=2&" in rich


def test_a_press_on_a_link_means_its_words_whether_or_not_the_escapes_were_undone() -> None:
    pressed = letter("text", Content="养老保险%20缴费").replace("</xml>", "<bizmsgmenuid>1</bizmsgmenuid></xml>")
    assert opened(pressed).text == opened(pressed.replace("%20", " ")).text == "养老保险 缴费"
    assert opened(letter("text", Content="100%25 报销吗")).text == "100%25 报销吗"


def test_a_choice_cannot_break_out_of_its_link() -> None:
    choices = (Choice('"><a href="http://evil.example">领', '"><a href="http://evil.example">'),)
    rich = linked(plain("1. " + choices[0].label), choices, 1900)
    assert rich.count("<a ") == 1
    assert 'href="http://evil' not in rich.replace('＜a href="http://evil', "")
