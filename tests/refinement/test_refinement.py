"""What to record next: misheard phones, rare contexts, and the choice of sentences."""

import itertools
import json
import math
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from chatterbox_es import refine
from chatterbox_es.dataset.feature_set import FeatureSet
from chatterbox_es.errors import UserError
from chatterbox_es.evaluation.intervals import Proportion
from chatterbox_es.evaluation.results import Results, Row
from chatterbox_es.evaluation.sounds import Metric
from chatterbox_es.refinement.candidates import candidates, estimated_seconds, read_sentences
from chatterbox_es.refinement.choice import choose, gains, random_choice, worth_of
from chatterbox_es.refinement.contexts import PAIR, POSITION, TRIPLE, contexts_of, decode, weights
from chatterbox_es.refinement.findings import Evaluation
from chatterbox_es.refinement.phone_errors import Spoken, phone_errors
from chatterbox_es.refinement.plan import make_plan
from chatterbox_es.refinement.weaknesses import Weaknesses
from chatterbox_es.text import FrontEnd, SymbolTable
from chatterbox_es.text.symbols import PHONES

TABLE = SymbolTable()
FRONT_END = FrontEnd("castilian")
TEXT = """\
Los zapatos rojos son de Susana.
Mi padre come pan con queso.
El niño duerme en la cama.
Seis sastres cosen sesenta sacos sin cesar.
Hoy llueve en toda la comarca y el río
baja muy lleno de barro.
Mañana iremos a la montaña con Íñigo.
¿Quién llama a la puerta? Nadie.
La casa es alta.
El señor Peña enseña a bañarse a los niños pequeños.
La casa es alta.
Ya no queda 北京 en la mesa.
"""


def ids_of(text: str) -> np.ndarray:
    return np.asarray(FRONT_END.read(text).ids)


# ---- phones

def test_errors_are_counted_by_phone_with_what_was_heard() -> None:
    said = [(phone, phone) for phone in ("k", "ˈa", "s", "a")]
    errors = phone_errors([Spoken("u", said, ["t", "ˈa", "s"]), Spoken("v", said, ["k", "ˈa", "s", "a", "x"]),
                           Spoken("w", said, [])])  # fmt: skip
    assert [errors.share(phone) for phone in ("k", "ˈa", "a")] == [Proportion(2, 3), Proportion(1, 3), Proportion(2, 3)]
    assert errors.confusions["k"] == {"t": 1, "∅": 1} and errors.inserted == {"x": 1}
    assert errors.pair(("k", "ˈa")) == Proportion(2, 3) and errors.pair(("s", "a")) == Proportion(2, 3)
    assert errors.overall == 6 / 12
    assert errors.rate("k") == pytest.approx((2 + 20 * 0.5) / 23) and errors.rate("never") == 0.5


# ---- contexts

@given(st.lists(st.lists(st.integers(1, 40), min_size=0, max_size=12), min_size=1, max_size=6))
def test_contexts_are_counted_as_by_hand(sentences: list[list[int]]) -> None:
    contexts = contexts_of([np.array(some, dtype=np.int16) for some in sentences], TABLE)
    for number, some in enumerate(sentences):
        symbols = TABLE.symbols_of(some)
        expected = Counter((PAIR, pair) for pair in zip(symbols, symbols[1:], strict=False))
        expected.update((TRIPLE, triple) for triple in zip(symbols, symbols[1:], symbols[2:], strict=False))
        expected.update((POSITION, (symbol, ("beginning", "middle", "end")[3 * place // len(symbols)]))
                        for place, symbol in enumerate(symbols) if symbol.startswith("ˈ"))
        row = contexts.counts[number].tocoo()
        assert {decode(int(contexts.codes[column]), TABLE): int(count) for column, count in zip(row.col, row.data, strict=True)
                if count} == expected
    assert (contexts.of(contexts.codes) == contexts.totals()).all()
    assert (contexts.of(np.array([123 << 16 | 124])) == 0).all()


def test_a_context_is_needed_as_much_as_its_phones_are_misheard() -> None:
    contexts = contexts_of([ids_of("Sí, la casa.")], TABLE)
    need = dict(zip([decode(int(code), TABLE) for code in contexts.codes],
                    weights(contexts.codes, TABLE, {"s": 0.9, "ˈa": 0.5}, 0.1), strict=True))
    assert need[PAIR, ("s", "a")] == pytest.approx((0.9 + 0.1) / 2)
    assert need[TRIPLE, ("ˈa", "s", "a")] == pytest.approx((0.5 + 0.9 + 0.1) / 3)
    assert need[PAIR, ("<s>", "s")] == pytest.approx(0.9)  # marks are not misheard
    assert need[POSITION, ("ˈa", "middle")] == need[POSITION, ("ˈa", "middle")] == 0.5


# ---- the choice

@st.composite
def problems(draw: st.DrawFn) -> tuple:
    sentences, kinds = draw(st.integers(1, 7)), draw(st.integers(1, 6))
    counts = np.array(draw(st.lists(st.lists(st.integers(0, 3), min_size=kinds, max_size=kinds),
                                    min_size=sentences, max_size=sentences)))
    before = np.array(draw(st.lists(st.integers(0, 5), min_size=kinds, max_size=kinds)))
    need = np.array(draw(st.lists(st.floats(0.01, 1), min_size=kinds, max_size=kinds)))
    seconds = np.array(draw(st.lists(st.sampled_from([1.0, 2.0, 3.5]), min_size=sentences, max_size=sentences)))
    return sparse.csr_matrix(counts), before, need, seconds, draw(st.sampled_from([1.0, 3.0, 6.0]))


def best_possible(counts, before, need, seconds, budget) -> float:
    return max(worth_of(counts, before, need, np.array(some, dtype=int)) for size in range(len(seconds) + 1)
               for some in itertools.combinations(range(len(seconds)), size) if seconds[list(some)].sum() <= budget)


@given(problems())
def test_the_choice_keeps_the_budget_and_its_bound_holds(problem: tuple) -> None:
    counts, before, need, seconds, budget = problem
    choice = choose(counts, before, need, seconds, budget)
    assert len(set(choice.sentences)) == len(choice.sentences) and choice.seconds <= budget
    assert choice.seconds == pytest.approx(seconds[choice.sentences].sum())
    assert choice.worth == pytest.approx(worth_of(counts, before, need, np.array(choice.sentences, dtype=int)))
    assert choice.worth - 1e-9 <= best_possible(*problem) <= choice.bound + 1e-9


@given(problems())
def test_with_equal_lengths_it_is_within_nemhausers_bound_and_is_the_plain_greedy_choice(problem: tuple) -> None:
    counts, before, need, _, budget = problem
    seconds = np.ones(counts.shape[0])
    choice = choose(counts, before, need, seconds, budget)
    assert choice.worth >= (1 - 1 / math.e) * best_possible(counts, before, need, seconds, budget) - 1e-9
    worth, taken = 0.0, []
    while len(taken) < min(budget, len(seconds)):  # every sentence looked at anew each time
        rest = [number for number in range(len(seconds)) if number not in taken]
        added = [worth_of(counts, before, need, np.array([*taken, number])) for number in rest]
        if max(added) <= worth + 1e-12:
            break
        worth = max(added)
        taken.append(rest[int(np.argmax(added))])
    assert choice.worth == pytest.approx(worth)


def test_rare_and_misheard_contexts_come_first() -> None:
    counts = sparse.csr_matrix(np.eye(3, dtype=int))
    assert choose(counts, np.array([100, 0, 10]), np.ones(3), np.ones(3), 3).sentences == [1, 2, 0]
    assert choose(counts, np.array([9, 9, 9]), np.array([0.1, 0.2, 0.9]), np.ones(3), 3).sentences == [2, 1, 0]
    assert choose(counts, np.zeros(3), np.ones(3), np.array([1.0, 4.0, 2.0]), 3).sentences == [0, 2]
    assert gains(counts, np.array([0, 1, 3]), np.ones(3)) == pytest.approx(np.log([2, 3 / 2, 5 / 4]))


def test_chance_fills_the_same_time() -> None:
    seconds = np.array([5.0, 1.0, 2.0, 2.0, 9.0])
    drawn = [random_choice(seconds, 4, np.random.default_rng(seed)) for seed in range(20)]
    assert all(seconds[some].sum() <= 4 and len(set(some)) == len(some) for some in drawn)
    assert len({tuple(some) for some in drawn}) > 3


# ---- the text

def test_prose_and_lists_are_read_as_sentences(tmp_path: Path) -> None:
    file = tmp_path / "text.txt"
    file.write_text("﻿" + TEXT, encoding="utf-8")
    sentences = read_sentences(file)
    assert "Hoy llueve en toda la comarca y el río baja muy lleno de barro." in sentences
    assert sentences[:2] == ["Los zapatos rojos son de Susana.", "Mi padre come pan con queso."]
    assert "¿Quién llama a la puerta?" in sentences and "Nadie." in sentences
    file.write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(UserError, match="cannot be read as UTF-8"):
        read_sentences(file)
    file.write_text("\n \n")
    with pytest.raises(UserError, match="holds no sentence"):
        read_sentences(file)


def test_what_cannot_be_recorded_is_left_out_with_its_reason(features: FeatureSet) -> None:
    sentences = ["La casa es alta.", "Mi padre come pan.", "Mi padre come pan.", "Nadie.", "***", "Ya no queda 北京 en casa.",
                 "palabra " * 60]  # fmt: skip
    found = candidates(sentences, features, FRONT_END)
    assert found.texts == ["Mi padre come pan."] and len(found.seconds) == 1
    assert [reason.partition(",")[0] for _, reason in found.left_out] == [
        "in the corpus already", "twice in the text", "fewer than 3 words", "nothing in it can be spoken",
        "it holds what cannot be read", "longer than the corpus's longest sentence"]
    assert sum(found.reasons().values()) + len(found.texts) == len(sentences)


def test_time_is_estimated_from_the_corpus(features: FeatureSet) -> None:
    tokens = np.array([len(features.token_ids(number)) for number in range(len(features))])
    recorded = features.index["frames"].sum() / features.contract.frames_per_second
    assert estimated_seconds(tokens, features).sum() == pytest.approx(recorded, rel=0.05)
    assert (np.diff(estimated_seconds(np.arange(1, 200), features)) >= 0).all()


# ---- an evaluation

def heard(phones: list[str], *wrong: str) -> str:
    return " ".join("?" if phone in wrong else phone for phone in phones)


@pytest.fixture
def evaluation(features: FeatureSet, tmp_path: Path) -> Path:
    """An evaluation of a voice that never says /s/ well, and of recordings in which /l/ is misheard."""
    rows = []
    for system, *wrong in (("recordings", "l"), ("voice", "s", "l")):
        for number in features.validation:
            said = features.utterance(int(number))
            phones = [symbol for symbol in features.symbols.symbols_of(features.token_ids(int(number)).tolist())
                      if symbol in PHONES]
            missed = sum(phone in wrong for phone in phones)
            rows.append(Row(system, said["id"], said["words"], heard="algo", said_phones=" ".join(phones),
                            heard_phones=heard(phones, *wrong),
                            metrics={"per": missed / len(phones), "per_edits": missed, "per_phones": len(phones)}))
    card = {"prepared": str(features.folder), "content": features.card["content"], "dialect": "castilian",
            "checkpoints": {"voice": "final.pt"}}
    metrics, rates = {"per": Metric("", "lower", "phones")}, {"per": ("per_edits", "per_phones")}
    Results(rows, metrics, rates, card=card).write(tmp_path / "made")
    return tmp_path / "made"


def test_phones_are_ranked_by_what_the_voice_adds_to_the_recognisers_own_errors(evaluation: Path, features: FeatureSet) -> None:
    found = Weaknesses.of(Evaluation.read(evaluation))
    assert found.ranked_by == "per" and found.note == ""
    assert [row["metrics"]["per"] for row in found.sentences] == sorted(
        (row["metrics"]["per"] for row in found.sentences), reverse=True)
    held_out = [symbol for number in features.validation
                for symbol in features.symbols.symbols_of(features.token_ids(int(number)).tolist()) if symbol in PHONES]
    worst = found.phones[0]
    assert worst.phonemes == ("s",) and worst.instead == [("?", held_out.count("s"))]
    assert worst.voice == Proportion(held_out.count("s"), held_out.count("s")) and worst.recordings.count == 0
    need, otherwise = found.need()
    assert max(need, key=need.get) == "s" and need["l"] < need["s"] / 2 and otherwise > 0
    by_name = {part.name: part for part in found.parts}
    for group in ("sound", "sentence"):
        assert sum(part.voice.of for name, part in by_name.items() if name.startswith(group)) == len(held_out)


def test_sentences_with_what_is_misheard_are_chosen_and_chance_is_beside(evaluation: Path, features: FeatureSet) -> None:
    sentences = ["Seis sastres cosen", "Susana sisea sola", "Sus sesos son sosos",
                 "Mi padre come pan", "El nene duerme ahí", "Pepe teme ir"]
    found = candidates(sentences, features, FRONT_END)
    budget = float(found.seconds[:3].sum()) + 0.01
    plan = make_plan(found, features, Weaknesses.of(Evaluation.read(evaluation)), budget)
    assert {text[:3] for text in plan.texts()} >= {"Sei", "Sus"} and plan.choice.seconds <= budget
    assert plan.choice.worth >= np.mean(plan.worth_by_chance) and plan.ratio >= 1
    for kind, seen in plan.after.seen.items():
        assert plan.before.seen[kind] <= seen <= plan.before.of[kind]
    assert plan.choice.worth <= plan.choice.bound


def test_the_command_writes_a_script_for_the_studio(evaluation: Path, tmp_path: Path, command: Callable) -> None:
    (tmp_path / "text.txt").write_text(TEXT, encoding="utf-8")
    done = command("refine", f"evaluation={evaluation}", "text=text.txt", "minutes=0.1", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "of 0.1 minutes" in done.stdout and "by chance" in done.stdout
    folder = evaluation / "refinement"
    rows = [line.split("|") for line in (folder / "metadata.csv").read_text(encoding="utf-8").splitlines()]
    report = json.loads((folder / "refinement.json").read_text(encoding="utf-8"))
    left_out = [json.loads(line) for line in (folder / "left_out.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [name for name, _ in rows] == [f"refine_{number:04d}" for number in range(1, len(rows) + 1)]
    assert all(text in " ".join(TEXT.split()) for _, text in rows) and len(rows) == report["plan"]["sentences"] > 0
    assert report["plan"]["seconds"] <= 6 and Counter(row["reason"] for row in left_out) == report["plan"]["left_out"]
    page = (folder / "refinement.md").read_text(encoding="utf-8")
    assert "| /s/ |" in page and "The script" in page and page.count("| ---") >= 6


def test_without_text_it_ranks_and_without_phones_it_says_so(evaluation: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                             capsys: pytest.CaptureFixture) -> None:
    rows = [json.loads(line) for line in (evaluation / "rows.jsonl").read_text(encoding="utf-8").splitlines()]
    for row in rows:
        row |= {"said_phones": "", "heard_phones": "", "metrics": {"wer": row["metrics"]["per"]}}
    (evaluation / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    monkeypatch.setattr(sys, "argv", ["refine", f"evaluation={evaluation}", f"out={tmp_path}/there"])
    refine.main()
    said = capsys.readouterr().out
    assert "ranked by wer" in said and "recogniser=pocketsphinx:DIR" in said
    assert {file.name for file in (tmp_path / "there").iterdir()} == {"refinement.md", "refinement.json"}


@pytest.mark.parametrize(("given_arguments", "said"), [
    (["evaluation=none"], "python -m chatterbox_es.evaluate"),
    (["evaluation={made}", "system=other"], "there are recordings, voice"),
    (["evaluation={made}", "minutes=0"], "must be above 0"),
    (["evaluation={made}", "text=none.txt"], "cannot be read"),
    (["evaluation={made}", "recogniser=vosk:"], "name a model"),
    ([], "missing: evaluation="),
])  # fmt: skip
def test_what_is_wrong_is_said(evaluation: Path, monkeypatch: pytest.MonkeyPatch, given_arguments: list[str],
                               said: str) -> None:
    monkeypatch.setattr(sys, "argv", ["refine", *(argument.format(made=evaluation) for argument in given_arguments)])
    with pytest.raises(UserError) as error:
        refine.main()
    assert said in str(error.value)


def test_an_evaluation_that_is_damaged_or_of_other_data_is_refused(evaluation: Path) -> None:
    summary = json.loads((evaluation / "summary.json").read_text(encoding="utf-8"))
    for change, said in (({"content": "0" * 64}, "has changed since"), ({"prepared": "gone"}, "is gone")):
        (evaluation / "summary.json").write_text(json.dumps(summary | change), encoding="utf-8")
        with pytest.raises(UserError, match=said):
            Evaluation.read(evaluation)
    (evaluation / "summary.json").write_text("{")
    with pytest.raises(UserError, match="is damaged"):
        Evaluation.read(evaluation)
