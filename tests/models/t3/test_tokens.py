"""Spanish in Chatterbox's vocabulary, compared with the published tokeniser on the same file; dialect tags."""

import ast
import json
import unicodedata

import pytest
from tokenizers import Tokenizer
from tokenizers.models import BPE

from chatterbox_es.errors import UserError
from chatterbox_es.models.t3.network import START_TEXT, STOP_TEXT
from chatterbox_es.models.t3.tokens import TextTokens, punctuated, tagged_vocabulary
from chatterbox_es.text import FrontEnd

SENTENCES = (
    "¿Qué tal, Juan? Vino a las 15:30… y dijo: «¡No!» — luego se fue (tarde); fin", "El niño bebió 3 cigüeñas",
    "Hola", "una cosa - otra...", "«Sí»", "¡Ay! ¿Y eso?!", "San José, 5 % de 3.000 €", "dos  espacios ,y coma", "año",
)  # fmt: skip


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory):
    """A small vocabulary with the published special tokens: 255 starts, 0 stops, and some ids are free."""
    letters = "abcdefghijklmnopqrstuvwxyz0123456789.,!?-'\"¿¡" + unicodedata.normalize("NFKD", "éñü")[1::2]
    vocab = {"[STOP]": 0, "[UNK]": 1, "[SPACE]": 2, "[START]": 255, "[es]": 10, "[fr]": 11}
    vocab |= {letter: 20 + n for n, letter in enumerate(dict.fromkeys(letters))}
    merges = [("q", "u"), ("qu", "e"), ("e", "s"), ("c", "i"), ("o", "s")]
    vocab |= {a + b: 100 + n for n, (a, b) in enumerate(merges)}
    tokenizer = Tokenizer(BPE(vocab, merges, unk_token="[UNK]"))
    tokenizer.add_special_tokens([token for token in vocab if token.startswith("[")])
    file = tmp_path_factory.mktemp("vocabulary") / "grapheme_mtl_merged_expanded_v1.json"
    tokenizer.save(str(file))
    return file


@pytest.fixture
def published(upstream, monkeypatch, vocabulary):
    """The published class on the same file; its table of Chinese characters is neither there nor needed."""
    module = upstream("tokenizers.tokenizer")

    def nothing(**_):
        raise OSError("not fetched in tests")

    monkeypatch.setattr(module, "hf_hub_download", nothing)
    return module.MTLTokenizer(str(vocabulary))


@pytest.fixture(scope="module")
def punc_norm(upstream):
    """The published rules for punctuation, from their source: the module around them needs all that sound needs."""
    tree = ast.parse((upstream.folder / "mtl_tts.py").read_text(encoding="utf-8"))
    function = next(node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "punc_norm")
    scope: dict = {}
    exec(compile(ast.Module([function], []), "mtl_tts.py", "exec"), scope)
    return scope["punc_norm"]


def test_ids_are_the_published_ones_of_what_our_front_end_reads(vocabulary, published, punc_norm):
    tokens = TextTokens(vocabulary, FrontEnd())
    for sentence in SENTENCES:
        read = tokens.read(sentence)
        theirs = published.text_to_tokens(punc_norm(read.words), language_id="es")[0].tolist()
        assert read.ids == (START_TEXT, *theirs, STOP_TEXT), sentence
        assert not read.unknown and read.ids[1] == 10


def test_marks_are_the_published_ones_whatever_stands_there(punc_norm):
    for sentence in (*SENTENCES, "a…", "a: b; c", "“x” ‘y’ ’", "x—y – z", "fin -", "fin,", " a  .", "..a..."):
        assert punctuated(sentence).lower() == punc_norm(sentence).lower()


def test_numbers_are_read_before_they_are_tokenised(vocabulary):
    tokens = TextTokens(vocabulary)
    assert tokens.read("21 libros").ids == tokens.read("veintiún libros").ids != tokens.encode("21 libros").ids


def test_what_the_vocabulary_does_not_have_is_listed(vocabulary):
    assert TextTokens(vocabulary).encode("una ж y una ł").unknown == ("ж", "ł")


@pytest.mark.parametrize("nothing", ["", " ", "…", "?!", "😀"])
def test_nothing_to_say_is_an_error(nothing, vocabulary):
    with pytest.raises(UserError, match="nothing that can be said"):
        TextTokens(vocabulary).read(nothing)


def test_a_vocabulary_that_is_none_or_has_no_such_tag(vocabulary, tmp_path):
    with pytest.raises(UserError, match="no vocabulary"):
        TextTokens(tmp_path / "missing.json")
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(UserError, match="no vocabulary"):
        TextTokens(tmp_path / "broken.json")
    with pytest.raises(UserError, match=r"no \[es-mx\].*\[es\], \[fr\]"):
        TextTokens(vocabulary, tag="es-MX")


def test_dialect_tags_take_free_ids_and_change_no_other(vocabulary, published, upstream, tmp_path):
    content = json.loads(vocabulary.read_text(encoding="utf-8"))
    new, ids = tagged_vocabulary(content, ["es-ES", "[es-MX]", "es-419"], rows=300)
    assert ids == {"[es-es]": 3, "[es-mx]": 4, "[es-419]": 5}
    assert content == json.loads(vocabulary.read_text(encoding="utf-8"))
    file = tmp_path / "tagged.json"
    file.write_text(json.dumps(new), encoding="utf-8")
    plain, mexican = TextTokens(vocabulary), TextTokens(file, tag="es-MX")
    for sentence in SENTENCES:
        before, tagged = plain.read(sentence).ids, mexican.read(sentence).ids
        assert tagged == (START_TEXT, 4, *before[2:]) and TextTokens(file).read(sentence).ids == before
    # the published class takes the tag in the text, since it knows no such language
    theirs = upstream("tokenizers.tokenizer").MTLTokenizer(str(file))
    ids = theirs.encode("[es-MX]Hola, que tal.", language_id=None)
    assert mexican.encode("hola, que tal").ids == (START_TEXT, *ids, STOP_TEXT)


def test_tags_stand_behind_a_table_that_is_full(vocabulary):
    content = json.loads(vocabulary.read_text(encoding="utf-8"))
    for number in set(range(256)) - set(content["model"]["vocab"].values()):
        content["model"]["vocab"][f"x{number}"] = number
    _, ids = tagged_vocabulary(content, ["es-ES", "es-MX"], rows=256)
    assert list(ids.values()) == [256, 257]


@pytest.mark.parametrize("wrong", ["es", "hola que tal", "ES", "", "es_MX"])
def test_a_tag_that_is_none_or_is_there(wrong, vocabulary):
    with pytest.raises(UserError, match="tag|already"):
        tagged_vocabulary(json.loads(vocabulary.read_text(encoding="utf-8")), [wrong], 300)
