"""Orders: what Williams' square and the designs made of it promise."""

import dataclasses
import itertools
import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatterbox_es.errors import UserError
from chatterbox_es.listening.design import ANCHOR, INSTRUCTION, REFERENCE, Design, plan
from chatterbox_es.listening.latin_square import williams

SYSTEMS = ["a", "b", "c"]


def items(count: int) -> list[str]:
    return [f"u{number}" for number in range(count)]


def judged(design: Design, order: int) -> list:
    """An order without its attention checks."""
    return [p for p in design.orders[order] if design.trials[p.trial].expected is None]


@pytest.mark.parametrize("conditions", range(1, 13))
def test_a_williams_square_balances_places_and_neighbours(conditions):
    square = williams(conditions)
    assert all(sorted(row) == list(range(conditions)) for row in square)
    for place in range(conditions):
        assert set(Counter(row[place] for row in square).values()) == {len(square) // conditions}
    neighbours = Counter(pair for row in square for pair in itertools.pairwise(row))
    if conditions > 1:
        assert set(neighbours) == set(itertools.permutations(range(conditions), 2))
        assert len(set(neighbours.values())) == 1
        assert len(square) == conditions * (1 if conditions % 2 == 0 else 2)


def test_a_square_of_nothing_is_refused():
    with pytest.raises(ValueError):
        williams(0)


@given(systems=st.integers(1, 5), sentences=st.integers(1, 13), anchors=st.booleans(), seed=st.integers(0, 5))
def test_mos_every_listener_hears_everything_once_or_every_sentence_once(systems, sentences, anchors, seed):
    names = [f"x{number}" for number in range(systems)]
    for heard in ("all", "once"):
        design = plan("mos", names, items(sentences), reference=anchors, anchor=anchors, heard=heard, seed=seed)
        conditions = [*names, *([REFERENCE, ANCHOR] if anchors else [])]
        everything = Counter()
        for order in range(design.balanced_after):
            shown = [design.stimuli[p.stimuli[0]] for p in judged(design, order)]
            if heard == "once":
                assert Counter(stimulus.item for stimulus in shown) == Counter(items(sentences))
                per_system = Counter(stimulus.system for stimulus in shown)
                assert max(per_system.values()) - min(per_system[name] for name in conditions) <= 1
            else:
                assert Counter(shown) == Counter(set(design.stimuli.values()) - {s for s in design.stimuli.values()
                                                                                 if s.system == INSTRUCTION})
            everything.update((stimulus.item, stimulus.system) for stimulus in shown)
        assert set(everything) == set(itertools.product(items(sentences), conditions))
        assert len(set(everything.values())) == 1  # over the orders every sound is heard equally often


def test_mos_conditions_are_balanced_over_places_and_neighbours():
    design = plan("mos", SYSTEMS, items(8), reference=True, heard="once", checks=0)
    orders = [[design.stimuli[p.stimuli[0]].system for p in judged(design, order)] for order in range(design.balanced_after)]
    for start in (0, 4):
        blocks = [order[start:start + 4] for order in orders]
        for place in range(4):
            assert set(Counter(block[place] for block in blocks).values()) == {design.balanced_after // 4}
        assert len(set(Counter(pair for block in blocks for pair in itertools.pairwise(block)).values())) == 1


@pytest.mark.parametrize("method", ["ab", "cmos"])
def test_of_a_pair_either_comes_first_equally_often(method):
    design = plan(method, SYSTEMS, items(5), reference=True)
    shown = Counter()
    for order in range(design.balanced_after):
        pairs = [tuple(design.stimuli[s] for s in p.stimuli) for p in judged(design, order)]
        assert Counter((pair[0].item, frozenset(s.system for s in pair)) for pair in pairs).most_common(1)[0][1] == 1
        assert len(pairs) == 5 * 6
        shown.update(pairs)
    assert len(shown) == 5 * 6 * 2 and len(set(shown.values())) == 1


def test_pairs_with_the_reference_only():
    design = plan("cmos", SYSTEMS, items(4), reference=True, pairs="reference")
    for presentation in judged(design, 0):
        assert REFERENCE in {design.condition_of(stimulus) for stimulus in presentation.stimuli}
    assert len(judged(design, 0)) == 3 * 4


def test_mushra_shows_all_conditions_of_a_sentence_in_balanced_places():
    design = plan("mushra", SYSTEMS, items(6), reference=True, anchor=True)
    places = Counter()
    for order in range(design.balanced_after):
        for presentation in design.orders[order]:
            shown = [design.stimuli[stimulus] for stimulus in presentation.stimuli]
            assert len({stimulus.item for stimulus in shown}) == 1
            assert sorted(stimulus.system for stimulus in shown) == sorted([*SYSTEMS, REFERENCE, ANCHOR])
            places.update((stimulus.system, place) for place, stimulus in enumerate(shown))
    assert len(places) == 25 and len(set(places.values())) == 1
    assert len({order[0].trial for order in design.orders}) == 6  # every sentence comes first for somebody


@pytest.mark.parametrize("method", ["mos", "ab", "cmos"])
def test_checks_are_spread_never_first_and_have_known_answers(method):
    design = plan(method, SYSTEMS, items(6), reference=True, anchor=True, checks=3)
    checks = {name for name, trial in design.trials.items() if trial.expected is not None}
    assert len(checks) == (3 if method == "mos" else 4)
    assert len({design.trials[name].expected for name in checks if not design.trials[name].by_sign}) == 3
    for order in design.orders:
        places = [place for place, p in enumerate(order) if p.trial in checks]
        assert len(places) == len(checks) and places[0] > 0
        assert min(after - before for before, after in itertools.pairwise(places)) > 1
    starts = {next(place for place, p in enumerate(order) if p.trial in checks) for order in design.orders}
    assert len(starts) > 1  # not at the same question for everybody


def test_names_of_stimuli_tell_nothing():
    design = plan("mos", SYSTEMS, items(20), reference=True, anchor=True)
    by_name = [stimulus.system for _, stimulus in sorted(design.stimuli.items()) if stimulus.system != INSTRUCTION]
    runs = sum(before == after for before, after in itertools.pairwise(by_name))
    assert runs < 2 * len(by_name) / 5  # about a fifth by chance; all of them if sorted by system


def test_a_seed_is_a_design_and_another_is_another():
    designs = [plan("mos", SYSTEMS, items(6), reference=True, seed=seed) for seed in (1, 1, 2)]
    assert designs[0] == designs[1] and designs[0].test == designs[1].test != designs[2].test


def test_a_design_is_read_as_it_was_written(tmp_path):
    for method in ("mos", "ab", "cmos", "mushra"):
        design = dataclasses.replace(plan(method, SYSTEMS, items(3), reference=True, anchor=True, texts={"u0": "¿Sí?"}),
                                     seconds={"s0000": 1.25})
        design.write(tmp_path)
        assert Design.read(tmp_path) == design and Design.read(tmp_path).test == design.test


def test_a_changed_or_damaged_design_is_refused(tmp_path):
    with pytest.raises(UserError, match="there is no design.json"):
        Design.read(tmp_path)
    plan("mos", SYSTEMS, items(3)).write(tmp_path)
    content = json.loads((tmp_path / "design.json").read_text())
    content["rules"]["correlation"] = -1.0
    (tmp_path / "design.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match="changed after the test was built"):
        Design.read(tmp_path)
    for text in ("", "[]", "{}", '{"test": 1, "stimuli": 3}'):
        (tmp_path / "design.json").write_text(text)
        with pytest.raises(UserError, match="damaged"):
            Design.read(tmp_path)


@pytest.mark.parametrize(("change", "words"), [
    ({"method": "acr"}, "method=acr: must be one of mos, ab, cmos, mushra"), ({"method": "mushra"}, "reference=DIR"),
    ({"anchor": True}, "reference=DIR"), ({"method": "ab", "systems": ["a"]}, "two systems"),
    ({"method": "ab", "pairs": "reference"}, "pairs=reference"), ({"systems": ["a", "anchor"]}, "names must differ"),
    ({"systems": ["a", "a"]}, "names must differ"), ({"systems": []}, "at least one"), ({"items": []}, "at least one"),
    ({"checks": 10}, "checks=10"), ({"heard": "twice"}, "heard=twice"),
    ({"method": "mushra", "reference": True, "heard": "once"}, "heard=once")])
def test_what_does_not_go_together_is_said(change, words):
    given = {"method": "mos", "systems": SYSTEMS, "items": items(3)} | change
    with pytest.raises(UserError, match=words):
        plan(**given)
