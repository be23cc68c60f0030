"""Public numbers and addresses of offices stay readable in the register; those of people do not."""

from __future__ import annotations

import pytest

from bot.app import House, guarded_personal_data
from knowledge.model import Organ
from register.clock import now_beijing
from register.inquiry import Channel, Inquiry, Reply, ReplyKind


def entered(house: House, text: str, key: str) -> int:
    return house.book.open(Inquiry(Channel.WEB, key, "c", text, now_beijing())).entry


def test_contacts_of_the_directory_stay_readable_and_private_ones_do_not(demo_house: House) -> None:
    organ = next(o for o in demo_house.library.organs() if o.phone and o.address)
    office = demo_house.settings.office
    asked = entered(demo_house, f"打过{organ.phone}和{office.phone}，回我电话0999-7654321或13912345678", "a")
    assert demo_house.book.find(asked).question == (
        f"打过{organ.phone}和{office.phone}，回我电话0999-*******或139****5678"
    )
    demo_house.book.settle(asked, Reply(ReplyKind.SMALLTALK, f"请打{organ.phone}，地址：{organ.address}"), durations={})
    shown = demo_house.book.find(asked).reply
    assert shown is not None
    assert shown.text == f"请打{organ.phone}，地址：{organ.address}"


def test_a_changed_directory_counts_from_the_next_question_on(demo_house: House) -> None:
    new = "13800001234"
    assert new not in demo_house.book.find(entered(demo_house, f"村里值班手机{new}", "a")).question
    organs = demo_house.library.organs()
    demo_house.library.replace_organs([*organs, Organ(name="青禾镇李家村", phone=new)])
    demo_house.reception.answer(Inquiry(Channel.WEB, "b", "c", "你好，低保怎么申请", now_beijing()))
    assert new in demo_house.book.find(entered(demo_house, f"村里值班手机{new}", "c")).question
    assert guarded_personal_data(f"值班手机{new}", frozenset({new})) == []


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("身份证11010519491231002X", "id_card"),
        ("手机13800138000", "mobile"),
        ("港澳通行证C12345678", "permit"),
        ("家住青禾县青禾镇李家村3组12号", "address"),
    ],
)
def test_what_may_not_be_published_is_found(text: str, kind: str) -> None:
    assert [found[0] for found in guarded_personal_data(text)] == [kind]


def test_before_there_is_a_directory_the_offices_own_contacts_are_known(house: House) -> None:
    own = house.settings.office
    assert own.phone in house.book.find(entered(house, f"打{own.phone}没人接", "a")).question
