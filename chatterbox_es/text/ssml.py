"""SSML → pieces of text and how they are said: the subset of W3C's SSML 1.1 that docs/marks.md lists.

Read with expat in one pass. No document type is taken, so that there are no entities but XML's five and no files; elements nest
to a bounded depth. The text of unknown elements is said, and they are named in a note.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from xml.parsers import expat

from chatterbox_es.errors import UserError
from chatterbox_es.text import say_as, ssml_values
from chatterbox_es.text.lexicon import codes_of_ipa
from chatterbox_es.text.marks import Marked, Pause, Piece, SentenceEnd, Stretch, Way
from chatterbox_es.text.normaliser import Normaliser

DOCUMENT = re.compile(r"\ufeff?\s*(?:<\?xml\s[^<>]{0,200}\?>\s*)?(?:<!--(?:[^-]|-[^-]){0,1000}-->\s*)?"
                      r"(?:<speak(?=[\s/>])|<!DOCTYPE\s)")
SPACE = re.compile(r"[ \t\r\n]+")
DEEPEST = 64  # elements in each other
MOST_NOTES = 20
EMPHASES = ("strong", "moderate", "none", "reduced")
KNOWN = {
    "speak": "version xml:lang xmlns xmlns:xsi xsi:schemaLocation", "p": "xml:lang", "s": "xml:lang",
    "break": "time strength", "prosody": "rate pitch volume", "emphasis": "level", "say-as": "interpret-as format detail",
    "phoneme": "alphabet ph", "sub": "alias", "lang": "xml:lang", "voice": "name xml:lang",
}  # fmt: skip
SAID_OTHERWISE = ("say-as", "phoneme", "sub")  # their content is taken whole


def is_ssml(text: str) -> bool:
    """Whether a text begins with ``<speak``, or with what stands before it in XML."""
    return DOCUMENT.match(text) is not None


def read(text: str, normaliser: Normaliser) -> Marked:
    """The pieces of a document; a text that has no ``<speak>`` around it gets one.

    Raises:
        UserError: it is no XML, has a document type, nests too deeply, or holds a value out of range.
    """
    return _Reader(normaliser).read(text if is_ssml(text) else f"<speak>{text}</speak>")


@dataclass(frozen=True, slots=True)
class _Open:
    """An element that is open, and how its text is said."""

    tag: str
    way: Way = Way()
    is_english: bool = False


class _Reader:
    def __init__(self, normaliser: Normaliser) -> None:
        self.normaliser = normaliser
        self.pieces: list[Piece] = []
        self.notes: dict[str, None] = {}
        self.open = [_Open("")]
        self.collected: list[str] = []  # of what is said otherwise
        self.said_otherwise: tuple[int, dict[str, str]] | None = None  # how deep that element is, and its attributes
        self.parser = expat.ParserCreate("utf-8")
        self.parser.buffer_text = True
        self.parser.StartElementHandler, self.parser.EndElementHandler = self._begin, self._end
        self.parser.CharacterDataHandler = self._text
        self.parser.StartDoctypeDeclHandler = self._refuse_doctype
        self.parser.ProcessingInstructionHandler = lambda target, data: self._note(f"<?{target}?> is not known")

    def read(self, text: str) -> Marked:
        try:
            self.parser.Parse(text.lstrip("\ufeff \t\r\n").encode(), True)
        except UnicodeEncodeError as error:
            raise UserError(f"SSML: {error.object[error.start]!a} is no character of Unicode; take it out") from None
        except expat.ExpatError as error:
            raise UserError(f"SSML, line {error.lineno}, column {error.offset + 1}: {expat.ErrorString(error.code)}. Mend it, "
                            "or say the text as it stands with marks=none; < and & are written &lt; and &amp;") from None
        return Marked(self.pieces, tuple(self.notes))

    def _begin(self, name: str, attributes: dict[str, str]) -> None:
        if len(self.open) > DEEPEST:
            raise UserError(f"SSML, line {self.parser.CurrentLineNumber}: more than {DEEPEST} elements in each other; "
                            "take some out")
        tag = name.removeprefix("ssml:")
        inside = replace(self.open[-1], tag=tag)
        if self.said_otherwise:
            self._note(f"<{name[:40]}> is left out inside of <{self.open[self.said_otherwise[0]].tag}>")
        elif tag not in KNOWN:
            self._note(f"<{name[:40]}> is not known: its text is said, and the tag left out")
        else:
            for unknown in sorted(set(attributes) - set(KNOWN[tag].split())):
                self._note(f"<{tag} {unknown[:40]}=…> is not known and left out")
            inside = self._opened(tag, attributes, inside)
        self.open.append(inside)

    def _opened(self, tag: str, attributes: dict[str, str], inside: _Open) -> _Open:
        if tag in ("p", "s", "voice"):
            self.pieces.append(SentenceEnd())
        if tag == "break":
            self.pieces.append(Pause(ssml_values.seconds(attributes.get("strength"), attributes.get("time"))))
        elif tag in SAID_OTHERWISE:
            self.said_otherwise = (len(self.open), attributes)
        elif tag == "emphasis":
            level = attributes.get("level", "moderate")
            if level not in EMPHASES:
                raise UserError(f'<emphasis level="{level[:40]}">: write {", ".join(EMPHASES)}')
            inside = replace(inside, way=replace(inside.way, emphasis="" if level == "none" else level))
        elif tag == "voice" and attributes.get("name"):
            inside = replace(inside, way=replace(inside.way, speaker=attributes["name"]))
        elif tag == "prosody":
            inside = replace(inside, way=_prosody(inside.way, attributes))
        if language := attributes.get("xml:lang", "").lower().replace("_", "-").partition("-")[0]:
            if language not in ("es", "en"):
                self._note(f'xml:lang="{attributes["xml:lang"][:40]}" is not known: its text is read as Spanish')
            inside = replace(inside, is_english=language == "en")
        return inside

    def _end(self, name: str) -> None:
        closed = self.open.pop()
        if self.said_otherwise and self.said_otherwise[0] == len(self.open):
            written, attributes = SPACE.sub(" ", "".join(self.collected)), self.said_otherwise[1]
            self.collected, self.said_otherwise = [], None
            self.pieces.append(self._otherwise(closed, written, attributes))
        elif closed.tag in ("p", "s", "voice") and not self.said_otherwise:
            self.pieces.append(SentenceEnd())

    def _text(self, text: str) -> None:
        if self.said_otherwise:
            self.collected.append(text)
        else:
            self.pieces.append(Stretch(SPACE.sub(" ", text), self.open[-1].way, is_english=self.open[-1].is_english))

    def _otherwise(self, closed: _Open, written: str, attributes: dict[str, str]) -> Stretch:
        """The stretch of an element whose text is not said as it is written."""
        plain = Stretch(written, closed.way, is_english=closed.is_english)
        if closed.tag == "sub":
            return replace(plain, spoken=_needed(closed.tag, "alias", attributes))
        if closed.tag == "phoneme":
            phones, alphabet = _needed(closed.tag, "ph", attributes), attributes.get("alphabet", "ipa")
            if alphabet != "ipa":
                self._note(f'<phoneme alphabet="{alphabet[:40]}"> is not known: its text is read; write alphabet="ipa"')
                return plain
            codes = codes_of_ipa(phones, f'<phoneme ph="{phones[:40]}">')
            return replace(plain, codes=codes) if codes else plain
        kind = _needed(closed.tag, "interpret-as", attributes)
        if kind not in say_as.READERS:
            self._note(f'<say-as interpret-as="{kind[:40]}"> is not known: its text is read as usual; known are '
                       f'{", ".join(say_as.READERS)}')
            return plain
        return replace(plain, spoken=self._read_as(kind, written.strip(), attributes.get("format", "")), is_english=False)

    def _read_as(self, kind: str, written: str, form: str) -> str | None:
        reader: Callable[[str, Normaliser], str | None] = say_as.READERS[kind]
        if kind == "date" and form:
            if form not in say_as.DATE_FORMATS:
                raise UserError(f'<say-as interpret-as="date" format="{form[:40]}">: write {", ".join(say_as.DATE_FORMATS)}')
            spoken = say_as.date(written, self.normaliser, form)
        else:
            spoken = reader(written, self.normaliser)
        if spoken is None and written:
            self._note(f'<say-as interpret-as="{kind}">{written[:40]}</say-as> is none: it is read as usual')
        return spoken

    def _note(self, note: str) -> None:
        if len(self.notes) < MOST_NOTES:
            self.notes[note] = None

    def _refuse_doctype(self, *declared: object) -> None:
        raise UserError("SSML: a document type (<!DOCTYPE …>) is not taken; leave it out. The entities that can be used are "
                        "&lt; &gt; &amp; &quot; &apos; and numbers such as &#241;")


def _prosody(way: Way, attributes: dict[str, str]) -> Way:
    """What is inside of prosody adds to what is around it, as W3C says of relative values."""
    return replace(way, rate=way.rate * ssml_values.rate(attributes.get("rate", "medium")),
                   pitch=way.pitch + ssml_values.pitch(attributes.get("pitch", "medium")),
                   volume=max(ssml_values.SILENT, way.volume + ssml_values.volume(attributes.get("volume", "medium"))))


def _needed(tag: str, name: str, attributes: dict[str, str]) -> str:
    if name not in attributes:
        raise UserError(f'<{tag}> needs {name}="…"')
    return attributes[name]
