"""The lexicon that a user extends with a file."""

import pytest

from chatterbox_es.errors import UserError
from chatterbox_es.text import FrontEnd


def said(front_end: FrontEnd, text: str) -> str:
    return " ".join(front_end.read(text).phonemes[1:-1])


def test_a_users_word_goes_before_the_shipped_one(tmp_path):
    path = tmp_path / "mine.tsv"
    path.write_text("# names\n\nWhisky\tgüisqui\nNguyen\tnuyén\nkeiko*\tqueico*\nxat\t/ˈtʃat/\n", encoding="utf-8")
    mine, shipped = FrontEnd(lexicon=path), FrontEnd()
    assert said(shipped, "whisky") == "w ˈi s k i"
    assert said(mine, "whisky") == "ɡ w ˈi s k i"
    assert said(mine, "Nguyen") == "n u ʝ ˈe n"
    assert said(mine, "keikos") == "k ˈe ɪ k o s"
    assert said(mine, "xat") == "tʃ ˈa t"
    assert said(mine, "software") == said(shipped, "software")


def test_a_row_can_hold_for_some_dialects(tmp_path):
    path = tmp_path / "mine.tsv"
    path.write_text("video\tvidéo\tlatin_american mexican\nvideo\tvídeo\tcastilian\n", encoding="utf-8")
    assert said(FrontEnd("mexican", lexicon=path), "video") == "b i ð ˈe o"
    assert said(FrontEnd("castilian", lexicon=path), "video") == "b ˈi ð e o"


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ("whisky", "field"),
        ("dos palabras\tdos", "one word"),
        ("w3b\tueb", "one word"),
        ("web\tu3b", "respelling"),
        ("web\t/wøb/", "ø"),
        ("web\tueb\tklingon", "klingon.*castilian"),
        ("web*\tueb", "respelling"),
    ],
)
def test_a_faulty_row_is_named_with_its_file(tmp_path, row, complaint):
    path = tmp_path / "mine.tsv"
    path.write_text(f"bien\tbién\n{row}\n", encoding="utf-8")
    with pytest.raises(UserError, match=rf"mine\.tsv, row 2: .*{complaint}"):
        FrontEnd(lexicon=path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match="nowhere.tsv"):
        FrontEnd(lexicon=tmp_path / "nowhere.tsv")


def test_a_file_that_is_not_text_is_named(tmp_path):
    path = tmp_path / "mine.tsv"
    path.write_bytes(b"\xff\xfe\x00w")
    with pytest.raises(UserError, match="mine.tsv.*UTF-8"):
        FrontEnd(lexicon=path)
