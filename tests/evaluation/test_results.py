"""Rows to estimates: intervals, rates, failures; what the page shows of them."""

import dataclasses
import json
import math

import numpy as np
import pytest

from chatterbox_es.evaluation.intervals import interval, rate_interval, resample
from chatterbox_es.evaluation.page import render
from chatterbox_es.evaluation.results import SOUND, Results, Row, collect, table
from chatterbox_es.evaluation.sounds import Failure, Metric, Sound
from chatterbox_es.evaluation.verdicts import verdicts

METRICS = {"good": Metric("dB", "lower", "how good"), "wer": Metric("", "lower", "words misheard")}


class Fixed:
    """A measure that gives what it is told, by (system, utterance)."""

    name = "fixed"
    metrics = METRICS
    rates = {"wer": ("edits", "words")}  # noqa: RUF012

    def __init__(self, values: dict):
        self.values = values

    def __call__(self, sounds):
        return [self.values[sound.system, sound.utterance] for sound in sounds]


def said(system: str, utterance: str, failure: str = "") -> tuple[Row, Sound | None]:
    row = Row(system, utterance, f"words of {utterance}")
    if failure:
        row.failures[SOUND] = failure
        return row, None
    return row, Sound(system, utterance, row.words, ("a",), np.ones(10, np.float32), 10)


def evaluated(values: dict, missing: tuple = ()) -> Results:
    systems = {}
    for system, utterance in values:
        systems.setdefault(system, []).append(said(system, utterance))
    for system, utterance in missing:
        systems[system].append(said(system, utterance, "missing-audio: gone"))
    return collect(systems, [Fixed(values)])


# ---- intervals


def test_the_bootstrap_interval_of_a_mean_is_near_the_normal_one():
    values = np.random.default_rng(0).normal(3, 2, 400)
    low, high = rate_interval(values, np.ones(400))
    assert low == pytest.approx(values.mean() - 1.96 * values.std() / 20, abs=0.03)
    assert high == pytest.approx(values.mean() + 1.96 * values.std() / 20, abs=0.03)


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    generator = np.random.default_rng(1)
    intervals = [rate_interval(generator.exponential(1, 60), np.ones(60), seed) for seed in range(60)]
    hits = sum(low <= 1 <= high for low, high in intervals)
    assert 50 <= hits <= 60


def test_a_rate_of_equal_units_has_the_interval_of_a_mean():
    counts = np.random.default_rng(2).integers(0, 5, 50)
    assert rate_interval(counts, np.full(50, 4)) == pytest.approx(rate_interval(counts / 4, np.ones(50)))


def test_resamples_are_whole_and_the_same_for_the_same_seed():
    counts = resample(7, seed=3, resamples=100)
    assert counts.shape == (100, 7)
    assert (counts.sum(1) == 7).all()
    assert (counts == resample(7, seed=3, resamples=100)).all()
    assert (counts != resample(7, seed=4, resamples=100)).any()
    assert interval(np.arange(1001.0)) == pytest.approx((25, 975))


# ---- results


def test_estimates_are_means_with_counts_and_what_is_missing_stands_with_its_reason():
    values = {("recordings", "u1"): {"good": 1.0}, ("recordings", "u2"): {"good": 3.0},
              ("voice", "u1"): {"good": 2.0}, ("voice", "u2"): Failure("it is silent")}
    results = evaluated(values, missing=[("voice", "u3")])
    estimate = results.estimates()["voice"]["good"]
    assert (estimate.mean, estimate.n, estimate.missing) == (2.0, 1, 2)
    assert estimate.beside is None  # one pair says nothing of a difference
    assert results.failures() == {"voice": {"fixed": {"it is silent": 1}, SOUND: {"missing-audio: gone": 1}}}
    assert sum(len(results.of(system)) for system in results.systems) == 5


def test_a_difference_from_the_recordings_is_paired():
    """The voice is 0.5 worse on every sentence, while sentences differ by tens: the paired interval is a point."""
    values = {("recordings", f"u{n}"): {"good": 10.0 * n} for n in range(8)}
    values |= {("voice", f"u{n}"): {"good": 10.0 * n + 0.5} for n in range(8)}
    estimate = evaluated(values).estimates()["voice"]["good"]
    assert (estimate.beside, estimate.beside_low, estimate.beside_high) == pytest.approx((0.5, 0.5, 0.5))
    assert estimate.high - estimate.low > 10


def test_a_rate_is_the_quotient_of_sums():
    values = {("voice", "u1"): {"wer": 1.0, "edits": 1.0, "words": 1.0},
              ("voice", "u2"): {"wer": 0.1, "edits": 1.0, "words": 10.0}}
    results = evaluated(values)
    assert results.estimates()["voice"]["wer"].mean == pytest.approx(2 / 11)
    assert results.shown() == ["wer"]  # its parts are not metrics by themselves


def test_a_rate_beside_the_recordings_is_the_difference_of_the_rates():
    """Not the mean of the sentences' differences, in which a short sentence would weigh as much as a long one."""
    def row(edits: float, words: float) -> dict:
        return {"wer": edits / words, "edits": edits, "words": words}

    values = {("recordings", "u1"): row(0, 1), ("recordings", "u2"): row(0, 10), ("recordings", "u3"): row(0, 10)}
    values |= {("voice", "u1"): row(1, 1), ("voice", "u2"): row(1, 10), ("voice", "u3"): row(0, 10)}
    estimate = evaluated(values).estimates()["voice"]["wer"]
    assert estimate.beside == pytest.approx(estimate.mean) == pytest.approx(2 / 21)  # the recordings are understood in full
    assert (estimate.beside_low, estimate.beside_high) == pytest.approx((estimate.low, estimate.high))


def judged(**differences: float) -> Results:
    """Two systems on twelve sentences, the first better by so much than the second in each predictor, ± 0.1 by turns."""
    generator, rows, metrics = np.random.default_rng(5), [], {name: Metric("", "higher", name) for name in differences}
    for utterance in range(12):
        level = generator.normal(3, 1)  # sentences differ by more than systems
        for system, sign in (("one", 0.5), ("two", -0.5)):
            values = {name: level + sign * (by + 0.2 * (-1) ** utterance) for name, by in differences.items()}
            rows.append(Row(system, f"u{utterance}", "a", metrics=values))
    return Results(rows, metrics, {})


@pytest.mark.parametrize(("differences", "said"), [
    ({"distillmos": 0.5, "dnsmos_ovrl": 0.5}, "one is better (distillmos +0."),
    ({"distillmos": -0.5, "dnsmos_ovrl": -0.5}, "two is better"),
    ({"distillmos": 2.0}, "not decided: distillmos alone prefers one"),
    ({"distillmos": 2.0, "dnsmos_ovrl": 0.0}, "not decided: distillmos alone prefers one"),
    ({"distillmos": 2.0, "dnsmos_sig": 2.0}, "not decided: distillmos alone prefers one"),  # DNSMOS's other scores are no voter
    ({"distillmos": 2.0, "dnsmos_ovrl": 0.5, "predictor_x": -0.5}, "the predictors disagree"),
    ({"distillmos": 0.0, "dnsmos_ovrl": 0.0}, "not told apart"), ({"mcd": 5.0}, "not measured"),
])
def test_nothing_is_called_better_by_one_predictor_alone(differences, said):
    verdict, = verdicts(judged(**differences), ["one", "two"])
    assert verdict.quality.startswith(said)
    assert verdict.intelligibility == "not measured"


@pytest.mark.parametrize(("wer", "said"), [(0.8, "one is better"), (1.0, "not decided: the predictors prefer one, of which")])
def test_what_nobody_understands_is_not_called_better(wer, said):
    metrics = {name: Metric("", "higher", name) for name in ("distillmos", "dnsmos_ovrl")} | {"wer": METRICS["wer"]}
    rows = [Row(system, f"u{n}", "a", metrics={"distillmos": score + n / 100, "dnsmos_ovrl": score + n / 100, "wer": wrong})
            for system, score, wrong in (("one", 1.3, wer), ("two", 1.1, 0.0)) for n in range(10)]
    verdict, = verdicts(Results(rows, metrics, {}), ["one", "two"])
    assert verdict.quality.startswith(said) and verdict.intelligibility.startswith("two is understood better")


def test_what_is_understood_better_has_fewer_words_misheard():
    def heard(edits: int) -> dict:
        return {"wer": edits / 5, "edits": float(edits), "words": 5.0}

    values = {("one", f"u{n}"): heard(n % 2) for n in range(10)} | {("two", f"u{n}"): heard(2 + n % 2) for n in range(10)}
    values |= {("three", f"u{n}"): heard((n + 1) % 2) for n in range(10)}
    found = {(v.first, v.second): v.intelligibility for v in verdicts(evaluated(values), ["one", "two", "three"])}
    assert found["one", "two"] == "one is understood better (wer -0.400 [-0.400, -0.400])"
    assert found["two", "three"].startswith("three is understood better")
    assert found["one", "three"].startswith("not told apart")


def test_a_difference_of_two_systems_is_paired_and_knows_its_sentences():
    values = {("one", f"u{n}"): {"good": 10.0 * n} for n in range(8)}
    values |= {("two", f"u{n}"): {"good": 10.0 * n + 2} for n in range(6)}
    found = evaluated(values).difference("good", "one", "two")
    assert (found.mean, found.low, found.high, found.n) == pytest.approx((-2, -2, -2, 6))
    assert evaluated(values).difference("good", "one", "nobody") is None


def test_a_value_that_is_no_number_is_a_failure():
    results = evaluated({("voice", "u1"): {"good": math.nan}, ("voice", "u2"): {"good": 1.0}})
    assert results.estimates()["voice"]["good"].n == 1
    assert "not a number" in results.of("voice")[0].failures["fixed"]


def test_what_is_written_can_be_read_again(tmp_path):
    results = evaluated({("recordings", "u1"): {"good": 1.0}, ("voz ñ", "u1"): {"good": 2.5}})
    results.card = {"synthetic": True, "sentences": 1}
    results.write(tmp_path)
    rows = [Row(**json.loads(line)) for line in (tmp_path / "rows.jsonl").read_text(encoding="utf-8").splitlines()]
    assert rows == results.rows
    summary = json.loads((tmp_path / "summary.json").read_text(encoding="utf-8"))
    assert summary["synthetic"] is True
    assert summary["systems"]["voz ñ"]["metrics"]["good"]["mean"] == 2.5
    assert summary["metrics"]["good"] == dataclasses.asdict(METRICS["good"])


def test_the_table_and_the_page_show_every_system_and_failure(tmp_path):
    values = {("recordings", "u1"): {"good": 1.0}, ("recordings", "u2"): {"good": 2.0},
              ("voice", "u1"): {"good": 2.0}, ("voice", "u2"): Failure("<b>odd</b>")}
    results = evaluated(values)
    results.card = {"synthetic": True, "sentences": 2}
    shown = table(results)
    assert "good, dB" in shown
    assert "n=1" in shown
    page = render(results, tmp_path)
    assert "synthetic" in page
    assert "&lt;b&gt;odd&lt;/b&gt;" in page
    assert "<b>odd" not in page
    assert "words of u1" in page
    assert "<polyline" not in page  # nothing was measured of melodies and variances
    assert page.count("<script") == 1
    assert "http" not in page.replace("http-equiv", "")


def test_the_page_draws_f0_of_voice_and_recording_and_the_flatness_of_systems(tmp_path):
    values = {(system, f"u{n}"): {"good": float(n)} for system in ("recordings", "voice") for n in range(3)}
    results = evaluated(values)
    rising = np.concatenate([np.zeros(4), np.linspace(100, 200, 40), np.zeros(4), np.full(20, 150.0)])
    results.melodies = {("voice", f"u{n}"): (rising, rising * 1.1) for n in range(3)}
    results.ratios = {("voice", f"u{n}"): np.where(np.arange(80) == 3, np.nan, 0.25) for n in range(3)}
    results.trained_on = ["Somebody: telephone speech"]
    page = render(results, tmp_path)
    melodies = page.split('aria-label="F0 over time')[1:]
    assert len(melodies) == 3 and all(melody.split("</svg>")[0].count("<polyline") == 4 for melody in melodies)  # two runs each
    points = [tuple(map(float, point.split(","))) for point in melodies[0].split('points="')[1].split('"')[0].split()]
    assert [x for x, _ in points] == sorted(x for x, _ in points) and points[0][1] > points[-1][1]  # it rises
    curve = page.split('aria-label="Variance')[1].split("<polyline")[1].split('points="')[1].split('"')[0].split()
    assert len(curve) == 79 and len({point.split(",")[1] for point in curve}) == 1  # the empty bin is left out, all are alike
    assert "telephone speech" in page


def test_peers_are_compared_with_nobody(tmp_path):
    values = {(system, f"u{n}"): {"good": float(n)} for system in ("recordings", "voice", "other") for n in range(3)}
    results = evaluated(values)
    results.card = {"checkpoints": {"voice": "final.pt"}}
    compared = render(results, tmp_path).split('id="verdicts"')[1].split("</table>")[0]
    assert "recordings / voice" in compared and "other /" not in compared and "/ other" not in compared
    assert "other: perhaps another speaker" in compared
