"""The watch warns of more than usual, seldom for nothing, and not of a new version, late items, silence or a new source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis.lookout import Lookout
from analysis.watch import Carried, Cell, Feed, Rule, look
from analysis.watch_baseline import Past, usual
from analysis.watch_evidence import count_ratio, share_ratio
from analysis.watch_items import Heads, brought, cells_of, heads_of
from benchmarks.watch_feeds import CELLS, TOPICS, Burst, World, made
from feedback.demo import WatchSettings
from feedback.errors import BadDemo
from feedback.records import CHAMPION, EarlyWarning, FeedItem, Finding, Json, Prediction, input_hash
from feedback.store import Store

CALM = World(volume=40, season=0.6, rough=0.05, busy=0.02, moody=0.01)
BEGIN = 29 * 24  # the first hour that is judged: a baseline of 28 days, and a day between
PLANTED = 36 * 24 + 10


def alone(_: int, __: int) -> Carried | None:
    """Nothing is known of what another version would have said."""
    return None


# -- evidence ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("mean", "spread", "times"), [(0.3, 0.5, 5.0), (4.0, 0.2, 1.5), (60.0, 0.05, 2.0)])
def test_evidence_of_a_count_is_one_on_average_and_less_below(mean: float, spread: float, times: float) -> None:
    """E-values: the sum over all counts is 1 at the null (both are negative binomial pmfs; scipy's) and below 1 for a smaller mean."""
    seen = np.arange(5000.0)
    ratio = count_ratio(seen, np.full_like(seen, mean), times, np.full_like(seen, spread))
    r = 1 / spread
    null, below, raised = (stats.nbinom.logpmf(seen, r, r / (r + m)) for m in (mean, 0.6 * mean, times * mean))
    assert float(np.exp(ratio + null).sum()) == pytest.approx(1.0, abs=1e-6)
    assert float(np.exp(ratio + below).sum()) < 1
    assert ratio[:200] == pytest.approx((raised - null)[:200], rel=1e-8, abs=1e-8)


@pytest.mark.parametrize(("of", "share", "icc", "odds"), [(1, 0.2, 0.01, 5.0), (30, 0.2, 0.1, 2.5), (200, 0.6, 0.02, 1.5)])
def test_evidence_of_a_share_is_one_on_average_and_less_below(of: int, share: float, icc: float, odds: float) -> None:
    """The same for beta-binomial shares (scipy's pmf)."""
    hits = np.arange(of + 1.0)
    full = np.full_like(hits, of), np.full_like(hits, share)
    ratio = np.exp(share_ratio(hits, full[0], full[1], odds, np.full_like(hits, icc)))
    size = 1 / icc - 1
    null, below = (stats.betabinom.pmf(hits, of, q * size, (1 - q) * size) for q in (share, 0.6 * share))
    assert float(ratio @ null) == pytest.approx(1.0, abs=1e-6)
    assert float(ratio @ below) < 1


# -- what is usual -------------------------------------------------------------------------------------------------------------


def test_the_baseline_finds_a_known_season_and_spread() -> None:
    """Rates twice as high by day, of known size, and a factor of known variance a day (0.09) come out of 28 days within sampling error."""
    rng = np.random.default_rng(3)
    hour = np.arange(28 * 24) % 168
    rate = np.where(hour % 24 < 12, 20.0, 10.0) * rng.gamma(1 / 0.09, 0.09, 28).repeat(24)
    counts = rng.poisson(rate)[:, None].astype(float)
    past = Past(counts, hour, np.ones(len(hour)), np.ones((len(hour), 1)), np.zeros(1))
    found = usual(past, np.array([0]), np.arange(24), np.ones(24), 1)
    assert found.expected[:12, 0].mean() == pytest.approx(20.0, rel=0.2)  # the mean of 28 such factors varies by 0.3 / sqrt(28)
    assert found.expected[12:, 0].mean() == pytest.approx(10.0, rel=0.2)
    assert 0.04 < found.slow[0] < 0.25
    assert found.fast[0] < 0.15


# -- the detector --------------------------------------------------------------------------------------------------------------


def test_a_burst_is_found_soon_and_told_once() -> None:
    """Five times the volume of one topic is warned of within a day, with when it began; while it lasts nothing more is said of it."""
    feed = made(CALM, 40, np.random.default_rng(1), Burst(2, PLANTED, 60, times=5.0))
    found = look(feed, Rule(), alone, BEGIN).findings
    mine = [one for one in found if one.kind == "volume" and one.topic == TOPICS[2]]
    assert len(mine) == 1
    assert feed.time(PLANTED) < mine[0].raised <= feed.time(PLANTED + 24)
    assert abs(mine[0].since - feed.time(PLANTED)) <= timedelta(hours=6)
    assert mine[0].seen > 2 * mine[0].expected
    assert [one for one in found if one not in mine] == []


def test_a_shift_of_sentiment_is_found() -> None:
    """Ten times the odds of negative items in one topic, at the usual volume, is warned of as a share."""
    feed = made(World(200, 0.6, 0.02, 0.01, 0.005), 40, np.random.default_rng(2), Burst(1, PLANTED, 60, odds=10.0))
    found = look(feed, Rule(), alone, BEGIN).findings
    assert ("share", TOPICS[1], "negative") in {(one.kind, one.topic, one.sentiment) for one in found}
    assert {one.topic for one in found} == {TOPICS[1]}


def test_false_warnings_stay_below_what_is_promised() -> None:
    """Three times 60 calm days: at one false warning in 30 days 6 are expected; as many as 11 have a chance of 4 % (Poisson)."""
    assert stats.poisson.sf(10, 6) < 0.05
    found = [look(made(CALM, 89, np.random.default_rng(seed)), Rule(), alone, BEGIN) for seed in range(3)]
    assert sum(len(one.findings) for one in found) < 11
    assert sum(one.watched for one in found) == 3 * 60 * 24


def test_silence_and_fewer_items_are_no_news() -> None:
    """A topic that falls to a tenth, and then the whole feed to nothing, raises nothing; nor does its coming back."""
    feed = made(CALM, 60, np.random.default_rng(11))
    feed.seen[PLANTED : PLANTED + 48, :, :3] //= 10
    feed.seen[PLANTED + 100 : PLANTED + 200] = 0
    exposure = feed.exposure.copy()
    exposure[PLANTED + 100 : PLANTED + 200] = 0
    assert look(feed._replace(exposure=exposure), Rule(), alone, BEGIN).findings == []


def test_late_items_are_no_news_and_count_later() -> None:
    """A thousand items that come a day late raise nothing; the same thousand in time do; a history that comes at once is a baseline."""
    feed = made(CALM, 40, np.random.default_rng(5))
    late = np.tile([PLANTED, 0, 4, PLANTED + 30], (1000, 1))
    assert look(feed._replace(late=late), Rule(), alone, BEGIN).findings == []
    feed.seen[PLANTED, 0, 4] += 1000
    assert look(feed, Rule(), alone, BEGIN).findings
    calm = made(CALM, 40, np.random.default_rng(5))
    rows = [
        [bin_, 0, cell, 35 * 24] for bin_, _, cell in np.argwhere(calm.seen[: 35 * 24]) for _ in range(calm.seen[bin_, 0, cell])
    ]
    seen = calm.seen.copy()
    seen[: 35 * 24] = 0
    looked = look(calm._replace(seen=seen, late=np.array(rows)), Rule(), alone, 36 * 24)
    assert looked.watched == 4 * 24
    assert looked.findings == []


# -- versions ------------------------------------------------------------------------------------------------------------------

SWAP = np.eye(len(CELLS))[[*range(3, 6), *range(3), *range(6, len(CELLS))]]
"""A version that calls the second topic what the first version calls the first, and the other way round."""


def changed(seed: int, burst: Burst | None = None, days: int = 45) -> Feed:
    """Return a feed of very different topics that a second version answers from hour PLANTED - 5 on, with SWAP."""
    feed = made(CALM, days, np.random.default_rng(seed), burst)
    first = feed.seen[:, 0].copy()
    first[:, :3] = np.random.default_rng(seed).binomial(first[:, :3], 0.2)  # the first topic is rare
    first[:, 3:6] *= 2  # and the second frequent
    second = np.zeros_like(first)
    second[PLANTED - 5 :] = first[PLANTED - 5 :] @ SWAP.astype(int)
    first[PLANTED - 5 :] = 0
    return feed._replace(seen=np.stack([first, second], axis=1), versions=(1, 2))


def carry(old: int, new: int) -> Carried | None:
    """What is known of the two versions from a sample of 1,000 re-answered items."""
    assert {old, new} == {1, 2}
    return Carried(SWAP, np.full(len(CELLS), 1000 / len(CELLS)))


def test_a_version_that_answers_differently_is_no_news() -> None:
    """With the past brought over to it nothing is raised; the control without it: treated as one version, the same feed raises."""
    feed = changed(12)
    looked = look(feed, Rule(), carry, BEGIN)
    assert looked.findings == []
    assert looked.watched == 16 * 24
    blind = feed._replace(seen=feed.seen.sum(axis=1, keepdims=True), versions=(1,))
    assert {one.topic for one in look(blind, Rule(), alone, BEGIN).findings} >= {TOPICS[0]}


def test_a_burst_across_a_change_of_version_is_found() -> None:
    """What begins before the change and goes on after it is warned of soon after, though no version saw all of it."""
    feed = changed(7, Burst(4, PLANTED - 8, 40, times=4.0))
    found = look(feed, Rule(), carry, BEGIN).findings
    assert {one.topic for one in found} == {TOPICS[4]}
    assert found[0].raised <= feed.time(PLANTED + 16)


def test_without_texts_to_answer_anew_watching_begins_again() -> None:
    """Where nothing can be carried over nothing is raised, and nothing watched until the version has its own baseline."""
    looked = look(changed(8, days=46), Rule(), alone, BEGIN)
    assert looked.findings == []
    assert looked.watched == 7 * 24 + 1 * 24  # up to the day of the change, and from the one that has seven days before it


def test_a_warning_of_before_is_no_news_again() -> None:
    """Given the warning that was raised, a look that begins after it says nothing of the same burst; not given it, it does."""
    feed = made(CALM, 40, np.random.default_rng(1), Burst(2, PLANTED, 60, times=5.0))
    raised = look(feed, Rule(), alone, BEGIN).findings
    later = (PLANTED // 24 + 1) * 24
    assert feed.time(later) >= raised[0].raised
    assert look(feed, Rule(), alone, later, raised).findings == []
    assert look(feed, Rule(), alone, later).findings != []


# -- out of the log ------------------------------------------------------------------------------------------------------------


def test_heads_are_those_named_or_the_first_two() -> None:
    """One label: volume by label. Several heads: topic and sentiment by order, or as [watch] says."""
    labels = ["topic/a", "topic/b", "sentiment/up", "sentiment/down"]
    assert heads_of(["x", "y"]) == Heads("", "")
    assert heads_of(labels) == Heads("topic", "sentiment")
    assert heads_of(labels, topic="sentiment") == Heads("sentiment", "topic")
    with pytest.raises(BadDemo, match=r"watch\.topic = 'mood'.*topic, sentiment"):
        heads_of(labels, topic="mood")
    odd = Lookout(lambda *_: pd.DataFrame(), lambda: ["a/b", "c/d"], WatchSettings(), Model(moved=False).answers, several=False)
    assert (odd.heads, odd.cells) == (Heads("", ""), (Cell("a/b", ""), Cell("c/d", "")))  # labels of one head may hold a stroke
    assert cells_of(["x", "y"], Heads("", "")) == (Cell("x", ""), Cell("y", ""))
    assert cells_of(labels, Heads("topic", "sentiment"))[:2] == (Cell("a", "up"), Cell("a", "down"))


def item(
    moment: datetime, text: str, output: Json, *, came: datetime | None = None, source: str = "wire", version: int = 1
) -> tuple[Prediction, FeedItem]:
    """Return one item and the prediction that answers it."""
    id_, came = f"p_{input_hash(text + source + str(moment))}", came or moment
    return (
        Prediction(id_, f"feed:{source}", "", 0, CHAMPION, version, text, input_hash(text), output, 0.9, 1.0, True, created=came),
        FeedItem(f"f{id_}", id_, source, moment, "", came),
    )


MONDAY = datetime(2026, 3, 2)


def test_items_come_into_bins_by_version_and_late_ones_apart(store: Store) -> None:
    """Both forms of answers; what came after its bin and the grace is late, what is not over yet is not there."""
    two = {"labels": {"topic": "a", "sentiment": "up"}, "confidences": {"topic": 0.9, "sentiment": 0.8}}
    store.add(
        *item(MONDAY + timedelta(minutes=10), "one", two),
        *item(MONDAY + timedelta(minutes=20), "two", two, version=3),
        *item(MONDAY + timedelta(minutes=30), "late", two, came=MONDAY + timedelta(hours=2)),
        *item(MONDAY + timedelta(hours=3, minutes=10), "now", two),
    )
    labels = ["topic/a", "topic/b", "sentiment/up", "sentiment/down"]
    heads = heads_of(labels)
    came = brought(
        store.frame, heads, cells_of(labels, heads), MONDAY, MONDAY + timedelta(hours=3, minutes=20), 60, timedelta(minutes=15)
    )
    assert came.feed.versions == (1, 3)
    assert came.feed.seen.shape == (3, 2, 4)
    assert came.feed.seen[0, :, 0].tolist() == [1, 1]
    assert came.feed.seen.sum() == 2
    assert came.feed.late.tolist() == [[0, 0, 0, 2]]
    plain = brought(store.frame, Heads("", ""), (Cell("x", ""),), MONDAY, MONDAY + timedelta(hours=4), 60, timedelta())
    assert plain.feed.cells == (Cell("x", ""), Cell("", ""))  # answers without a label are a cell of their own


def test_a_dead_source_is_a_condition_and_a_new_one_no_news(store: Store) -> None:
    """Two an hour that fall silent for a day: silent since then, and a feed of less. A source that begins is more feed, not more news."""
    rng = np.random.default_rng(9)
    rows: list[Prediction | FeedItem] = []
    for hour in range(12 * 24):
        for number in range(rng.poisson(2)):
            moment = MONDAY + timedelta(hours=hour, minutes=number)
            rows += item(moment, f"a {hour} {number}", {"label": "x"}, source="old") if hour < 11 * 24 else ()
            rows += item(moment, f"b {hour} {number}", {"label": "x"}, source="new") if hour >= 6 * 24 else ()
    store.add(*rows)
    came = brought(store.frame, Heads("", ""), (Cell("x", ""),), MONDAY, MONDAY + timedelta(days=12), 60, timedelta())
    assert list(came.silent) == ["old"]
    assert abs(came.silent["old"] - (MONDAY + timedelta(days=11))) <= timedelta(hours=3)
    assert came.feed.exposure[:100].max() == pytest.approx(0.5, abs=0.15)
    assert came.feed.exposure[8 * 24] == pytest.approx(1.0)
    assert came.feed.exposure[-5] == pytest.approx(0.5, abs=0.15)


def test_news_that_many_new_publishers_bring_is_no_new_feed(store: Store) -> None:
    """A hundred publishers never seen before, an item each, do not pass for a larger feed: the feed was all alive before."""
    rows: list[Prediction | FeedItem] = []
    for hour in range(10 * 24):
        rows += item(MONDAY + timedelta(hours=hour), f"a {hour}", {"label": "x"}, source="old")
    for number in range(100):
        rows += item(MONDAY + timedelta(days=9, minutes=number % 50), f"b {number}", {"label": "x"}, source=f"new {number}")
    store.add(*rows)
    came = brought(store.frame, Heads("", ""), (Cell("x", ""),), MONDAY, MONDAY + timedelta(days=10), 60, timedelta())
    assert came.feed.exposure.min() == 1.0


class Model:
    """Version 1 names the first letter of a text, version 2 always says b where it is in `moved`."""

    def __init__(self, moved: bool) -> None:
        self.moved, self.asked = moved, 0

    def answers(self, version: int, inputs: Sequence[Json], settings: Mapping[str, float]) -> list[Json]:
        """Answer."""
        self.asked += len(inputs)
        return [self.label(version, str(text)) for text in inputs]

    def label(self, version: int, text: str) -> Json:
        """Answer one."""
        return {"label": "b" if version == 2 and self.moved and text[0] == "c" else text[0]}


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log of 33 days of ten items an hour (a, b, c as 4, 1, 5); from day 32 on by a version 2 that calls every c a b."""
    home = tmp_path_factory.mktemp("history")
    rng, model = np.random.default_rng(10), Model(moved=True)
    rows: list[Prediction | FeedItem] = []
    for hour in range(33 * 24):
        version = 1 if hour < 32 * 24 else 2
        for number in range(rng.poisson(10)):
            text = f"{rng.choice(list('abc'), p=[0.4, 0.1, 0.5])} {hour} {number}"
            rows += item(MONDAY + timedelta(hours=hour, minutes=number), text, model.label(version, text), version=version)
    with Store(home) as store:
        store.add(*rows)
    return home


def test_the_lookout_answers_the_past_anew_with_the_new_version(history: Path) -> None:
    """The log's own texts tell that c became b: no warning, while a model that is not asked (its old answers) would give one."""
    with Store(history) as store:
        model = Model(moved=True)
        at = MONDAY + timedelta(days=33, minutes=-30)
        seeing = Lookout(store.frame, lambda: ["a", "b", "c"], WatchSettings(), model.answers)
        assert seeing.look(at) == []
        assert 0 < model.asked <= 1000
        assert seeing.sight(at).looked.watched > 3 * 24
        asked = model.asked
        seeing.look(at + timedelta(minutes=5))
        assert model.asked == asked  # once a day
        blind = Lookout(store.frame, lambda: ["a", "b", "c"], WatchSettings(), Model(moved=False).answers)
        assert {one.topic for one in blind.look(at)} == {"b"}


def test_quarters_of_an_hour_are_judged_alike(history: Path) -> None:
    """With bins of 15 minutes the same change is no news to who asks, and news to who does not; all four days are watched."""
    with Store(history) as store:
        at = MONDAY + timedelta(days=33, minutes=-30)
        settings = WatchSettings(bin_minutes=15)
        seeing = Lookout(store.frame, lambda: ["a", "b", "c"], settings, Model(moved=True).answers)
        assert seeing.look(at) == []
        assert seeing.last is not None
        assert seeing.last.looked.watched > 3 * 96
        blind = Lookout(store.frame, lambda: ["a", "b", "c"], settings, Model(moved=False).answers)
        assert {one.topic for one in blind.look(at)} == {"b"}


def test_a_stored_warning_is_given_to_the_next_look(history: Path) -> None:
    """What the log has been warned of is not found again as news."""
    with Store(history) as store:
        at = MONDAY + timedelta(days=33, minutes=-30)
        blind = Lookout(store.frame, lambda: ["a", "b", "c"], WatchSettings(), Model(moved=False).answers)
        (found, *_) = blind.look(at)
        assert isinstance(found, Finding)
        store.add(EarlyWarning("w_1", "raised", **found._asdict()))
        assert [one for one in blind.look(at + timedelta(hours=1)) if one.raised > found.raised] == []
