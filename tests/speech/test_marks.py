"""Marks in a text, SSML's and brackets: what is read, how it is told, what is refused; nothing is too odd or too slow."""

import contextlib
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatterbox_es import command_line
from chatterbox_es.errors import UserError
from chatterbox_es.mel_contract import MelContract
from chatterbox_es.speech.manner import Manner
from chatterbox_es.speech.speech import Speech
from chatterbox_es.speech.voice import LONG_MARKED, Voice
from chatterbox_es.synthesize import main
from chatterbox_es.text.script import Script

FRAMES, HOP = 12, 480  # of each token, at the usual speed; 20 ms a frame


class Reciter(Voice):
    """Says each token for twelve frames, in the same tone, and remembers in what manner."""

    def __init__(self, has_prosody: bool = True, speakers: tuple[str, ...] = ("ana", "luis"), knows_durations: bool = True):
        super().__init__(SimpleNamespace(front_end={"dialect": "castilian", "lexicon": ""}, contract=MelContract(),
                                         has_prosody=has_prosody, model={"speakers": speakers}), "reciter")
        self.has_prosody, self.knows_durations, self.speaker, self.said = has_prosody, knows_durations, "ana", []

    def as_speaker(self, speaker: str) -> "Reciter":
        other = Reciter(self.has_prosody, self.speakers)
        other.speaker, other.said = speaker, self.said
        return other

    def say(self, reading, manner: Manner, part: int = 0) -> Speech:
        self.said.append((self.speaker, reading, manner))
        durations = np.maximum(1, np.round(FRAMES / manner.of_tokens("speed", len(reading.ids)))).astype(np.int64)
        frames = int(durations.sum())
        durations = durations if self.knows_durations else np.zeros(0, np.int64)
        return Speech(reading, np.zeros((frames, 80), np.float32), durations, np.full(frames * HOP, 0.5, np.float32), 24_000)


def speak(inside: str, voice: Voice | None = None, **more) -> Speech:
    speech = (voice or Reciter()).speak(f"<speak>{inside}</speak>", **more)
    assert speech.durations.sum() == len(speech.mel) == len(speech.samples) / HOP
    assert len(speech.durations) == len(speech.reading.ids) == len(speech.reading.phonemes)
    return speech


def values(inside: str, name: str, has_prosody: bool = True) -> dict[str, float]:
    """What the manner says of each word."""
    voice = Reciter(has_prosody)
    speak(inside, voice)
    told = {}
    for _, reading, manner in voice.said:
        of_tokens = manner.of_tokens(name, len(reading.ids))
        for word in reading.spoken:
            assert np.ptp(of_tokens[word.first:word.last]) == 0
            told[word.word] = round(float(of_tokens[word.first]), 3)
    return told


@pytest.mark.parametrize(("inside", "words"), [
    ("Hola.", "hola."),
    ("", None),
    ("Tom &amp; Jerry, &#241;u &#xf1;u &lt; &quot;x&quot;", "tom y jerry, ñu ñu menor que x"),
    ("<![CDATA[3 < 5]]>", "tres menor que cinco"),
    ("Hola <!-- nada --> mundo", "hola mundo"),
    ("ho<prosody>la</prosody>", "hola"),
    ("Son <emphasis>21</emphasis> libros", "son veintiún libros"),
    ("Son 21\n   <emphasis>casas</emphasis>", "son veintiuna casas"),
    ("Una<break/>dos", "una, dos"),
    ("Una <break/> dos", "una, dos"),
    ("Una, <break/>dos", "una, dos"),
    ("Una<break/>, dos", "una, dos"),
    ("Una.<break/> Dos", "una. dos"),
    ("<break/>Una<break/>", "una"),
    ("Una<break strength='none'/> dos", "una dos"),
    ("<s>Una</s><s>dos</s>", "una. dos."),
    ("<p><s>Una.</s> <s>¿Dos?</s></p>", "una. ¿dos?"),
    ("<p>Una</p>dos", "una. dos"),
    ("<sub alias='World Wide Web Consortium'>W3C</sub>", "world wide web consortium"),
    ("el <sub alias='21'>x</sub> de marzo", "el veintiuno de marzo"),
    ("<say-as interpret-as='characters'>AB3</say-as>", "a, be, tres"),
    ("<say-as interpret-as='characters'>ñ-é€</say-as>", "eñe, guion, e, euros"),
    ("<say-as interpret-as='spell-out'>wq</say-as>", "uve doble, cu"),
    ("<say-as interpret-as='cardinal'>1234</say-as>", "mil doscientos treinta y cuatro"),
    ("<say-as interpret-as='cardinal'>1.234</say-as>", "mil doscientos treinta y cuatro"),
    ("<say-as interpret-as='cardinal'>-5</say-as>", "menos cinco"),
    ("<say-as interpret-as='ordinal'>3</say-as>", "tercero"),
    ("la <say-as interpret-as='ordinal'>3ª</say-as>", "la tercera"),
    ("el <say-as interpret-as='ordinal'>3er</say-as> día", "el tercer día"),
    ("<say-as interpret-as='date' format='dmy'>1/2/2024</say-as>", "primero de febrero de dos mil veinticuatro"),
    ("<say-as interpret-as='date' format='mdy'>1/2/2024</say-as>", "dos de enero de dos mil veinticuatro"),
    ("<say-as interpret-as='date'>2024-02-03</say-as>", "tres de febrero de dos mil veinticuatro"),
    ("<say-as interpret-as='date' format='ym'>2024-02</say-as>", "febrero de dos mil veinticuatro"),
    ("<say-as interpret-as='date' format='dm'>5/6</say-as>", "cinco de junio"),
    ("<say-as interpret-as='telephone'>91 234-56</say-as>", "nueve uno, dos tres cuatro, cinco seis"),
    ("<say-as interpret-as='telephone'>+34 600</say-as>", "más tres cuatro, seis cero cero"),
    ("<phoneme alphabet='ipa' ph='ˈxeɾsei'>jersey</phoneme>", "jersey"),
    ("<lang xml:lang='en'>The come of 1984.</lang>", "the come of nineteen eighty four."),
    ("<voice name='ana'>Una</voice>", "una."),
    ("Una <foo bar='1'>dos</foo> <baz/>tres", "una dos tres"),
])
def test_what_is_read(inside, words):
    if words is None:
        with pytest.raises(UserError, match="can be spoken"):
            speak(inside)
    else:
        assert speak(inside).reading.words == words


@pytest.mark.parametrize(("inside", "phones"), [
    ("<phoneme alphabet='ipa' ph='ˈxeɾsei'>jersey</phoneme>", "xˈeɾsei"),
    ("un <phoneme ph='ˈbeso'>x</phoneme> de", "ˈum bˈeso ðe"),  # given sounds stay; those beside them hear them
    ("<lang xml:lang='en-GB'>come</lang> come", "kˈam kˈome"),
    ("<lang xml:lang='en'>come <lang xml:lang='es'>come</lang></lang>", "kˈam kˈome"),
    ("<lang xml:lang='en'><sub alias='come'>x</sub></lang>", "kˈam"),
])
def test_with_which_phones(inside, phones):
    reading = speak(inside).reading
    assert " ".join("".join(reading.phonemes[word.first:word.last]) for word in reading.spoken) == phones


def test_the_whole_document_may_be_english():
    reading = Reciter().speak('<?xml version="1.0"?>\n<speak xml:lang="en">come</speak>').reading
    assert reading.phonemes[1:-1] == ("k", "ˈa", "m")


@pytest.mark.parametrize(("inside", "name", "expected"), [
    ("<prosody rate='slow'>una</prosody> dos", "speed", {"una": 0.75, "dos": 1}),
    ("<prosody rate='80%'>una</prosody> dos", "speed", {"una": 0.8, "dos": 1}),
    ("<prosody rate='+20%'>una</prosody>", "speed", {"una": 1.2}),
    ("<prosody rate='1.5'>una <prosody rate='2'>dos</prosody></prosody>", "speed", {"una": 1.5, "dos": 3}),
    ("<prosody pitch='+2st'>una</prosody> dos", "pitch", {"una": 2, "dos": 0}),
    ("<prosody pitch='x-low'>una <prosody pitch='high'>dos</prosody></prosody>", "pitch", {"una": -6, "dos": -3}),
    ("<prosody pitch='+100%'>una</prosody>", "pitch", {"una": 12}),
    ("una <emphasis level='strong'>dos</emphasis>", "pitch", {"una": 0, "dos": 2}),
    ("una <emphasis>dos</emphasis>", "energy", {"una": 0, "dos": 2}),
    ("<emphasis>una <emphasis level='none'>dos</emphasis></emphasis>", "speed", {"una": 0.9, "dos": 1}),
    ("<emphasis level='reduced'>una</emphasis>", "energy", {"una": -3}),
    ("En <prosody rate='2'>1984</prosody> no", "speed",
     {"en": 1, **dict.fromkeys(["mil", "novecientos", "ochenta", "y", "cuatro"], 2), "no": 1}),
])
def test_how_it_is_told(inside, name, expected):
    assert values(inside, name) == expected


def test_rate_multiplies_the_speed_and_pitch_adds_to_the_manner():
    voice = Reciter()
    speak("<prosody rate='2' pitch='+1st'>una</prosody>", voice, speed=0.5, manner=Manner(pitch=3))
    assert (voice.said[0][2].speed, voice.said[0][2].pitch) == (1.0, 4.0)


@pytest.mark.parametrize(("volume", "factor"), [
    ("+6dB", 10 ** 0.3), ("-20dB", 0.1), ("soft", 10 ** -0.3), ("silent", 0), ("50", 0.5), ("0", 0), ("medium", 1)])
def test_volume_is_a_gain_of_its_words(volume, factor):
    speech = speak(f"una <prosody volume='{volume}'>casa</prosody> dos")
    times = {word.word: (word.start, word.end) for word in speech.times.words}
    heard = {word: float(np.median(speech.samples[int(start * 24_000):int(end * 24_000)]))
             for word, (start, end) in times.items()}
    assert np.abs(speech.samples).max() <= 1
    assert heard["una"] == pytest.approx(heard["dos"])
    assert heard["casa"] == pytest.approx(factor * heard["una"], abs=1e-6)
    assert np.abs(np.diff(speech.samples)).max() < 0.01  # no click


def test_emphasis_is_loudness_where_a_voice_knows_no_effort():
    samples = speak("una <emphasis level='strong'>casa</emphasis>", Reciter(has_prosody=False)).samples
    assert samples.max() == pytest.approx(0.5 * 10 ** 0.2)


@pytest.mark.parametrize(("inside", "seconds"), [
    ("una<break time='1500ms'/>dos", 1.5), ("una<break time='1.5s'/>dos", 1.5), ("una.<break time='2s'/> dos", 2),
    ("una <break/>dos", 0.4), ("una <break strength='x-strong'/>dos", 1.2),
    ("una <break time='1s'/><break time='2s'/> dos", 2), ("<s>una</s><break time='3s'/><s>dos</s>", 3),
    ("una<break time='100ms'/>dos", FRAMES * 0.02),  # the comma's own is longer
    ("una <break time='0s'/>dos", 0),
])
def test_a_break_is_as_long_as_it_says_to_a_frame(inside, seconds):
    speech = speak(inside)
    una, dos = speech.times.words
    assert dos.start - una.end == pytest.approx(seconds, abs=0.0101)
    assert speech.times.phones[-1].end == pytest.approx(len(speech.samples) / 24_000)
    if seconds > 0.5:
        middle = int((una.end + dos.start) / 2 * 24_000)
        assert not speech.samples[middle - 2400:middle + 2400].any()
        assert np.abs(np.diff(speech.samples)).max() < 0.01


def test_breaks_at_both_ends():
    speech = speak("<break time='1s'/>una<break time='2s'/>")
    word, = speech.times.words
    assert word.start == pytest.approx(1)
    assert len(speech.samples) / 24_000 - word.end == pytest.approx(2)


def test_speakers_take_turns():
    voice = Reciter()
    speech = speak("Una. <voice name='luis'>Dos <break time='1s'/>tres</voice> cuatro", voice)
    assert [(speaker, reading.words) for speaker, reading, _ in voice.said] == [
        ("ana", "una."), ("luis", "dos, tres."), ("ana", "cuatro")]
    assert [word.written for word in speech.times.words] == ["Una", "Dos", "tres", "cuatro"]


@pytest.mark.parametrize(("inside", "note"), [
    ("<foo>una</foo>", "<foo> is not known"),
    ("<amazon:effect name='x'>una</amazon:effect>", "<amazon:effect> is not known"),
    ("<prosody contour='x'>una</prosody>", "<prosody contour=…> is not known"),
    ("<say-as interpret-as='currency'>una</say-as>", 'interpret-as="currency"'),
    ("<say-as interpret-as='date'>una</say-as>", "is none"),
    ("<say-as interpret-as='cardinal'>una</say-as>", "is none"),
    ("<phoneme alphabet='x-sampa' ph='a'>una</phoneme>", 'alphabet="x-sampa"'),
    ("<lang xml:lang='fr'>una</lang>", 'xml:lang="fr"'),
    ("<sub alias='una'>x<b>y</b></sub>", "<b> is left out inside of <sub>"),
    ("<?php x ?>una", "<?php?>"),
])
def test_what_is_not_known_is_said_and_not_spoken(inside, note):
    reading = speak(inside).reading
    assert reading.words == "una"
    assert len(reading.notes) == 1 and note in reading.notes[0]


@pytest.mark.parametrize(("inside", "said"), [
    ("<break time='1 hour'/>a", "500ms"),
    ("<break time='11s'/>a", "0 to 10 s"),
    ("<break time='-1s'/>a", "500ms"),
    ("<break strength='huge'/>a", "x-strong"),
    ("<prosody rate='0'>a</prosody>", "0.1 to 10"),
    ("<prosody rate='quick'>a</prosody>", "x-fast"),
    ("<prosody rate='5'><prosody rate='5'>a</prosody></prosody>", "speed="),
    ("<prosody pitch='+30st'>a</prosody>", "-24 to 24"),
    ("<prosody pitch='-100%'>a</prosody>", "-24 to 24"),
    ("<prosody pitch='120Hz'>a</prosody>", "semitones"),
    ("<prosody volume='101'>a</prosody>", "0 to 100"),
    ("<prosody volume='+99dB'>a</prosody>", "-60 to 20"),
    ("<emphasis level='much'>a</emphasis>", "strong, moderate, none, reduced"),
    ("<phoneme ph='øy'>a</phoneme>", "'ø' is no phone"),
    ("<phoneme>a</phoneme>", 'needs ph="…"'),
    ("<sub>a</sub>", 'needs alias="…"'),
    ("<say-as>a</say-as>", 'needs interpret-as="…"'),
    ("<say-as interpret-as='date' format='dym'>1</say-as>", "dmy, mdy"),
    ("<voice name='eva'>a</voice>", "ana, luis"),
    ("<b>a", "line 1, column"),
    ("a & b", "&amp;"),
    ("a < b", "marks=none"),
    ("&nbsp;", "undefined entity"),
    ("\x00", "line 1"),
    ("\ud800", "no character of Unicode"),
    ("<s>" * 100 + "a" + "</s>" * 100, "64 elements"),
    ("a</speak><speak>", "junk"),
])
def test_what_is_wrong_is_said(inside, said):
    with pytest.raises(UserError, match=".") as error:
        speak(inside)
    assert said in str(error.value)


@pytest.mark.parametrize("subset", [
    "", "[<!ENTITY a 'b'>]", "[<!ENTITY a SYSTEM 'file:///etc/passwd'>]", "SYSTEM 'http://127.0.0.1/x.dtd'",
    "[<!ENTITY a 'aaaaaaaaaa'><!ENTITY b '&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;'>]",
    "[<!ENTITY % a SYSTEM 'file:///etc/passwd'> %a;]",
])
def test_no_document_type_is_taken(subset, monkeypatch):
    monkeypatch.setattr("builtins.open", lambda *a, **k: pytest.fail("a file was opened"))
    with pytest.raises(UserError, match="DOCTYPE"):
        Script(f"<!DOCTYPE speak {subset}><speak>&a;</speak>", FRONT_END, "ssml")


ANYBODY = Reciter()  # one for many texts: each reads its words anew
FRONT_END = ANYBODY.front_end


@pytest.mark.parametrize(("text", "words"), [
    ("3 < 5", "tres menor que cinco"), ("a <speak>", None), ("<b>hola</b>", "hola"), ("<speaker>hola", None)])
def test_a_text_that_does_not_begin_so_is_no_ssml(text, words):
    reading = Reciter().speak(text).reading
    assert reading == FRONT_END.read(text)
    assert words is None or reading.words == words


def test_marks_say_what_a_text_is():
    assert Reciter().speak("Una <break/>dos", marks="ssml").reading.words == "una, dos"
    plain = Reciter().speak("<speak>Una</speak> [[ˈa]]", marks="none").reading
    assert plain == FRONT_END.read("<speak>Una</speak> [[ˈa]]")
    with pytest.raises(UserError, match="auto, ssml, none"):
        Reciter().speak("Una", marks="html")


def test_phones_in_brackets():
    speech = Reciter().speak("Un [[ˈxeɾsej]] de [[Madrid]], [[ˈoʎa]].")
    word = next(word for word in speech.times.words if "[[" in word.written)
    assert (word.written, "".join(phone.phone for phone in word.phones)) == ("[[ˈxeɾsej]]", "xˈeɾsej")
    assert "madrid" in speech.reading.words
    assert [("[[Madrid]]" in note and "read as text" in note) for note in speech.reading.notes] == [True]
    assert "".join(speech.reading.phonemes).endswith("ˈoʎa.</s>")


def test_a_voice_that_knows_nothing_of_pitch_says_so():
    with pytest.raises(UserError, match="knows nothing of pitch"):
        speak("<prosody pitch='high'>a</prosody>", Reciter(has_prosody=False))
    assert values("<prosody rate='slow'>una</prosody>", "speed", has_prosody=False) == {"una": 0.75}


def test_a_voice_without_durations_refuses_what_needs_them():
    voice = Reciter(knows_durations=False)
    with pytest.raises(UserError, match="leave <break>"):
        voice.speak("<speak>una<break/></speak>")
    assert voice.speak("<speak>una <sub alias='dos'>2</sub></speak>").reading.words == "una dos"


def test_times_give_what_the_user_wrote():
    speech = speak("<s>El <sub alias='consorcio web'>W3C</sub></s> <s>Son <say-as interpret-as='characters'>AB</say-as></s> y")
    assert [(word.word, word.written) for word in speech.times.words] == [
        ("el", "El"), ("consorcio", "W3C"), ("web", "W3C"), ("son", "Son"), ("a", "AB"), ("be", "AB"), ("y", "y")]


@pytest.mark.parametrize("count", [30, 1 + LONG_MARKED // 40])
def test_a_long_document_is_said_sentence_by_sentence(count):
    voice = Reciter()
    inside = "".join(f"<s>La <emphasis>casa</emphasis> es de {n % 9 + 1} colores</s><break time='1s'/>" for n in range(count))
    speech = speak(inside, voice)
    assert len(voice.said) == count
    words = speech.times.words
    assert [word.written for word in words[:4]] == ["La", "casa", "es", "de"]
    assert [word.written for word in words[4::6]] == [str(n % 9 + 1) for n in range(count)]
    gaps = [after.start - before.end for before, after in zip(words[5::6], words[6::6], strict=False)]
    assert gaps == pytest.approx([1.0] * (count - 1), abs=0.25)
    assert min(gaps) > 0.99
    parts = list(Reciter().stream(f"<speak>{inside}</speak>"))
    np.testing.assert_array_equal(np.concatenate([part.samples for part in parts]), speech.samples)


TAGS = ["speak", "p", "s", "break", "prosody", "emphasis", "say-as", "phoneme", "sub", "lang", "voice", "foo", "ssml:p"]
ATTRIBUTES = ["time='1s'", "time='x'", "strength='weak'", "rate='slow'", "rate='9%'", "pitch='+2st'", "volume='loud'",
              "volume='0'", "level='strong'", "interpret-as='characters'", "interpret-as='date' format='dmy'",
              "interpret-as='telephone'",
              "interpret-as='ordinal'", "ph='ˈola'", "ph='?'", "alphabet='ipa'", "alias='21 x'", "alias=''", "xml:lang='en'",
              "xml:lang='fr'", "name='luis'", "name=''", "x:y='z'"]
TEXTS = st.one_of(st.sampled_from(["hola", "21", " ", ".", ", ", "1/2/2024", "II", "¿", "—", "😀", "&amp;",
"&#241;", "\n", "ho",
                                   "’", "[[ˈa]]", "\ue000", "The", "EE. UU.", "<b>", "&", "]]>"]), st.text(max_size=8))
ELEMENTS = st.recursive(TEXTS, lambda inner: st.builds(
    lambda tag, attributes, parts: f"<{tag} {' '.join(attributes)}>{''.join(parts)}</{tag}>",
    st.sampled_from(TAGS), st.lists(st.sampled_from(ATTRIBUTES), max_size=2, unique_by=lambda a: a.partition("=")[0]),
    st.lists(inner, max_size=4)), max_leaves=12)


def check_anything(text: str, marks: str = "auto") -> None:
    """It is said, in order and to a frame, or refused in a sentence."""
    with contextlib.suppress(UserError):
        ANYBODY.said.clear()
        speech = ANYBODY.speak(text, marks=marks)
        times = speech.times
        assert speech.durations.sum() == len(speech.mel)
        assert times.phones[-1].end == pytest.approx(len(speech.samples) / 24_000)
        assert all(0 <= word.place[0] <= word.place[1] <= len(times.text) for word in times.words)
        assert np.isfinite(speech.samples).all() and np.abs(speech.samples).max() <= 1


@settings(max_examples=150)
@given(st.lists(ELEMENTS, max_size=5).map("".join))
def test_any_document_is_said_or_refused(inside):
    check_anything(f"<speak>{inside}</speak>")


@settings(max_examples=100)
@given(st.one_of(st.binary(max_size=80).map(lambda content: content.decode("latin-1")), st.text(max_size=80),
                 st.binary(max_size=80).map(lambda content: content.decode("utf-8", "surrogateescape"))))
def test_any_bytes_are_said_or_refused(text):
    check_anything(text)
    check_anything("<speak>" + text)
    check_anything(text, "ssml")


@pytest.mark.slow
@settings(max_examples=10_000, derandomize=False)
@given(st.lists(ELEMENTS, max_size=5).map("".join))
def test_ten_thousand_documents(inside):
    check_anything(f"<speak>{inside}</speak>")


@pytest.mark.parametrize("unit", [
    "<s>Una <emphasis>casa</emphasis><break time='1s'/></s>", "<foo>a</foo> ", "<prosody rate='slow'/>", "a<break/>",
    "<sub alias='x y'>z</sub> ", "<phoneme ph='ˈola'>x</phoneme> ", "&amp; ",
    "<lang xml:lang='en'>one two </lang>", "[[ˈa]] ",
    "<!-- x -->", "<voice name='luis'>a</voice>",
])
def test_reading_takes_linear_time(unit):
    """Counted in calls, which depend on no machine."""
    def calls(count: int) -> int:
        made = 0

        def counting(frame, event, argument):
            nonlocal made
            made += event in ("call", "c_call")

        text = "<speak>hola " + unit * count + "</speak>"
        sys.setprofile(counting)
        try:
            script = Script(text, FRONT_END)
            for place in script.sentences():
                script.passage(*place)
        finally:
            sys.setprofile(None)
        return made

    calls(40)
    assert calls(800) <= 4.6 * calls(200)


def test_on_the_command_line(road, tmp_path, monkeypatch, capsys):
    """With a trained voice, which has no prosody."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["synthesize", *arguments, f"run={road.whole_run}"])
        with pytest.raises(SystemExit) as ended:
            command_line.run(main)
        return ended.value.code, "".join(capsys.readouterr())

    code, printed = run('text=<speak>Son <emphasis>21</emphasis><break time="2s"/> <x>casas</x></speak>', "times=srt")
    assert code == 0, printed
    assert "words: son veintiuno, casas\n" in printed
    assert "note: <x> is not known" in printed
    assert "Son 21 casas" in (tmp_path / "out.srt").read_text(encoding="utf-8")
    code, printed = run('text=<speak><prosody pitch="high">Hola</prosody></speak>')
    assert (code, "knows nothing of pitch" in printed) == (2, True)
    (tmp_path / "lines.txt").write_text("<speak>Una <b/>casa</speak>\nmal|<speak>Una\nbien|3 < 5\n", encoding="utf-8")
    code, printed = run("file=lines.txt", "out=said")
    assert code == 0
    assert "0001: <b> is not known" in printed and "mal: SSML, line 1" in printed
    assert (tmp_path / "said/index.tsv").read_text(encoding="utf-8") == "0001.wav\tuna casa\nbien.wav\ttres menor que cinco\n"
    code, printed = run("text=Una <break/>casa", "marks=ssml")
    assert code == 0 and "words: una, casa" in printed
