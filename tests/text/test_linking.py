"""Words touch as espeak-ng's `es` lets them touch, on its own output for whole phrases."""

import pytest

from chatterbox_es.text import FrontEnd

PHRASES = [
    "la gata", "un gato", "un beso", "con vino", "a Diego", "un yate", "los dedos", "tres vacas", "mi amigo bueno",
    "dice gota", "en casa", "sin pan", "qué bien", "su perro rojo", "casa azul", "un hueso",
]  # fmt: skip


@pytest.fixture(scope="module")
def espeak():
    loader = pytest.importorskip("espeakng_loader")
    wrapper = pytest.importorskip("phonemizer.backend.espeak.wrapper").EspeakWrapper
    wrapper.set_library(loader.get_library_path())
    wrapper.set_data_path(loader.get_data_path())
    from phonemizer.backend import EspeakBackend

    return EspeakBackend("es")


@pytest.mark.parametrize("phrase", PHRASES)
def test_a_phrase_is_linked_as_espeak_links_it(espeak, phrase):
    (theirs,) = espeak.phonemize([phrase], strip=True)
    ours = "".join(FrontEnd("castilian").read(phrase).phonemes[1:-1]).replace("ˈ", "")
    assert ours == theirs.replace(" ", "").replace("ɛ", "e")
