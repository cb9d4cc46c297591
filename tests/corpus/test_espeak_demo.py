"""The project's sentences and espeak-ng's corpus of them: what its sentences cover, and that making it is repeatable."""

import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import soundfile

from chatterbox_es.config import compose
from chatterbox_es.corpus import make_espeak_corpus, read_corpus, read_folder
from chatterbox_es.corpus.espeak_demo import Sentence, read_sentences
from chatterbox_es.dataset.preparation.prepare import prepare
from chatterbox_es.errors import UserError

FEW = [Sentence(text, text) for text in ("Hola, ¿qué tal estás?", "La zorra cazó seis cigüeñas.", "Gracias.")]

CLUSTERS = {
    6: "pr br tr dr cr gr fr pl bl cl gl fl ñ ll rr ch cc x gue gui que qui güe cc ns ct bs nc nf nv ng mb mp st sp sc "
    "rt rc rd rn rm rs lt ld lm rl ai ei au eu ia ie io iu ua ue uo ay ey oy uy aí aú ea eo oa ía ío ye yo ya hie hue",
    3: "güi pt gn mn ps sm sf sg sb nr ls dm tl sl oi ou oe ae ao eí oí úa áis ahu ohi",
}
VOWELS = {*"aeiou", "ˈa", "ˈe", "ˈi", "ˈo", "ˈu"}
PHONES = VOWELS | {*"jwpbβtdðkɡɣmnŋɲfθsxʝʎlɾr", "tʃ"}


def _files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_sentences_are_many_unique_and_well_formed():
    sentences = read_sentences()
    assert len(sentences) >= 400
    identities = Counter(tuple(re.findall(r"\w+", sentence.spoken.lower())) for sentence in sentences)
    assert identities.most_common(1)[0][1] == 1
    for text, spoken in sentences:
        assert text[-1] in ".!?", text
        assert text.count("¿") == text.count("?") and text.count("¡") == text.count("!"), text
        assert not re.search(r"[^a-záéíóúüñ ¿?¡!.,;:]", spoken, re.IGNORECASE), spoken


def test_sentences_are_short_and_long_asked_exclaimed_and_numbered():
    sentences = read_sentences()
    words = [len(sentence.spoken.split()) for sentence in sentences]
    assert sum(count <= 3 for count in words) >= 30
    assert sum(count >= 25 for count in words) >= 15
    assert sum("?" in sentence.text for sentence in sentences) >= 40
    assert sum("!" in sentence.text for sentence in sentences) >= 25
    assert sum(bool(re.search(r"\d", sentence.text)) for sentence in sentences) >= 30


@pytest.mark.parametrize(
    ("least", "cluster"), [(n, cluster) for n, all_ in CLUSTERS.items() for cluster in all_.split()]
)
def test_sentences_hold_every_common_cluster(least, cluster):
    count = sum(sentence.spoken.lower().count(cluster) for sentence in read_sentences())
    assert count >= least


def test_sentences_hold_every_phone_in_many_neighbourhoods():
    front_end = pytest.importorskip("chatterbox_es.text").FrontEnd(dialect="castilian")
    counts: Counter[str] = Counter()
    neighbours: dict[str, set] = {}
    for sentence in read_sentences():
        phonemes = front_end.read(sentence.spoken).phonemes
        counts.update(phonemes)
        for before, phone, after in zip(phonemes, phonemes[1:], phonemes[2:], strict=False):
            neighbours.setdefault(phone, set()).add((before, after))
    assert {phone: counts[phone] for phone in PHONES if counts[phone] < 20} == {}
    assert {phone for phone in PHONES if len(neighbours[phone]) < 8} == set()


def test_espeak_corpus_is_the_same_byte_for_byte_whatever_was_said_before(tmp_path):
    make_espeak_corpus(tmp_path / "one", sentences=FEW)
    make_espeak_corpus(tmp_path / "other", dialect="latin_american", sentences=FEW)
    make_espeak_corpus(tmp_path / "two", sentences=FEW)
    one, other, two = (_files(tmp_path / name) for name in ("one", "other", "two"))
    assert one == two
    assert one["metadata.csv"] == other["metadata.csv"]
    assert one["wavs/demo_0002.wav"] != other["wavs/demo_0002.wav"]  # z is /θ/ in one, /s/ in the other


def test_espeak_corpus_is_a_corpus_that_says_it_is_synthetic(tmp_path):
    make_espeak_corpus(tmp_path / "demo", sentences=[*FEW, Sentence("Son 3.", "Son tres.")])
    utterances, faults = read_folder(tmp_path / "demo")
    assert faults == []
    assert [utterance.text for utterance in utterances] == [*(sentence.text for sentence in FEW), "Son 3."]
    assert utterances[3].spoken == "Son tres."
    for utterance in utterances:
        assert 0.3 < soundfile.info(utterance.audio).duration < 10
    assert "SYNTHETIC" in (tmp_path / "demo" / "SYNTHETIC.txt").read_text(encoding="utf-8")


def test_espeak_corpus_is_kept_once_made(tmp_path):
    folder = tmp_path / "new" / "demo"
    make_espeak_corpus(folder, sentences=FEW)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    make_espeak_corpus(folder, sentences=FEW)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
    assert list((tmp_path / "new").iterdir()) == [folder]


def test_espeak_corpus_that_fails_half_way_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError, match="said nothing"):
        make_espeak_corpus(tmp_path / "demo", sentences=[*FEW, Sentence("", "")])
    assert list(tmp_path.iterdir()) == []


def test_espeak_corpus_asked_for_twice_at_once_is_made_once(tmp_path):
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: make_espeak_corpus(tmp_path / "demo", sentences=FEW), range(2)))
    assert len(list((tmp_path / "demo" / "wavs").iterdir())) == len(FEW)
    assert [path.name for path in tmp_path.iterdir()] == ["demo"]


def test_espeak_corpus_refuses_an_unknown_dialect_and_a_folder_that_is_none_of_its_own(tmp_path):
    with pytest.raises(UserError, match="martian.*castilian"):
        make_espeak_corpus(tmp_path / "demo", dialect="martian")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(UserError, match="not empty"):
        make_espeak_corpus(tmp_path / "mine", sentences=FEW)
    with pytest.raises(UserError, match="not empty"):
        make_espeak_corpus(tmp_path / "mine" / "thesis.txt", sentences=FEW)
    make_espeak_corpus(tmp_path / "demo", sentences=FEW)
    with pytest.raises(UserError, match="another dialect"):
        make_espeak_corpus(tmp_path / "demo", dialect="latin_american", sentences=FEW)


@pytest.mark.parametrize("dialect", ["castilian", "mexican"])
def test_data_espeak_is_made_read_and_prepared_as_synthetic_in_a_dialect(dialect, tmp_path):
    make_espeak_corpus(tmp_path / "outputs/demo_corpus" / dialect, dialect, [*FEW, Sentence("Son 3.", "Son tres."),
                                                                              Sentence("Adiós.", "Adiós.")])
    config = compose(["data=espeak", f"data.dialect={dialect}", f"outputs={tmp_path}/outputs", "data.workers=1",
                      f"data.prepared={tmp_path}/prepared"])
    assert [found.spoken for found in read_corpus(config.data)][2:] == ["Gracias.", "Son tres.", "Adiós."]
    features = prepare(config)
    assert (len(features), features.card["synthetic"], features.card["dialect"]) == (5, True, dialect)
    assert features.folder.name.startswith("espeak-")
