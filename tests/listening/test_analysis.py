"""What answers say: figures by hand, edges, who is left out and why, and simulated panels whose truth is known."""

import csv
import dataclasses
import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from chatterbox_es.listening.analysis import Estimate, analyse, holm, two_way_variance
from chatterbox_es.listening.answers import Answer, Listener
from chatterbox_es.listening.design import ANCHOR, REFERENCE, Design, plan
from chatterbox_es.listening.ratings import compared_pairs, ratings_of
from chatterbox_es.listening.results import describe, write_results

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent / "scripts"))
import bench_listening as bench  # noqa: E402

ITEMS = [f"u{number}" for number in range(12)]


def answered(design: Design, row: int, value_of: Callable[[str, tuple], object], token: int = 0,
             milliseconds: int = 60_000) -> Listener:
    """A listener who answers each trial by its name and its sounds' (item, system)."""
    listener = Listener(f"{token:032x}", row % len(design.orders), {"device": "auriculares"})
    for p in design.orders[listener.row]:
        trial = design.trials[p.trial]
        sounds = tuple((design.stimuli[s].item, design.stimuli[s].system) for s in trial.stimuli)
        value = trial.expected if trial.expected is not None else value_of(p.trial, sounds)
        listener.add(Answer(p.trial, value, milliseconds, 1, 1))
    return listener


def panel(design: Design, count: int, value_of: Callable) -> list[Listener]:
    return [answered(design, number, lambda trial, sounds, n=number: value_of(n, sounds), number) for number in range(count)]


# Figures --------------------------------------------------------------------------------------------------------------


def test_two_way_variance_by_hand():
    share = np.array([1.0, 2.0, -1.0, -2.0]) / 4
    listeners, items = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    by_listener, by_item, both = 2 * (0.75**2 + 0.75**2), 2 * (0.0 + 0.0), (1 + 4 + 1 + 4) / 16
    assert two_way_variance(share, listeners, items) == pytest.approx(max(by_listener + by_item - both, by_listener, by_item))


def test_without_a_spread_of_sentences_it_is_the_t_interval_of_listeners():
    """Every listener gives one value to everything: only listeners count, and the interval is the textbook's."""
    design = plan("mos", ["a"], ITEMS, checks=0)
    given = [1, 2, 3, 4, 5, 3, 3, 2, 4, 5]
    design = dataclasses.replace(design, rules=dataclasses.replace(design.rules, constant_trials=99))
    (estimate,) = analyse(design, panel(design, 10, lambda n, _: given[n])).kept.conditions
    expected = stats.t.interval(0.95, 9, np.mean(given), stats.sem(given))
    assert (estimate.mean, estimate.low, estimate.high) == pytest.approx((3.2, *expected))
    assert (estimate.ratings, estimate.listeners, estimate.items) == (120, 10, 12)


def test_of_a_difference_what_listeners_share_falls_out():
    """Severe and mild listeners who all hear one point between two systems: a narrow interval around 1."""
    design = plan("mos", ["a", "b"], ITEMS, checks=0)
    results = analyse(design, panel(design, 8, lambda n, sounds: 1 + n % 4 + (sounds[0][1] == "b"))).everyone
    (difference,) = results.differences
    assert difference.name == "a - b" and difference.mean == pytest.approx(-1)
    assert difference.high - difference.low < 0.4 < results.conditions[0].high - results.conditions[0].low


def test_holm_by_hand():
    def estimates(*ps: float | None) -> list[Estimate]:
        return [Estimate(str(place), 0, 0, 0, 1, 1, 1, p) for place, p in enumerate(ps)]

    assert [e.p_holm for e in holm(estimates(0.01, 0.04, 0.03, None))] == [pytest.approx(0.03), pytest.approx(0.06),
                                                                            pytest.approx(0.06), None]
    assert [e.p_holm for e in holm(estimates(0.9, 0.8))] == [1, 1]


@pytest.mark.parametrize("method", ["ab", "cmos"])
def test_a_preference_does_not_depend_on_which_sound_came_first(method):
    design = plan(method, ["a", "b"], ITEMS, reference=True, checks=0)
    rank = {"a": 0, "b": 1, REFERENCE: 2}

    def better(_: int, sounds: tuple) -> int:
        return int(np.sign(rank[sounds[1][1]] - rank[sounds[0][1]]))

    results = analyse(design, panel(design, 4, better)).everyone
    assert compared_pairs(design) == [("a", "b"), ("a", REFERENCE), ("b", REFERENCE)]
    assert [estimate.name for estimate in results.conditions] == ["a / b", "a / reference", "b / reference"]
    assert {estimate.mean for estimate in results.conditions} == {0.0 if method == "ab" else -1.0}
    if method == "ab":
        assert dataclasses.astuple(results.preferences["a / b"]) == (0, 48, 0)
        assert results.conditions[0].high > 0.05  # 48 of 48 do not make it certain
    assert all(estimate.p_holm < 0.05 for estimate in results.conditions)


def test_everybody_torn_is_no_preference():
    design = plan("ab", ["a", "b"], ITEMS, checks=0)
    (estimate,) = analyse(design, panel(design, 6, lambda n, sounds: (-1, 1)[(n + ITEMS.index(sounds[0][0])) % 2]
                                        * (1 if sounds[0][1] == "a" else -1))).everyone.conditions
    assert estimate.mean == 0.5 and estimate.low < 0.5 < estimate.high and estimate.p == pytest.approx(1)


# Edges ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "whole"), [("mos", (1, 5)), ("cmos", (-3, 3)), ("ab", (0, 1)), ("mushra", (0, 100))])
@pytest.mark.parametrize(("items", "listeners"), [(1, 5), (4, 1), (1, 1)])
def test_one_listener_or_one_sentence_tell_nothing_of_others(method, whole, items, listeners, tmp_path):
    design = plan(method, ["a", "b"], ITEMS[:items], reference=True, anchor=True)
    simulated = bench.Panel(design, 0)
    analysis = analyse(design, [simulated.listener(number % len(design.orders)) for number in range(listeners)])
    assert {(e.low, e.high, e.p) for e in analysis.everyone.conditions} == {(*whole, None)}
    assert "the whole scale" in describe(analysis)
    assert all(path.stat().st_size or path.name == "exclusions.csv" for path in write_results(analysis, tmp_path))


def test_all_alike_is_not_certain():
    design = plan("mos", ["a"], ITEMS[:3], checks=0)
    (estimate,) = analyse(design, panel(design, 3, lambda *_: 5)).everyone.conditions
    assert estimate.mean == 5 and estimate.low < 4.7


def test_who_stopped_half_way_counts_and_is_counted():
    design = plan("mos", ["a", "b"], ITEMS, checks=0)
    listeners = panel(design, 4, lambda n, sounds: 2 + (sounds[0][1] == "b") + n % 2)
    listeners[0].answers = dict(list(listeners[0].answers.items())[:7])
    listeners.append(Listener("f" * 32, 0))
    analysis = analyse(design, listeners)
    assert (analysis.incomplete, analysis.silent, len(analysis.listeners)) == (1, 1, 4)
    assert sum(estimate.ratings for estimate in analysis.everyone.conditions) == 3 * 24 + 7


def test_when_all_are_left_out_all_are_shown(tmp_path):
    design = plan("mos", ["a", "b"], ITEMS, checks=0)
    analysis = analyse(design, panel(design, 2, lambda *_: 3))
    assert len(analysis.excluded) == 2 and analysis.kept.conditions == []
    assert "every listener was left out" in describe(analysis)
    assert "excluyen a todos" in write_results(analysis, tmp_path)[0].read_text()


# Who is left out ------------------------------------------------------------------------------------------------------


def rules_of(design: Design, listeners: list[Listener]) -> dict[int, set[str]]:
    found: dict[int, set[str]] = {}
    for exclusion in analyse(design, listeners).exclusions:
        found.setdefault(int(exclusion.listener, 16), set()).add(exclusion.rule)
    return found


def careful(n: int, sounds: tuple) -> int:
    level = {"a": 2, "b": 3, REFERENCE: 5, ANCHOR: 1}[sounds[0][1]]
    return int(np.clip(level + (-1, 0, 0, 1)[(n + hash_of(sounds[0][0])) % 4], 1, 5))


def hash_of(item: str) -> int:
    return ITEMS.index(item)


@pytest.fixture
def mos() -> tuple[Design, list[Listener]]:
    """Seven careful listeners."""
    design = dataclasses.replace(plan("mos", ["a", "b"], ITEMS, reference=True, anchor=True, checks=3))
    design = dataclasses.replace(design, seconds=dict.fromkeys(design.stimuli, 3.0))
    return design, panel(design, 7, careful)


def test_careful_listeners_stay(mos):
    assert rules_of(*mos) == {}


def test_each_rule_finds_whom_it_is_for(mos):
    design, listeners = mos
    deaf = answered(design, 0, lambda _, sounds: careful(1, sounds), token=100)
    for trial in [name for name, trial in design.trials.items() if trial.expected is not None][:2]:
        deaf.answers[trial] = Answer(trial, 6 - design.trials[trial].expected if design.trials[trial].expected != 3 else 1,
                                     60_000, 1, 2)
    constant = answered(design, 1, lambda *_: 3, token=101)
    fast = answered(design, 2, lambda _, sounds: careful(2, sounds), token=102, milliseconds=2000)
    upside_down = answered(design, 3, lambda _, sounds: 6 - careful(0, sounds), token=103)
    aside = answered(design, 4, lambda trial, sounds: 1 + (7 * int(trial[1:]) + hash_of(sounds[0][0])) % 5, token=104)
    found = rules_of(design, [*listeners, deaf, constant, fast, upside_down, aside])
    assert found[100] == {"checks"}
    assert found[101] == {"constant", "correlation"}
    assert found[102] == {"fast"}
    assert found[103] == {"order", "correlation"}
    assert "correlation" in found[104] and set(found) == {100, 101, 102, 103, 104}


def test_one_missed_check_of_three_is_forgiven(mos):
    design, listeners = mos
    trial = next(name for name, trial in design.trials.items() if trial.expected == 5)
    listeners[0].answers[trial] = Answer(trial, 4, 60_000, 1, 2)
    assert rules_of(design, listeners) == {}


def test_nobody_is_blamed_for_systems_that_sound_alike():
    design = plan("mos", ["a", "b"], ITEMS, checks=0)
    chance = np.random.default_rng(0)
    assert rules_of(design, panel(design, 20, lambda *_: int(chance.integers(2, 5)))) == {}


def test_mushra_by_hidden_reference_and_anchor():
    design = plan("mushra", ["a"], ITEMS, reference=True, anchor=True)

    def scored(token: int, low: int, high: int) -> Listener:
        """``low`` sentences with the reference at 80, ``high`` with the anchor at 95."""
        listener = Listener(f"{token:032x}", 0)
        for number, p in enumerate(design.orders[0]):
            values = {REFERENCE: 80 if number < low else 100, ANCHOR: 95 if number < high else 20, "a": 50 + number}
            listener.add(Answer(p.trial, {s: values[design.condition_of(s)] for s in p.stimuli}, 60_000, 4, 1))
        return listener

    found = rules_of(design, [scored(0, 0, 0), scored(1, 1, 1), scored(2, 2, 0), scored(3, 0, 2)])
    assert found == {2: {"reference"}, 3: {"anchor"}}  # 1 of 12 is under 15 %, 2 of 12 over


def test_the_gold_pair_is_a_check():
    design = plan("cmos", ["a", "b"], ITEMS, reference=True, anchor=True, checks=1)
    listeners = panel(design, 4, lambda n, sounds: {sounds[1][1]: 1, sounds[0][1]: -1}.get(REFERENCE, n % 2))
    for listener in listeners:
        listener.answers["gold"] = Answer("gold", 1, 60_000, 2, 2)
    listeners[0].answers["gold"] = Answer("gold", -2, 60_000, 2, 3)
    assert rules_of(design, listeners)[0] >= {"checks"}
    listeners[0].answers["gold"] = Answer("gold", 3, 60_000, 2, 4)
    assert "checks" not in rules_of(design, listeners).get(0, set())


# What is written ------------------------------------------------------------------------------------------------------


def test_page_json_and_tables_agree(tmp_path):
    design = plan("mos", ["una <b>", "dos"], ITEMS, reference=True, anchor=True)
    people = bench.Panel(design, 3)
    analysis = analyse(design, [people.listener(row, careful=row < 8) for row in range(10)], ["a fault & more"])
    paths = {path.name: path for path in write_results(analysis, tmp_path / "results")}
    content = json.loads(paths["results.json"].read_text())
    rows = list(csv.DictReader(paths["means.csv"].open()))
    kept = [row for row in rows if row["of"] == "kept" and row["kind"] == "mean"]
    means = {estimate["name"]: estimate["mean"] for estimate in content["kept"]["conditions"]}
    assert {row["name"]: float(row["mean"]) for row in kept} == means and len(kept) == 4
    ratings = list(csv.DictReader(paths["ratings.csv"].open()))
    assert len(ratings) == len(ratings_of(design, analysis.listeners)) == 10 * 48
    assert {row["listener"] for row in ratings if row["excluded"] == "True"} == analysis.excluded
    by_hand = np.mean([float(row["value"]) for row in ratings if row["condition"] == "dos" and row["excluded"] == "False"])
    assert by_hand == pytest.approx(means["dos"])
    assert len(list(csv.DictReader(paths["exclusions.csv"].open()))) == len(analysis.exclusions) > 0
    page = paths["results.html"].read_text()
    assert "una &lt;b&gt;" in page and "una <b>" not in page and "a fault &amp; more" in page
    assert "src=" not in page and page.count('class="lane"') == 4
    for exclusion in analysis.exclusions:
        assert exclusion.listener[:8] in page and exclusion.listener not in page


# Panels with known truth ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("heard", ["all", "once"])
def test_true_means_lie_in_the_intervals_and_clickers_out(heard):
    """The short form of scripts/bench_listening.py; at 95 % fewer than 27 of 40 has a chance far below one in a million."""
    options = bench.BenchOptions(heard=heard, items=10, bootstrap=0)
    truth = bench.true_means(options, "mos", panels=150)
    covered, out, wrongly = [], 0, 0
    design = bench.design_of(options, "mos", options.items)
    for seed in range(8):
        people = bench.Panel(design, seed)
        listeners = [people.listener(row % len(design.orders), row < 30) for row in range(36)]
        analysis = analyse(design, listeners)
        covered += [estimate.low <= truth[estimate.name] <= estimate.high for estimate in analysis.kept.conditions]
        clickers = {listener.token for listener in listeners[30:]}
        out, wrongly = out + len(analysis.excluded & clickers), wrongly + len(analysis.excluded - clickers)
    assert len(covered) == 40 and sum(covered) >= 32
    assert out >= 40 and wrongly <= 12  # of 48 and 240


@pytest.mark.slow
@pytest.mark.parametrize("method", ["mos", "ab", "cmos", "mushra"])
def test_coverage_of_every_method(method):
    assert bench.simulate(bench.BenchOptions(method=method, simulations=40), method)


def test_a_killed_server_loses_and_doubles_nothing(tmp_path, capsys):
    assert bench.bench_server(tmp_path, listeners=12, items=3, pause=0.02), capsys.readouterr().out


@pytest.mark.slow
def test_a_hundred_listeners_and_a_killed_server(tmp_path, capsys):
    assert bench.bench_server(tmp_path, listeners=100, items=12), capsys.readouterr().out
