"""What is read sign by sign: e-mail addresses, URLs, names with @, hashtags, versions, IP addresses, telephones.

Letters of an address are spelled except a few names that everybody says as words (`SAID`).
"""

import re
import unicodedata

from chatterbox_es.text import numbers
from chatterbox_es.text.word_lists import listed
from chatterbox_es.text.written import LETTER, SPACE, Place, Rule, rule

SAID = listed("""
    gmail com net nvidia hotmail yahoo outlook google facebook twitter instagram youtube wikipedia amazon linkedin
    github info web blog gob correo mail email contacto soporte ventas ayuda tienda noticias prensa admin usuario usuarios
    nombre apellido ejemplo empresa dominio universidad escuela colegio instituto gobierno ministerio ayuntamiento madrid
    barcelona sevilla valencia españa espana mexico méxico argentina chile colombia peru perú uruguay microsoft apple
    netflix spotify whatsapp telegram tiktok mercadolibre renfe iberia correos elpais elmundo marca booking airbnb
    juan maria maría jose josé ana luis pedro pablo carlos lucia lucía marta garcia garcía perez pérez lopez lópez gomez
    gómez martinez martínez sanchez sánchez rodriguez rodríguez fernandez fernández gonzalez gonzález
    """)
SAID_ENDINGS = listed("es org edu gov eus gal cat eu")  # behind a host that is said: empresa punto es
SIGNS = {
    ".": "punto", "@": "arroba", "/": "barra", ":": "dos puntos", "-": "guion", "_": "guion bajo",
    "|": "barra vertical", "?": "signo de interrogación", "=": "igual", "&": "y", "%": "por ciento", "#": "almohadilla",
    "+": "más", "~": "virgulilla",
}  # fmt: skip
PIECE = re.compile(rf"[{LETTER}]+|.")


def _spelled(piece: str) -> str:
    if piece.lower() in SAID:
        return piece.lower()
    if piece.isdecimal():
        return numbers.digits(piece)
    return SIGNS.get(piece) or (" ".join(piece.lower()) if piece[0].isalpha() else "")


def address(match: re.Match, place: Place) -> str | None:
    """a.bc@gmail.com → a punto b c arroba gmail punto com."""
    written = match.group()
    stop = ""
    while written and written[-1] in ".:/?":  # the point that ends the sentence is no part of an address
        stop, written = ("." if written[-1] == "." else "?" if written[-1] == "?" else stop), written[:-1]
    if not written:
        return None
    pieces = PIECE.findall(written)
    words = [
        piece.lower() if piece.lower() in SAID_ENDINGS and pieces[place - 2 : place - 1] and pieces[place - 2].lower() in SAID
        else _spelled(piece)
        for place, piece in enumerate(pieces)
    ]  # fmt: skip
    return " ".join(filter(None, words)) + stop


def handle(match: re.Match, place: Place) -> str | None:
    """@juan → arroba juan; with a point in it it is spelled as an address is."""
    name = match["name"].rstrip(".")
    if "." in name:
        return address(match, place)
    words = re.sub(
        r"[_\d]+",
        lambda run: f" {numbers.whole(run.group().replace('_', '')) if run.group().strip('_') else ''} ",
        name,
    )
    return f"arroba {words.strip()}"


CAMEL = re.compile(r"(?<=[a-záéíóúñ])(?=[A-ZÁÉÍÓÚÑ])|(?<=\d)(?=\D)|(?<=\D)(?=\d)|_")


def hashtag(match: re.Match, place: Place) -> str | None:
    """#TodosSomos2020 → hashtag todos somos dos mil veinte."""
    if match["name"].isdecimal():
        return f"número {numbers.whole(match['name'])}"
    parts = [part for part in CAMEL.split(match["name"]) if part]
    return "hashtag " + " ".join(numbers.whole(part) if part.isdecimal() else part for part in parts)


def version(match: re.Match, place: Place) -> str | None:
    """versión 3.10.2, v2.0: figures with punto between them."""
    figures = " punto ".join(numbers.whole(part) for part in match["version"].split("."))
    name = match["name"]
    if place.before == "versión":
        return figures
    return f"{'versión' if name.lower().rstrip('. ') in ('v', 'ver') else name.strip()} {figures}"


def dotted(match: re.Match, place: Place) -> str | None:
    """192.168.0.1 digit by digit, 1.2.3 as numbers."""
    parts = match.group().split(".")
    if len(parts) == 4 and (max(map(int, parts)) > 255 or all(len(part) == 3 for part in parts[1:])):
        return None  # 2.000.000.000
    say = numbers.digits if len(parts) == 4 else numbers.whole
    return " punto ".join(say(part) for part in parts)


def telephone(match: re.Match, place: Place) -> str | None:
    """Digit by digit; +34 by its figures, an extension by name."""
    words = []
    country = match["country"]
    years = re.fullmatch(r"(\d{4})-(\d{4})", match.group())
    short = re.fullmatch(r"(\d{3})-(\d{4})", match.group())
    if short and (place.after[0] or place.before in PAGES or not int(short[1]) % 10 and not int(short[2]) % 10):
        return None  # 998-1012 habitantes
    if years and 1000 <= int(years[1]) < int(years[2]) <= 2100:
        return None  # 1936-1939 is a range
    if country:
        # a long number with an extension has a country code said as one number, as NeMo's key has it
        words.append("más " + (numbers.cardinal(int(country)) if match["extension"] else numbers.digits(country)))
    words.append(numbers.digits(re.sub(r"\D", "", match["local"])))
    if match["extension"]:
        words.append("extensión " + numbers.digits(match["extension"]))
    return " ".join(words)


def grouped_telephone(match: re.Match, place: Place) -> str | None:
    """912 345 678, 612345678: nine figures that begin as a Spanish telephone does (not 900 000 000)."""
    figures = re.sub(r"\D", "", match.group())
    if place.locale.name != "es_ES" or figures.endswith("000000"):
        return None
    if " " not in match.group() and place.before not in CALLED:
        return None
    return numbers.digits(figures)


def by_digits(match: re.Match, place: Place) -> str | None:
    """123 456 7890, 55 1234 5678, 12-34-56-78, an ISBN: groups that no number is written in."""
    return numbers.digits(re.sub(r"\D", "", match.group())) + (" equis" if match.group()[-1] in "xX" else "")


def inclusive(match: re.Match, place: Place) -> str | None:
    """alumn@s → alumnos."""
    return f"{match['stem']}o{match['plural']}"


def called(match: re.Match, place: Place) -> str | None:
    """Any figures behind teléfono, tel., llame al …"""
    figures = re.sub(r"\D", "", match.group())
    before = re.search(r"(\w{1,12}\.?) ?:? ?$", place.text[max(0, place.start - 16) : place.start])
    cued = place.before in CALLED or (before and before[1].lower() in CALLED)
    return numbers.digits(figures) if cued and len(figures) >= 6 else None


def with_word(match: re.Match, place: Place) -> str | None:
    """0-800-hermano → cero ochocientos hermano."""
    parts = match["figures"].rstrip("-").split("-")
    return " ".join([numbers.whole(part) for part in parts] + [match["word"]])


def extension(match: re.Match, place: Place) -> str | None:
    """ext. 12 → extensión uno dos."""
    return f"extensión {numbers.digits(match['figures'])}"


def emoticon(match: re.Match, place: Place) -> str | None:
    """:-), xD: a face says nothing."""
    behind = place.text[place.end : place.end + 1]
    before = place.text[place.start - 1 : place.start]
    return "" if (not before or before in " ¡!¿?.,…)") and (not behind or behind in " .,;!?…)") else None


def formula(match: re.Match, place: Place) -> str | None:
    """H₂O, CO2: letters and numbers."""
    pieces = re.findall(r"[A-Za-z]|\d+", unicodedata.normalize("NFKC", match.group()))
    return " ".join(numbers.whole(piece) if piece.isdigit() else piece.lower() for piece in pieces)


PAGES = ("pp.", "págs.", "pág.", "páginas", "entre", "de", "años")
CALLED = (
    "telf.",
    "teléf.",
    "móv.",
    "teléfonos",
    "teléfono",
    "tel.",
    "tel",
    "tfno.",
    "tlf.",
    "tlf",
    "móvil",
    "fax",
    "whatsapp",
    "celular",
    "llame",
    "llamar",
    "llámame",
)
TOP_LEVEL = "com|es|org|net|edu|gov|gob|gal|cat|eus|mx|ar|co|cl|pe|uy|ve|me|io|info|tv|eu|fr|de|uk|us|dev|app|ai"
HOST = r"[\w-]{1,63}(?:\.[\w-]{1,63}){0,6}"
PATH = r"(?:[/?#][\w./?=&%|#:~+\-]{0,200})?"
ADDRESSES: tuple[Rule, ...] = (
    rule("electronic", rf"[\w.+-]{{1,64}}@{HOST}\.[a-z]{{2,10}}", address),
    rule("electronic", rf"(?:https?|ftp)://{HOST}(?::\d{{1,5}})?{PATH}\.?", address),
    rule("electronic", rf"www\.{HOST}(?::\d{{1,5}})?{PATH}\.?", address),
    rule("symbol", rf"(?P<stem>[{LETTER}]{{2,20}})@(?P<plural>s?)(?![{LETTER}\d.@])", inclusive),
    rule(
        "electronic",
        rf"(?<![\w.])(?:[a-z0-9-]{{1,63}}\.){{1,4}}(?:{TOP_LEVEL})(?![\w])(?:\.(?:{TOP_LEVEL})(?!\w))?{PATH}",
        address,
    ),
)
HANDLES: tuple[Rule, ...] = (
    rule("electronic", r"@(?P<name>[\w.]{1,64})", handle),
    rule("electronic", r"#(?P<name>\w{1,140})", hashtag),
    rule("electronic", r"#(?= \d)", lambda match, place: "número"),
)
WORDS_OF_VERSIONS: tuple[Rule, ...] = (
    rule(
        "electronic",
        rf"(?P<name>versi[oó]n(?:es)?{SPACE}|v\.?{SPACE}?|ver\.{SPACE}?)(?P<version>\d{{1,6}}(?:\.\d{{1,6}}){{1,4}})(?![\d.,]\d)",
        version,
    ),
    rule(
        "electronic",
        r"(?P<name>python |java |android |ios |windows |linux |ubuntu |php |usb )"
        r"(?P<version>\d{1,4}(?:\.\d{1,4}){1,3})(?![\d.,]\d)",
        version,
    ),
)
PHONE_GROUPS = r"(?:\(\d{1,4}\)[ -]?)?\d{1,4}(?:[ -]\d{2,4}){1,5}"
TELEPHONES: tuple[Rule, ...] = (
    rule("telephone", r"\d{1,3}(?:\.\d{1,3}){3}(?![\d.])", dotted),
    rule(
        "telephone",
        r"\+(?P<country>\d{1,3})[ -]?"
        r"(?P<local>(?:\(\d{1,4}\)|\d{1,4})[ -]\d{3}-\d{4})(?:-(?P<extension>\d{1,4}))?(?![\d-])",
        telephone,
    ),
    rule(
        "telephone",
        rf"\+(?P<country>\d{{1,3}})[ -]?(?P<local>{PHONE_GROUPS}|\d{{6,12}})(?P<extension>)(?![\d])",
        telephone,
    ),
    rule(
        "telephone",
        r"(?P<country>)(?P<local>(?:\(\d{1,4}\)[ -]?)?\d{2,4}-\d{3,4}-\d{3,4}"
        r"|\(\d{1,4}\)[ -]?\d{3,4}[ -]?\d{3,4}|\(\d{2,4}\)[ -]?\d{2,4}(?:[ -]\d{2,4}){1,3}|\d{3,4}-\d{4})"
        r"(?:(?:-|,?[ ]ext\.[ ])(?P<extension>\d{1,4}))?(?![\d-])",
        telephone,
    ),
    rule("telephone", rf"(?P<figures>\d{{1,4}}-(?:\d{{1,4}}-)?)(?P<word>[{LETTER}]{{3,20}})(?![\d])", with_word),
    rule("telephone", r"\d{3} \d{3}[ -]\d{4}(?![\d-])|\d{2} \d{4}[ -]\d{4}(?: \d{4}){0,4}(?![\d-])", by_digits),
    rule("telephone", r"\d{1,7}(?:-\d{1,7}){2,6}-[\dxX]{1,7}(?![\w-])", by_digits),
    rule(
        "telephone",
        r"[6-9]\d{2} \d{3} \d{3}(?! ?\d)|[6-9]\d{2} \d{2} \d{2} \d{2}(?! ?\d)"
        r"|9\d \d{3} \d{2} \d{2}(?! ?\d)|[6-9]\d{8}(?!\d)",
        grouped_telephone,
    ),
    rule("telephone", r"\d{2,12}(?:[ .-]\d{2,4}){0,5}(?![\d])", called),
    rule("electronic", r"\d{1,4}(?:\.\d{1,2}){2,4}(?![\d.,]\d)(?!\d)", dotted),
)
FORMULAS: tuple[Rule, ...] = (
    rule("formula", rf"(?=[{LETTER}]{{0,6}}[₀-₉])(?:[A-Z][a-z]?[₀-₉]{{0,3}}){{1,8}}(?![\w])", formula),
    Rule("formula", re.compile(r"(?:CO2|H2O|O2|N2|CH4|SO2|NO2|NH3|H2SO4|H2|CO3|NaCl|CO)(?!\w)"), formula),
)
EXTENSION = rule("telephone", rf"(?:ext|extensión)\.?:?{SPACE}(?P<figures>\d{{1,6}})(?![\d.,/]\d|\d)", extension)
EMOTICON = Rule(
    "dropped", re.compile(rf"(?:[:;=][-'^]?[()DPOop3*|/\\]{{1,3}}|[xX]D{{1,5}}|<3+|\^_{{1,3}}\^)(?![{LETTER}\d])"), emoticon
)
