"""Whose matter a question is: the directory's own words, the matters of departments anywhere, the leaning vocabulary."""

from __future__ import annotations

import tomllib
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from bot.cli import main
from knowledge import matters
from knowledge.leaning import leaning
from knowledge.lists import read_organs
from knowledge.matters import BadMatters
from knowledge.model import Organ, OrganMatch, OrganRelation
from knowledge.organs import match, owners

ROOT = Path(__file__).parent.parent
DIRECTORY = tuple(read_organs(ROOT / "demo" / "organs.csv").organs)


def first(question: str, organs: tuple[Organ, ...] = DIRECTORY) -> OrganMatch:
    found = match(question, organs)
    assert found, f"no organ for {question}"
    return found[0]


# --- the list that ships ----------------------------------------------------------------------------------------------


def test_the_list_is_large_enough_to_speak_of_everyday_life() -> None:
    known = matters.shipped()
    written = sum(len(m.sayings) for kind in known.classes for m in kind.matters)
    assert known.count >= 900 and written >= 3000 and known.sayings >= 4000
    assert len(known.classes) >= 60


def test_no_saying_belongs_to_two_classes_unless_it_is_marked() -> None:
    assert matters.shipped().clashes() == ()


def test_a_matter_is_named_once_in_its_class_and_by_one_class() -> None:
    named = Counter(m.name for kind in matters.shipped().classes for m in kind.matters)
    assert [name for name, times in named.items() if times > 1] == []


def test_every_shared_saying_is_really_shared() -> None:
    """What is marked and no longer shared would hide a later clash."""
    known = matters.shipped()
    bare = matters.Matters(known.classes)
    assert len(bare.clashes()) == len(known.shared)


def test_each_class_has_at_most_one_department_of_the_demo_directory() -> None:
    for name, who in owners(matters.shipped(), DIRECTORY).items():
        assert len(who) <= 1 or {DIRECTORY[n].relation for n in who} == {OrganRelation.TOWNSHIP}, name


def test_every_department_of_the_demo_directory_has_a_class() -> None:
    having = {n for who in owners(matters.shipped(), DIRECTORY).values() for n in who}
    assert [organ.name for n, organ in enumerate(DIRECTORY) if n not in having] == []


# --- the county's organ of a class ------------------------------------------------------------------------------------


def test_a_merged_department_has_the_work_of_both() -> None:
    merged = (Organ("某县教育体育局"), Organ("某县文化和旅游局"), Organ("某县自然资源局"))
    have = owners(matters.shipped(), merged)
    assert have["教育"] == have["体育"] == (0,)
    assert have["文化旅游"] == (1,)
    assert have["林业"] == (2,)


def test_a_people_s_government_is_no_office_of_civil_affairs() -> None:
    assert owners(matters.shipped(), (Organ("某县白河乡人民政府"),))["民政"] == ()


def test_an_alias_tells_whose_work_a_former_office_has() -> None:
    have = owners(matters.shipped(), (Organ("某县农业农村局", aliases=("县扶贫办",)),))
    assert have["乡村振兴"] == (0,)


# --- matching ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("question", "organ"),
    [
        ("电瓶车挂牌照去哪", "公安局"),
        ("给电驴上个牌", "公安局"),
        ("房本", "自然资源局"),
        ("河里挖沙要谁批", "水利局"),
        ("拉猪出县的检疫票", "农业农村局"),
        ("狗要上牌吗", "公安局"),
        ("旧冰箱换新国家补多少", "商务局"),
        ("楼下烧烤摊油烟太大", "城市管理局"),
        ("学校食堂吃坏肚子", "教育局"),
        ("打过越南的老兵一个月补多少", "退役军人事务局"),
        ("養老院打老人", "民政局"),
        ("开ＫＴＶ", "文化和旅游局"),
    ],
)
def test_lay_words_find_the_organ(question: str, organ: str) -> None:
    assert organ in first(question).organ.name


def test_the_questions_written_for_the_demo_directory_find_their_organ() -> None:
    """Development data: the list was made with these questions known."""
    rows = tomllib.loads((ROOT / "bench" / "fresh_organs.toml").read_text("utf-8"))["question"]
    wrong = [row["text"] for row in rows if first(row["text"]).organ.name != row["organ"]]
    assert len(wrong) <= 3, wrong


def test_the_reason_is_the_matter_in_official_words_and_the_words_of_the_question_are_told() -> None:
    found = first("电瓶车挂牌照去哪")
    assert "电动自行车登记上牌" in found.because
    assert "".join(found.words) in "电瓶车挂牌照"


def test_words_of_a_saying_may_stand_in_any_order() -> None:
    assert first("挂牌照的电瓶车").organ == first("电瓶车挂牌照").organ


def test_a_word_that_must_not_occur_takes_a_saying_away() -> None:
    assert "公安局" in first("我想过户车子").organ.name
    assert "自然资源局" in first("我想过户房子").organ.name


def test_a_longer_find_silences_what_stands_inside_it() -> None:
    """「电动车」 alone may be many things; with 「以旧换新」 it is the shops' matter, not the police's."""
    assert "商务局" in first("电动车以旧换新").organ.name


def test_an_organ_that_is_named_outright_wins() -> None:
    found = first("县税务局管不管养狗")
    assert found.organ.name == "国家税务总局青禾县税务局" and found.score == 1.0


def test_a_township_named_as_the_place_does_not_take_a_department_s_matter() -> None:
    assert "市场监督管理局" in first("柳溪镇开小卖部办营业执照去哪").organ.name
    assert first("柳溪镇人民政府电话").organ.name == "青禾县柳溪镇人民政府"


def test_a_matter_of_an_organ_that_the_directory_lacks_goes_to_nobody_else() -> None:
    assert all(found.score < 0.3 for found in match("开超市想卖烟草", DIRECTORY) if "市场" not in found.organ.name)
    without = tuple(organ for organ in DIRECTORY if "气象" not in organ.name)
    assert all(found.score < 0.3 for found in match("下冰雹的气象证明", without))


@pytest.mark.parametrize("question", ["", "？？", "你好", "谢谢你", "讲个笑话", "哈哈哈", "去哪办", "怎么办理", "找谁"])
def test_words_that_name_no_matter_name_no_organ(question: str) -> None:
    assert [found for found in match(question, DIRECTORY) if found.score >= 0.3] == []


def test_without_a_directory_nobody_is_named() -> None:
    assert match("电瓶车挂牌照", ()) == ()


def test_the_matter_in_the_first_lines_of_a_long_letter_is_found() -> None:
    assert "公安局" in first("电瓶车挂牌照去哪。" + "多谢你们了。" * 500).organ.name


def test_the_directory_s_own_words_are_heard_as_well() -> None:
    zoo = Organ("某县动物园", keywords=("长颈鹿",))
    assert first("看长颈鹿", (zoo, Organ("某县公安局"))).organ == zoo


def test_another_directory_is_not_mixed_up_with_the_last_one() -> None:
    renamed = tuple(replace(o, name="某县公安局") if "公安" in o.name else o for o in DIRECTORY)
    assert first("电瓶车挂牌照", renamed).organ.name == "某县公安局"
    assert first("电瓶车挂牌照").organ.name == "青禾县公安局"


def test_the_vocabulary_leans_to_a_class_where_no_saying_is_complete() -> None:
    known = matters.shipped()
    leans = leaning(known).of("教室里的粉笔和课桌")
    assert known.classes[int(leans.argmax())].name == "教育"


# --- the county's own list --------------------------------------------------------------------------------------------


def own(tmp_path: Path, text: str) -> matters.Matters:
    path = tmp_path / "matters.toml"
    path.write_text(text, "utf-8")
    return matters.load(path)


def test_a_county_adds_a_class_of_its_own(tmp_path: Path) -> None:
    known = own(tmp_path, '["茶产业"]\norgans = ["茶叶局"]\n"茶园补助" = ["茶园|茶山 补助|补贴"]\n')
    found = match("茶山的补贴", (Organ("某县茶叶局"), Organ("某县农业农村局")), known=known)
    assert found[0].organ.name == "某县茶叶局" and "茶园补助" in found[0].because


def test_a_county_replaces_and_removes_matters_and_organs(tmp_path: Path) -> None:
    text = '["公安交警"]\norgans = ["车辆管理所"]\n"电动自行车登记上牌" = ["小毛驴 牌"]\n"挪车" = []\n'
    known = own(tmp_path, text)
    kind = next(k for k in known.classes if k.name == "公安交警")
    assert kind.organs == ("车辆管理所",) and kind.hints
    assert [s.parts for m in kind.matters if m.name == "电动自行车登记上牌" for s in m.sayings] == [
        (("小毛驴",), ("牌",))
    ]
    assert "挪车" not in {m.name for m in kind.matters}
    assert "机动车检验" in {m.name for m in kind.matters}


def test_a_clash_in_the_county_s_list_is_told(tmp_path: Path) -> None:
    text = '["甲"]\norgans = ["甲局"]\n"一" = ["飞天扫帚"]\n["乙"]\norgans = ["乙局"]\n"二" = ["飞天扫帚"]\n'
    assert own(tmp_path, text).clashes() == ("甲、乙: 飞天扫帚",)
    assert own(tmp_path, text + '["shared"]\n"甲、乙" = ["飞天扫帚"]\n').clashes() == ()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('"教师" = ["老师"]', "outside a class"),
        ('["甲"]\norgans = ["甲局"]\n"一" = "词"', "needs a list of words"),
        ('["甲"]\norgans = ["甲局"]\n"一" = [""]', "needs a list of words"),
        ('["甲"]\n"一" = ["词语"]', "names no organ"),
        ('["甲"]\norgans = ["甲局"]\n"一" = ["猪"]', "single character"),
        ('["甲"]\norgans = ["甲局"]\n"一" = ["词语|"]', "empty word"),
        ('["甲"]\norgans = ["甲局"]\n"一" = ["@没有 词语"]', "no group of words"),
        ('["甲"]\norgans = ["甲局"]\n"一" = ["-词语"]', "no word that must occur"),
        ('["甲"]\norgans = ["甲局"]\n"' + "长" * 41 + '" = ["词语"]', "longer than 40"),
        ("[", "one matter a line"),
    ],
)
def test_a_broken_list_says_where_and_what_to_do(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(BadMatters, match=says) as caught:
        own(tmp_path, text)
    assert "matters.toml" in str(caught.value)


def test_a_list_that_is_missing_or_not_utf8_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadMatters, match="cannot be read"):
        matters.load(tmp_path / "none.toml")
    (tmp_path / "gbk.toml").write_bytes('["教育"]'.encode("gbk"))
    with pytest.raises(BadMatters, match="not UTF-8"):
        matters.load(tmp_path / "gbk.toml")


def test_staff_try_their_list_at_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config, mine = tmp_path / "config.toml", tmp_path / "mine.toml"
    config.write_text(f'[data]\nfolder = "{tmp_path.as_posix()}/data"\n[index]\nsemantic = false\n', "utf-8")
    mine.write_text('["公安交警"]\n"电动自行车登记上牌" = ["小毛驴 铁牌"]\n', "utf-8")
    directory = tmp_path / "organs.csv"
    directory.write_bytes((ROOT / "demo" / "organs.csv").read_bytes())
    assert main(["organs", str(directory), "--config", str(config)]) == 0
    capsys.readouterr()
    assert main(["matters", "check", str(mine), "--ask", "小毛驴挂铁牌", "--config", str(config)]) == 0
    told = capsys.readouterr().out
    assert "青禾县公安局  电动自行车登记上牌" in told and "no organ in the directory for" in told
    mine.write_text('["公安交警"]\n"电动自行车登记上牌" = ["牌"]\n', "utf-8")
    assert main(["matters", "check", str(mine), "--config", str(config)]) == 2
    assert "single character" in capsys.readouterr().err
