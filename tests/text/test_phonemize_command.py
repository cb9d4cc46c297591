"""The command, through the command line."""

import json
import subprocess
import sys


def phonemize(*arguments: str, given: str | bytes = "") -> subprocess.CompletedProcess:
    given = given.encode() if isinstance(given, str) else given
    command = [sys.executable, "-m", "chatterbox_es.phonemize", *arguments]
    done = subprocess.run(command, input=given, capture_output=True, check=False)
    done.stdout, done.stderr = done.stdout.decode(), done.stderr.decode()
    return done


def test_the_table_shows_every_stage():
    done = phonemize("text=¿Qué tal? Son 21 libros 😀.", "dialect=castilian")
    assert done.returncode == 0
    rows = dict(line.split(maxsplit=1) for line in done.stdout.splitlines() if not line.startswith("sentence"))
    assert rows["words"] == "¿qué tal? son veintiún libros."
    assert rows["phonemes"].startswith("<s> ¿ k ˈe t ˈa l ? s ˈo m b e ɪ n t j ˈu n")
    assert rows["cardinal"] == "21 → veintiún"
    assert rows["dropped"] == "😀 → (not said)"
    assert len(rows["ids"].split()) == len(rows["phonemes"].split())
    assert done.stdout.count("sentence ") == 2


def test_lines_of_standard_input_give_an_object_each():
    done = phonemize("format=json", "dialect=latin_american", given="caza\n\n3 m\n")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["text"] for row in rows] == ["caza", "", "3 m"]
    assert all(set(row) == {"text", "words", "phonemes", "ids", "spans"} for row in rows)
    assert rows[0]["phonemes"] == ["<s>", "k", "ˈa", "s", "a", "</s>"]
    assert rows[2]["spans"] == [{"written": "3 m", "spoken": "tres metros", "kind": "measure", "start": 0, "end": 3}]


def test_the_text_is_taken_as_it_stands():
    done = phonemize("text=a=b, [c] ${d} 'e'", "format=json")
    assert json.loads(done.stdout)["text"] == "a=b, [c] ${d} 'e'"


def test_locale_and_lexicon_change_the_reading(tmp_path):
    lexicon = tmp_path / "mine.tsv"
    lexicon.write_text("web\tgüeb\n", encoding="utf-8")
    done = phonemize("text=1.234 web", "format=json", "locale=es_MX", f"lexicon={lexicon}")
    row = json.loads(done.stdout)
    assert row["words"] == "uno punto veintitrés cuatro web"
    assert row["phonemes"][-5:] == ["ɣ", "w", "ˈe", "β", "</s>"] or row["phonemes"][-4:-1] == ["w", "ˈe", "b"]


def test_a_wrong_value_is_one_line_and_code_2():
    for argument, named in [
        ("dialect=klingon", "castilian"),
        ("format=xml", "json"),
        ("locale=en", "es_MX"),
        ("dialct=castilian", "dialect"),
        ("lexicon=/nowhere.tsv", "/nowhere.tsv"),
    ]:
        done = phonemize(argument, "text=hola")
        assert done.returncode == 2
        assert named in done.stderr and len(done.stderr.splitlines()) == 1
        assert "Traceback" not in done.stderr


def test_input_that_is_no_utf8_is_said_so():
    done = phonemize("format=json", given=b"hola\n\xff\xfe\n")
    assert done.returncode == 2
    assert json.loads(done.stdout)["words"] == "hola"
    assert "line 2" in done.stderr and "UTF-8" in done.stderr and "Traceback" not in done.stderr


def test_help_names_every_argument():
    done = phonemize("--help")
    assert done.returncode == 0
    assert all(
        name in done.stdout for name in ("text", "dialect", "format", "lexicon", "locale", "rioplatense", "es_MX")
    )
