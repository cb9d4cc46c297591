"""What each dialect keeps apart and what it lets fall together: minimal pairs."""

import pytest

from chatterbox_es.errors import UserError
from chatterbox_es.text import DIALECTS, FrontEnd

SESEO = sorted(set(DIALECTS) - {"castilian"})
FRONT_ENDS = {name: FrontEnd(name) for name in DIALECTS}


def said(text: str, dialect: str = "castilian") -> str:
    """The phones of a text, its ends left out."""
    return " ".join(FRONT_ENDS[dialect].read(text).phonemes[1:-1])


def test_the_dialects_are_those_of_every_command():
    assert sorted(DIALECTS) == ["andalusian", "caribbean", "castilian", "latin_american", "mexican", "rioplatense"]


def test_an_unknown_dialect_names_the_known_ones():
    with pytest.raises(UserError, match="klingon.*castilian.*andalusian"):
        FrontEnd("klingon")


def test_casa_and_caza_differ_in_castilian_only():
    assert said("casa") == "k ˈa s a"
    assert said("caza") == "k ˈa θ a"
    for dialect in SESEO:
        assert said("casa", dialect) == said("caza", dialect)


@pytest.mark.parametrize("pair", [("halla", "haya"), ("valla", "vaya"), ("pollo", "poyo")])
def test_ll_and_y_differ_in_castilian_only(pair):
    left, right = pair
    assert said(left) != said(right)
    for dialect in SESEO:
        assert said(left, dialect) == said(right, dialect)


def test_rioplatense_says_ll_and_y_as_sh_but_not_hie():
    assert said("calle", "rioplatense") == "k ˈa ʃ e"
    assert said("yo", "rioplatense") == "ʃ ˈo"
    assert said("hierba", "rioplatense") == "j ˈe ɾ β a"
    assert said("yerba", "rioplatense") == "ʃ ˈe ɾ β a"
    assert said("rey", "rioplatense") == "r ˈe ɪ"


def test_voseo_stays_as_it_is_written():
    assert said("vos tenés", "rioplatense") == "b ˈo s t e n ˈe s"
    assert said("vení", "rioplatense") == "b e n ˈi"


@pytest.mark.parametrize("dialect", ["caribbean", "andalusian"])
def test_s_is_aspirated_at_the_end_of_a_syllable_only(dialect):
    assert said("casas", dialect) == "k ˈa s a h"
    assert said("isla", dialect) == "ˈi h l a"
    assert said("esto", dialect) == "ˈe h t o"
    assert said("sol", dialect) == "s ˈo l"
    assert said("luz", dialect) == "l ˈu h"
    assert said("jefe", dialect) == "h ˈe f e"


def test_caribbean_ends_words_in_a_velar_n_and_andalusian_does_not():
    assert said("pan", "caribbean") == "p ˈa ŋ"
    assert said("un beso", "caribbean") == "ˈu m b ˈe s o"
    assert said("pan", "andalusian") == "p ˈa n"


@pytest.mark.parametrize("dialect", DIALECTS)
def test_pero_and_perro_ley_and_rey_differ_everywhere(dialect):
    assert said("pero sí", dialect) != said("perro sí", dialect)
    assert said("caro", dialect).replace("ɾ", "r") == said("carro", dialect)
    assert said("ley", dialect) == said("rey", dialect).replace("r", "l")


@pytest.mark.parametrize("dialect", DIALECTS)
def test_h_is_silent(dialect):
    assert said("ahora", dialect) == said("aora", dialect)
    assert said("hola", dialect) == said("ola", dialect)


@pytest.mark.parametrize(
    ("word", "castilian", "latin_american"),
    [
        ("México", "m ˈe x i k o", "m ˈe x i k o"),
        ("mexicanas", "m e x i k ˈa n a s", "m e x i k ˈa n a s"),
        ("Texas", "t ˈe x a s", "t ˈe x a s"),
        ("excepción", "e k s θ e p θ j ˈo n", "e k s e p s j ˈo n"),
        ("guion", "ɡ j ˈo n", "ɡ j ˈo n"),
        ("xilófono", "s i l ˈo f o n o", "s i l ˈo f o n o"),
        ("examen", "e k s ˈa m e n", "e k s ˈa m e n"),
        ("whisky", "w ˈi s k i", "w ˈi s k i"),
        ("piscina", "p i s θ ˈi n a", "p i s ˈi n a"),
        ("muy", "m ˈu ɪ", "m ˈu ɪ"),
        ("pingüino", "p i ŋ ɡ w ˈi n o", "p i ŋ ɡ w ˈi n o"),
        ("guerra", "ɡ ˈe r a", "ɡ ˈe r a"),
        ("alrededor", "a l r e ð e ð ˈo ɾ", "a l r e ð e ð ˈo ɾ"),
        ("chico", "tʃ ˈi k o", "tʃ ˈi k o"),
        ("deshacer", "d e s a θ ˈe ɾ", "d e s a s ˈe ɾ"),
        ("subrayar", "s u β r a ʝ ˈa ɾ", "s u β r a ʝ ˈa ɾ"),
        ("hueso", "w ˈe s o", "w ˈe s o"),
        ("averigüéis", "a β e ɾ i ɣ w ˈe ɪ s", "a β e ɾ i ɣ w ˈe ɪ s"),
        ("reír", "r e ˈi ɾ", "r e ˈi ɾ"),
        ("rápidamente", "r ˈa p i ð a m ˈe n t e", "r ˈa p i ð a m ˈe n t e"),
    ],
)
def test_words_are_said_as_the_academy_describes(word, castilian, latin_american):
    assert (said(word), said(word, "latin_american")) == (castilian, latin_american)


@pytest.mark.parametrize(
    ("text", "phones"),
    [
        ("la gata", "l a ɣ ˈa t a"),
        ("un gato", "ˈu ŋ ɡ ˈa t o"),
        ("un beso", "ˈu m b ˈe s o"),
        ("con vino", "k o m b ˈi n o"),
        ("a Diego", "a ð j ˈe ɣ o"),
        ("el día", "e l d ˈi a"),
        ("los dedos", "l o s ð ˈe ð o s"),
        ("un yate", "ˈu n dʒ ˈa t e"),
        ("sí, vino", "s ˈi , b ˈi n o"),
        ("¿Vino?", "¿ b ˈi n o ?"),
        ("club grande", "k l ˈu β ɣ ɾ ˈa n d e"),
    ],
)
def test_words_touch_as_in_speech(text, phones):
    assert said(text) == phones


def test_unstressed_words_carry_no_stress_and_others_do():
    assert said("de la casa") == "d e l a k ˈa s a"
    assert said("él dé té") == "ˈe l d ˈe t ˈe"
    assert said("tú y tu") == "t ˈu i t u"


@pytest.mark.parametrize(
    ("loan", "phones"),
    [
        ("hackear", "x a k e ˈa ɾ"),
        ("outlet", "ˈa ʊ t l e t"),
        ("skyline", "e s k ˈa ɪ l a ɪ n"),
        ("streaming", "e s t ɾ ˈi m i n"),
        ("plateau", "p l ˈa t o"),
        ("creed", "k ɾ e ˈe ð"),
        ("dirección", "d i ɾ e k θ j ˈo n"),
        ("váyannos", "b ˈa ʝ a n n o s"),
        ("Netflix", "n ˈe t f l i k s"),
    ],
)
def test_loans_and_words_that_look_like_them(loan: str, phones: str) -> None:
    assert said(loan) == phones
