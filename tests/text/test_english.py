"""English words in Spanish text, and English by itself, with Spanish phones."""

import pytest

from chatterbox_es.text import DIALECTS, FrontEnd, english

FRONT_ENDS = {name: FrontEnd(name) for name in DIALECTS}


def said(text: str, dialect: str = "castilian") -> str:
    return "".join(FRONT_ENDS[dialect].read(text).phonemes[1:-1])


@pytest.mark.parametrize(
    ("written", "phones"),
    [
        ("smartphone", "esmˈaɾfon"),
        ("YouTube", "ʝˈutuβ"),
        ("show", "ʃˈoʊ"),
        ("feedback", "fˈiðβak"),
        ("marketing", "mˈaɾketin"),
        ("Wi-Fi", "wˈifˈi"),
        ("iPhone", "aɪfˈon"),
        ("Shakespeare", "ʃˈeɪkspiɾ"),
        ("Washington", "wˈaʃinton"),
        ("networking", "nˈetwoɾkin"),
        ("the king of the road", "dekˈinofðerˈoʊð"),
    ],
)
def test_english_words_of_a_spanish_text_are_said_as_english(written: str, phones: str) -> None:
    assert said(written) == phones


@pytest.mark.parametrize(
    ("word", "spanish"),
    [
        ("creencia", "kɾeˈenθja"),
        ("planes", "plˈanes"),
        ("come", "kˈome"),
        ("bastones", "bastˈones"),
        ("leed", "leˈeð"),
        ("zoo", "θˈoo"),
        ("opinion", "opˈinjon"),
        ("Puig", "pˈutʃ"),
        ("Etxeberria", "etʃeβˈerja"),
        ("Xunta", "ʃˈunta"),
        ("Wenceslao", "benθeslˈao"),
        ("Lourdes", "lˈuɾðes"),
    ],
)
def test_spanish_words_and_names_of_spain_are_not(word: str, spanish: str) -> None:
    assert said(word) == spanish


def test_letters_stay_letters() -> None:
    assert FRONT_ENDS["castilian"].read("la NBA y el FBI").words == "la n b a y el f b i"


@pytest.mark.parametrize(
    ("dialect", "smith"),
    [
        ("castilian", "esmˈiθ"),
        ("andalusian", "ehmˈih"),
        ("mexican", "esmˈit"),
        ("rioplatense", "esmˈit"),
        ("caribbean", "ehmˈit"),
    ],
)
def test_the_english_th_is_each_dialects_own(dialect: str, smith: str) -> None:
    assert said("Smith", dialect) == smith


def test_a_plural_or_possessor_is_said_as_its_word() -> None:
    assert said("networks") == said("network") + "s"
    assert said("Washington's") == said("Washington") + "s"


def test_a_users_word_goes_before_english(tmp_path) -> None:
    path = tmp_path / "mine.tsv"
    path.write_text("king\tquingo\nhappy\tjapi\n", encoding="utf-8")
    mine = FrontEnd(lexicon=path)
    assert "".join(mine.read("king").phonemes[1:-1]) == "kˈiŋɡo"
    assert "".join(mine.read_english("happy king").phonemes[1:-1]) == "xˈapi" + "kˈiŋɡo"


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("In 1984 & 2021", "in nineteen eighty four and twenty twenty one"),
        ("the 21st of 1905", "the twenty first of nineteen oh five"),
        ("$1,500 for 3.14%", "one thousand five hundred dollars for three point one four percent"),
        ("The FBI, U.S. and NASA", "the eff bee eye, you ess and nasa"),
        ("007 or 0", "zero zero seven or zero"),
        ("José's café", "jose's cafe"),
        ("1,000,000th", "one million th"),
        ("", ""),
    ],
)
def test_english_text_is_put_into_english_words(written: str, words: str) -> None:
    assert FRONT_ENDS["castilian"].read_english(written).words == words


def test_english_text_says_words_as_english_that_are_spanish_too() -> None:
    front_end = FRONT_ENDS["castilian"]
    assert "".join(front_end.read_english("come on").phonemes[1:-1]) == "kˈamon"
    assert "".join(front_end.read("come").phonemes[1:-1]) == "kˈome"


def test_what_english_text_cannot_say_is_reported() -> None:
    reading = FRONT_ENDS["castilian"].read_english("hi 東 there 😀")
    assert reading.words == "hi there"
    assert [(span.written, span.kind) for span in reading.unknown] == [("東", "dropped"), ("😀", "dropped")]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_english_word_of_the_list_has_symbols(dialect: str) -> None:
    listed = [row.split("\t")[0] for row in english.WORDS.read_text(encoding="utf-8").splitlines() if row[:1] != "#"]
    reading = FRONT_ENDS[dialect].read_english(" ".join(listed))
    assert len(reading.ids) == len(reading.phonemes) > 2 * len(listed) > 8000
