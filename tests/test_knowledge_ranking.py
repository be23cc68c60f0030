"""The second stage: what lifts a passage, what holds it down, and that it says why."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from knowledge import analysis, ranking
from knowledge.background import background, weights
from knowledge.fitting import Sample, auroc, fit_confidence, fit_ranker, fold_of
from knowledge.index import Frequencies
from knowledge.model import (
    DisclosureAttribute,
    DocumentKind,
    Passage,
    PolicyDocument,
    SourceRank,
    Stage,
    Validity,
)

DOCUMENT = PolicyDocument(
    id="d",
    kind=DocumentKind.POLICY,
    title="青禾县城乡居民基本养老保险实施办法",
    attribute=DisclosureAttribute.PUBLIC,
    stage=Stage.PUBLISHED,
)


def prepared(
    text: str, *, path: Sequence[str] = (), document: PolicyDocument = DOCUMENT, ordinal: int = 0
) -> ranking.Prepared:
    return ranking.prepare(
        Passage(f"{document.id}-{ordinal}", document.id, ordinal, "第一条", tuple(path), text, "a1"), document
    )


def asked(question: str) -> ranking.Asked:
    terms = analysis.question_terms(question)
    return ranking.ask(question, terms, Frequencies(0, (0,) * len(terms.words), (0,) * len(terms.bigrams)))


def features(
    question: str, *passages: ranking.Prepared, extras: ranking.Extras | None = None
) -> list[dict[str, float]]:
    table = ranking.measure(asked(question), passages, extras or ranking.Extras())
    ranking.refine(asked(question), passages, table, range(len(passages)))
    return [dict(zip(ranking.FEATURES, row.tolist(), strict=True)) for row in table]


def order(question: str, *passages: ranking.Prepared, extras: ranking.Extras | None = None) -> list[int]:
    ranked = ranking.rank(asked(question), passages, extras or ranking.Extras(), ranking.shipped_ranker())
    return ranked.order.tolist()


def test_a_passage_that_holds_all_words_covers_everything() -> None:
    (row,) = features("养老保险断缴补缴", prepared("养老保险断缴补缴的办法"))
    assert row["cover_words"] == pytest.approx(1.0)
    assert row["cover_bigrams"] == pytest.approx(1.0)
    assert row["trigrams"] == pytest.approx(1.0)
    assert row["run"] == pytest.approx(1.0)
    assert row["partial"] == pytest.approx(1.0)
    assert row["tokens"] == pytest.approx(1.0)


def test_a_passage_that_shares_nothing_has_no_lexical_feature() -> None:
    other = replace(DOCUMENT, id="x", title="森林防火")
    (row,) = features("公租房租金", prepared("禁止野外用火", document=other))
    assert all(
        row[name] == 0.0 for name in ("words", "cover_words", "cover_bigrams", "soft", "trigrams", "run", "dense")
    )


def test_words_that_stand_together_beat_words_that_are_scattered() -> None:
    together = prepared("断缴的年限可以按规定补缴。" + "其他事项另行通知。" * 10, ordinal=1)
    scattered = prepared("断缴" + "其他事项另行通知。" * 10 + "的年限" + "其他事项另行通知。" * 10 + "补缴", ordinal=9)
    first, second = features("断缴的年限能补缴吗", together, scattered)
    assert first["dense"] > second["dense"]
    assert first["fresh"] > second["fresh"]
    assert order("断缴的年限能补缴吗", scattered, together) == [1, 0]


def test_title_heading_and_text_are_told_apart() -> None:
    elsewhere = replace(DOCUMENT, id="x", title="公共租赁住房保障管理办法")
    title, heading, body = features(
        "公共租赁住房",
        prepared("申请条件", document=elsewhere),
        prepared("申请条件", path=("公共租赁住房",)),
        prepared("公共租赁住房申请条件", ordinal=5),
    )
    assert (title["title"], title["heading"], title["fresh"]) == (pytest.approx(1.0), 0.0, 0.0)
    assert (heading["title"], heading["fresh"]) == (0.0, 0.0)
    assert heading["heading"] == pytest.approx(1.0)
    assert body["fresh"] == pytest.approx(1.0)


def test_longer_words_count_where_their_characters_follow_each_other() -> None:
    whole, broken = features("公积金", prepared("住房公积金", ordinal=1), prepared("公积，积金", ordinal=5))
    assert whole["cover_words"] > broken["cover_words"]


def test_a_number_in_words_meets_a_number_in_digits() -> None:
    (row,) = features("二十个工作日", prepared("自受理之日起20个工作日内办结"))
    assert row["cover_bigrams"] == pytest.approx(1.0)


def test_a_question_of_one_character_is_measured() -> None:
    hit, miss = features("税", prepared("纳税人应当申报", ordinal=1), prepared("养老保险", ordinal=5))
    assert hit["cover_words"] > 0.0 == miss["cover_words"]


def test_characters_beyond_the_basic_plane_do_no_harm() -> None:
    (row,) = features("𠮷野家", prepared("𠮷野家餐饮"))
    assert row["run"] > 0.0


def test_the_document_counts_what_its_other_passages_hold() -> None:
    other = replace(DOCUMENT, id="x", title="别的办法")
    with_sibling, _, alone = features(
        "养老保险待遇领取",
        prepared("年满六十周岁可以领取待遇", ordinal=4),
        prepared("养老保险费按年缴纳", ordinal=3),
        prepared("年满六十周岁可以领取待遇", document=other),
    )
    assert with_sibling["document"] > alone["document"]
    assert with_sibling["siblings"] > alone["siblings"] == 0.0
    assert with_sibling["before"] > alone["before"] == 0.0


def test_the_place_asked_for_counts_with_and_without_its_rank() -> None:
    here = replace(DOCUMENT, id="z", title="浙江省养老服务条例")
    there = replace(DOCUMENT, id="s", title="四川省养老服务条例")
    first, second = features("浙江养老服务", prepared("服务内容", document=here), prepared("服务内容", document=there))
    assert (first["place"], first["elsewhere"]) == (1.0, 0.0)
    assert (second["place"], second["elsewhere"]) == (0.0, 1.0)


def test_a_question_for_an_amount_looks_for_figures() -> None:
    figure, none = features("高龄津贴多少钱", prepared("每人每月50元", ordinal=1), prepared("按规定发放", ordinal=5))
    assert (figure["amount"], none["amount"]) == (1.0, 0.0)
    (unasked,) = features("高龄津贴谁发", prepared("每人每月50元"))
    assert unasked["amount"] == 0.0


@pytest.mark.parametrize("validity", [Validity.REPEALED, Validity.EXPIRED, Validity.NOT_YET, Validity.AMENDED])
def test_of_equal_passages_the_one_in_force_comes_first(validity: Validity) -> None:
    lapsed = replace(DOCUMENT, id="old", validity=validity)
    assert order("养老保险补缴", prepared("养老保险补缴办法", document=lapsed), prepared("养老保险补缴办法")) == [1, 0]


def test_of_equal_passages_the_newer_comes_first() -> None:
    old = replace(DOCUMENT, id="old", written_on=date(2015, 1, 1))
    new = replace(DOCUMENT, id="new", written_on=date(2026, 1, 1))
    today = ranking.Extras(today=date(2026, 11, 1))
    passages = prepared("养老保险补缴办法", document=old), prepared("养老保险补缴办法", document=new)
    assert order("养老保险补缴", *passages, extras=today) == [1, 0]


def test_of_equal_passages_the_gazette_comes_first() -> None:
    web = replace(DOCUMENT, id="web", source_rank=SourceRank.WEB)
    gazette = replace(DOCUMENT, id="gazette", source_rank=SourceRank.GAZETTE)
    assert order(
        "养老保险补缴", prepared("养老保险补缴", document=web), prepared("养老保险补缴", document=gazette)
    ) == [1, 0]


def test_a_named_document_wins_over_a_better_text() -> None:
    other = replace(DOCUMENT, id="x")
    passages = prepared("养老保险断缴补缴的具体办法", document=other), prepared("养老保险缴费")
    extras = ranking.Extras(named=np.array([0.0, 1.0]))
    assert order("养老保险断缴补缴", *passages, extras=extras) == [1, 0]


def test_added_words_weigh_but_weigh_less_than_asked_ones() -> None:
    plain = prepared("另行规定", ordinal=1), prepared("中断缴费", ordinal=5)
    extras = ranking.Extras(expanded=np.array([0.0, 0.5]))
    assert order("断缴", *plain, extras=extras) == [1, 0]
    shares = ranking.shipped_ranker().plain.full.base
    at = ranking.FEATURES.index
    assert 0.0 < shares[at("expanded")] < shares[at("document")] + shares[at("words")]


def test_the_score_is_the_sum_of_its_shares() -> None:
    passages = [prepared("养老保险断缴补缴办法", ordinal=i, path=("补缴",) * (i % 2)) for i in range(5)]
    ranked = ranking.rank(asked("养老保险补缴"), passages, ranking.Extras(), ranking.shipped_ranker())
    shares = ranked.table @ ranking.shipped_ranker().plain.full.base
    assert ranked.scores == pytest.approx(shares)


def test_beyond_the_head_the_order_of_the_first_scores_stays() -> None:
    passages = [prepared("养老保险" + "补缴" * (i % 7) + "其他" * i, ordinal=i * 2) for i in range(ranking.FULL + 20)]
    ranked = ranking.rank(asked("养老保险补缴"), passages, ranking.Extras(), ranking.shipped_ranker())
    scores = ranked.scores[ranked.order]
    assert sorted(ranked.order.tolist()) == list(range(len(passages)))
    assert all(a >= b for a, b in itertools.pairwise(scores))


def test_no_candidates_are_no_error_and_no_confidence() -> None:
    ranked = ranking.rank(asked("养老保险"), [], ranking.Extras(), ranking.shipped_ranker())
    assert len(ranked.order) == 0
    seen = ranking.signs(asked("养老保险"), [], ranked)
    assert ranking.confidence(seen, ranking.shipped_confidence().plain) == 0.0


def test_ranking_is_the_same_whatever_the_order_of_the_candidates() -> None:
    passages = [
        prepared(t, ordinal=i * 3) for i, t in enumerate(("养老保险补缴", "养老保险", "补缴年限", "公租房", "补缴"))
    ]
    forward = order("养老保险补缴", *passages)
    backward = [4 - i for i in order("养老保险补缴", *reversed(passages))]
    assert forward == backward


def test_prepared_passages_are_kept_until_they_change() -> None:
    preparer = ranking.Preparer(capacity=2)
    passage = Passage("p", "d", 0, "第一条", (), "养老保险", "a")
    first = preparer(passage, DOCUMENT)
    assert preparer(passage, DOCUMENT) is first
    assert preparer(replace(passage, text="新的文字"), DOCUMENT).text != first.text
    assert preparer(passage, replace(DOCUMENT, version=2)) is not first
    repealed = preparer(passage, replace(DOCUMENT, version=2, validity=Validity.REPEALED))
    assert repealed.facts[5] == 1.0


def test_weights_for_unknown_features_are_refused() -> None:
    with pytest.raises(ValueError, match="wrods"):
        ranking.vector({"wrods": 1.0})


def test_every_feature_has_a_name_that_staff_can_read() -> None:
    assert set(ranking.LABELS) == set(ranking.FEATURES)
    assert len(set(ranking.LABELS.values())) == len(ranking.FEATURES)


# --- background and learning ---------------------------------------------------------------------------------------------


def test_a_small_library_does_not_decide_alone_what_is_common() -> None:
    known = background()
    rare, common = weights(["养蜂", "规定"], [3, 3], 5, known.words, known.passages)
    assert rare > common


def test_a_large_library_outweighs_the_background() -> None:
    known = background()
    (common,) = weights(["养蜂"], [90_000], 100_000, known.words, known.passages)
    (rare,) = weights(["养蜂"], [9], 100_000, known.words, known.passages)
    assert rare > 5 * common


def test_the_background_knows_official_words() -> None:
    known = background()
    assert known.passages > 100_000
    assert known.words["规定"] > known.words["养老保险"] > 0


def sample(rows: list[list[float]], right: int, group: str = "g") -> Sample:
    return Sample(np.array(rows), np.arange(len(rows)) == right, group)


def test_the_ranker_learns_which_feature_tells_the_right_passage() -> None:
    rng = np.random.default_rng(3)
    samples = []
    for number in range(60):
        rows = rng.random((8, 3))
        samples.append(sample(rows.tolist(), int(rows[:, 1].argmax()), str(number)))
    learned = fit_ranker(samples, [0, 1, 2], ridge=1.0)
    assert learned[1] > 5 * max(abs(learned[0]), abs(learned[2]))


def test_learning_from_nothing_returns_what_was_known() -> None:
    prior = np.array([1.0, 2.0])
    useless = Sample(np.ones((3, 2)), np.zeros(3, dtype=bool), "g")
    assert fit_ranker([useless], [0, 1], prior=prior).tolist() == [1.0, 2.0]


def test_a_strong_ridge_stays_near_the_prior() -> None:
    rng = np.random.default_rng(4)
    samples = [sample(rng.random((5, 2)).tolist(), 0, str(i)) for i in range(20)]
    prior = np.array([3.0, -1.0])
    held = fit_ranker(samples, [0, 1], ridge=1e9, prior=prior)
    assert held == pytest.approx(prior, abs=1e-3)


def test_a_feature_that_never_varies_keeps_its_prior() -> None:
    samples = [sample([[1.0, 0.9], [1.0, 0.1]], 0, str(i)) for i in range(10)]
    learned = fit_ranker(samples, [0, 1], prior=np.array([7.0, 0.0]))
    assert learned[0] == 7.0
    assert learned[1] > 0.0


def test_confidence_learns_a_calibrated_chance() -> None:
    rng = np.random.default_rng(5)
    sign = rng.random(4000)
    answered = rng.random(4000) < sign
    learned = fit_confidence(np.column_stack((np.ones(4000), sign)), answered)
    chance = 1.0 / (1.0 + np.exp(-(learned[0] + learned[1] * sign)))
    for low, high in ((0.0, 0.4), (0.4, 0.6), (0.6, 1.0)):
        inside = (sign >= low) & (sign < high)
        assert chance[inside].mean() == pytest.approx(answered[inside].mean(), abs=0.03)


def test_auroc_counts_ties_half() -> None:
    assert auroc([1.0, 1.0], [0.0]) == 1.0
    assert auroc([0.0], [1.0]) == 0.0
    assert auroc([1.0], [1.0]) == 0.5
    assert auroc([], [1.0]) == 0.5
    assert auroc([0.9, 0.4], [0.5, 0.1]) == 0.75


def test_folds_are_the_same_on_every_machine() -> None:
    assert [fold_of(name, 5) for name in ("民法典", "刑法", "d-1")] == [
        fold_of(n, 5) for n in ("民法典", "刑法", "d-1")
    ]
    assert {fold_of(str(i), 5) for i in range(100)} == set(range(5))
