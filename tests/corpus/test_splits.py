"""Splits: no text on both sides, the same sides in any order, sensible sizes."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatterbox_es.corpus import split_by_text
from chatterbox_es.errors import UserError


def texts(count: int) -> list[str]:
    return [f"la frase número {number}" for number in range(count)]


def sides(keys: list[str], **options) -> dict[str, str]:
    return dict(zip(keys, split_by_text(keys, **options), strict=True))


@given(st.lists(st.sampled_from([*texts(30), "¡La frase número 3!", "LA FRASE  NÚMERO 4"]), min_size=2, max_size=80))
def test_no_text_stands_on_both_sides(keys):
    if len({key.strip("¡!").casefold().replace("  ", " ") for key in keys}) < 2:
        with pytest.raises(UserError):
            split_by_text(keys)
        return
    split = split_by_text(keys)
    assert len(split) == len(keys) and set(split) == {"train", "validation"}
    held_out = {key for key, side in zip(keys, split, strict=True) if side == "validation"}
    bare = [
        {key.strip("¡!").casefold().replace("  ", " ") for key in part} for part in (held_out, set(keys) - held_out)
    ]
    assert not bare[0] & bare[1]


def test_the_order_of_rows_and_repeated_calls_do_not_matter():
    keys = texts(500)
    shuffled = random.Random(1).sample(keys, len(keys))
    assert sides(keys) == sides(shuffled) == sides(keys)
    assert sides(keys) != sides(keys, seed=1)


def test_a_growing_corpus_keeps_its_sides_but_for_the_border():
    before, after = sides(texts(1000)), sides(texts(1040))
    assert sum(after[text] != side for text, side in before.items()) <= 4


def test_a_known_split_stays_the_same():
    """Prepared sets of different machines and versions agree."""
    held_out = [number for number, side in enumerate(split_by_text(texts(20))) if side == "validation"]
    assert held_out == [6, 8, 11, 19]


@pytest.mark.parametrize(
    ("count", "held_out"),
    [(2, 1), (3, 1), (5, 1), (10, 2), (40, 8), (99, 19), (100, 20), (400, 20), (1000, 50), (4000, 200), (9000, 200)],
)
def test_sizes(count, held_out):
    assert split_by_text(texts(count)).count("validation") == held_out


def test_a_text_repeated_often_does_not_swallow_the_corpus():
    keys = ["hola"] * 900 + texts(100)
    split = sides(keys)
    assert split["hola"] == "train"
    assert 0 < split_by_text(keys).count("validation") <= 50
    assert sides(["uno"] * 30 + ["dos"] * 10) == {"uno": "train", "dos": "validation"}


@pytest.mark.parametrize("keys", [[], ["uno"], ["uno", "¡Uno!", "uno."]])
def test_one_text_cannot_be_split(keys):
    with pytest.raises(UserError, match="distinct text.*at least two"):
        split_by_text(keys)
