"""The symbol table keeps its meaning from voice to voice."""

import json

import pytest

from chatterbox_es.text import DIALECTS, FrontEnd, SymbolTable

# published numbers: a change here makes every trained voice babble
PUBLISHED = {"<pad>": 0, "<s>": 1, "</s>": 2, ".": 3, "?": 7, "a": 13, "ˈa": 18, "j": 23, "p": 27, "tʃ": 42, "r": 54}


def test_numbers_never_change():
    table = SymbolTable()
    assert {symbol: table.number[symbol] for symbol in PUBLISHED} == PUBLISHED
    assert len(table) == 8000
    assert len(table.in_use) == 55


def test_there_and_back():
    table = SymbolTable()
    assert table.ids_of(table.in_use) == tuple(range(len(table.in_use)))
    assert table.symbols_of(range(len(table.in_use))) == tuple(table.in_use)


def test_a_table_survives_json_and_keeps_its_digest():
    table = SymbolTable()
    again = SymbolTable.from_dict(json.loads(json.dumps(table.to_dict())))
    assert again == table and again.digest == table.digest
    longer = SymbolTable([*table.in_use, "ø"])
    assert longer.digest != table.digest


@pytest.mark.parametrize("symbols", [["<s>", "<pad>", "</s>"], ["<pad>", "<s>", "</s>", "a", "a"]])
def test_a_faulty_table_is_refused(symbols):
    with pytest.raises(ValueError):
        SymbolTable(symbols)


def test_what_the_table_does_not_hold_is_named():
    with pytest.raises(ValueError, match="ø"):
        SymbolTable().ids_of(["a", "ø"])
    with pytest.raises(ValueError, match="7999"):
        SymbolTable().symbols_of([7999])
    with pytest.raises(ValueError, match="-1"):
        SymbolTable().symbols_of([-1])


def test_every_dialect_shares_one_table():
    assert len({FrontEnd(dialect).table.digest for dialect in DIALECTS}) == 1


def test_one_token_a_phone():
    reading = FrontEnd().read("¿Qué tal, chico?")
    assert reading.phonemes == (
        "<s>", "¿", "k", "ˈe", "t", "ˈa", "l", ",", "tʃ", "ˈi", "k", "o", "?", "</s>",
    )  # fmt: skip
    assert reading.ids == FrontEnd().table.ids_of(reading.phonemes)
