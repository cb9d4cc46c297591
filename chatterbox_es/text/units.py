"""Units: an amount and what it is measured in (245 mph, 9 m³, -8 °C, 4,51/s, 1 1/2 m, 8,52 %, 12 l/100 km, 3 N·m)."""

import re
import unicodedata

from chatterbox_es.text import numbers
from chatterbox_es.text.quantities import POWER_OF_NUMBER, SIGN_WORDS, VULGAR, power
from chatterbox_es.text.written import LETTER, NUMBER, SCALE, SPACE, TO, Place, Rule, alternatives, amount, rule

# sign: one, many, gender. Case counts where two signs differ by it only (mW, MW).
UNITS = {
    "km": "kilómetro", "hm": "hectómetro", "dam": "decámetro", "m": "metro", "dm": "decímetro", "cm": "centímetro",
    "mm": "milímetro", "µm": "micrómetro", "μm": "micrómetro", "nm": "nanómetro", "mi": "milla f", "yd": "yarda f",
    "ft": "pie", "in": "pulgada f", "ha": "hectárea f", "kg": "kilogramo", "g": "gramo", "gr": "gramo",
    "mg": "miligramo", "µg": "microgramo", "μg": "microgramo", "mcg": "microgramo", "t": "tonelada f", "lb": "libra f",
    "lbs": "libra f", "oz": "onza f", "l": "litro", "L": "litro", "dl": "decilitro", "cl": "centilitro",
    "ml": "mililitro", "mL": "mililitro", "hl": "hectolitro", "gal": "galón/galones", "h": "hora f", "hs": "hora f",
    "hrs": "hora f", "min": "minuto", "s": "segundo", "seg": "segundo", "ms": "milisegundo", "µs": "microsegundo",
    "ns": "nanosegundo", "Hz": "hercio", "kHz": "kilohercio", "MHz": "megahercio", "GHz": "gigahercio", "W": "vatio",
    "kW": "kilovatio", "MW": "megavatio", "GW": "gigavatio", "mW": "milivatio", "kWh": "kilovatio hora/kilovatios hora",
    "MWh": "megavatio hora/megavatios hora", "V": "voltio", "kV": "kilovoltio", "mV": "milivoltio", "A": "amperio",
    "mA": "miliamperio", "mAh": "miliamperio hora/miliamperios hora", "Ω": "ohmio", "J": "julio", "kJ": "kilojulio",
    "N": "newton/newtons", "Pa": "pascal/pascales", "hPa": "hectopascal/hectopascales",
    "kPa": "kilopascal/kilopascales", "MPa": "megapascal/megapascales", "bar": "bar/bares", "atm": "atmósfera f",
    "cal": "caloría f", "kcal": "kilocaloría f", "dB": "decibelio", "mol": "mol/moles", "lm": "lumen/lúmenes",
    "lx": "lux/lux", "cd": "candela f", "cv": "caballo de vapor/caballos de vapor",
    "hp": "caballo de fuerza/caballos de fuerza",
    "b": "bit/bits", "B": "byte/bytes", "kB": "kilobyte/kilobytes", "KB": "kilobyte/kilobytes",
    "MB": "megabyte/megabytes", "GB": "gigabyte/gigabytes", "TB": "terabyte/terabytes", "Mb": "megabit/megabits",
    "Gb": "gigabit/gigabits", "Mbps": "megabit por segundo/megabits por segundo",
    "Gbps": "gigabit por segundo/gigabits por segundo", "kbps": "kilobit por segundo/kilobits por segundo",
    "px": "píxel/píxeles", "rpm": "revolución por minuto/revoluciones por minuto f",
    "ppm": "parte por millón/partes por millón f",
    "mph": "milla por hora/millas por hora f", "kmh": "kilómetro por hora/kilómetros por hora",
    "kph": "kilómetro por hora/kilómetros por hora", "psi": "p s i/p s i", "°": "grado", "º": "grado",
    "°C": "grado centígrado/grados centígrados", "°F": "grado fahrenheit/grados fahrenheit",
    "ºC": "grado centígrado/grados centígrados",
    "ºF": "grado fahrenheit/grados fahrenheit", "° C": "grado centígrado/grados centígrados",
    "° F": "grado fahrenheit/grados fahrenheit", "K": "kelvin/kelvins", "%": "por ciento/por ciento",
    "‰": "por mil/por mil",
    "a": "área f", "kp": "kilopondio", "Kg": "kilogramo", "Km": "kilómetro", "Kms": "kilómetro",
    "kms": "kilómetro", "kgs": "kilogramo",
    "mts": "metro", "mt": "metro", "min.": "minuto", "seg.": "segundo", "hrs.": "hora f", "lb.": "libra f", "grs": "gramo", "lts": "litro",
    "lt": "litro", "cms": "centímetro", "ctms": "centímetro", "mms": "milímetro", "kms.": "kilómetro", "mts.": "metro", "v": "voltio", "w": "vatio", "ω": "ohmio",
    "pts": "punto",
    "gCO₂": "gramo de ce o dos/gramos de ce o dos", "º C": "grado centígrado/grados centígrados",
    "º F": "grado fahrenheit/grados fahrenheit", "° K": "grado kelvin/grados kelvin", "°K": "grado kelvin/grados kelvin",
    "ºK": "grado kelvin/grados kelvin", "º K": "grado kelvin/grados kelvin", "hab": "habitante", "hab.": "habitante",
    "habs": "habitante", "msnm": "metro sobre el nivel del mar/metros sobre el nivel del mar", "Nm": "newton metro/newtons metro",
    **dict.fromkeys(("m s. n. m.", "m.s.n.m.", "m. s. n. m.", "m s.n.m."), "metro sobre el nivel del mar/metros sobre el nivel del mar"),
    "kN": "kilonewton/kilonewtons", "Wh": "vatio hora/vatios hora", "GWh": "gigavatio hora/gigavatios hora",
    "TWh": "teravatio hora/teravatios hora", "kVA": "kilovoltiamperio", "Ah": "amperio hora/amperios hora",
    "eV": "electronvoltio", "keV": "kiloelectronvoltio", "MeV": "megaelectronvoltio", "GeV": "gigaelectronvoltio",
    "µl": "microlitro", "μl": "microlitro", "ng": "nanogramo", "pg": "picogramo", "dag": "decagramo", "mmol": "milimol/milimoles",
    "µF": "microfaradio", "nF": "nanofaradio", "pF": "picofaradio", "kΩ": "kiloohmio", "MΩ": "megaohmio", "Sv": "sievert/sieverts",
    "mSv": "milisievert/milisieverts", "MJ": "megajulio", "mb": "milibar/milibares", "mbar": "milibar/milibares",
    "UI": "unidad internacional/unidades internacionales f", "ud": "unidad/unidades f", "uds": "unidad/unidades f",
    "ud.": "unidad/unidades f", "uds.": "unidad/unidades f", "pers.": "persona f", "pulg.": "pulgada f", "fps": "fotograma por "
    "segundo/fotogramas por segundo", "dpi": "punto por pulgada/puntos por pulgada", "ppp": "punto por pulgada/puntos por pulgada",
    "Mpx": "megapíxel/megapíxeles", "Tm": "tonelada f", "Mt": "megatonelada f", "kt": "kilotonelada f", "mmHg": "milímetro de "
    "mercurio/milímetros de mercurio", "mm Hg": "milímetro de mercurio/milímetros de mercurio", "kbit": "kilobit/kilobits",
    "GiB": "gibibyte/gibibytes", "MiB": "mebibyte/mebibytes", "PB": "petabyte/petabytes", "PHz": "petahercio",
    "THz": "terahercio", "nmi": "milla náutica/millas náuticas f", "Hm": "hectómetro", "Mbit": "megabit/megabits",
    "a. l.": "año luz/años luz", "UA": "unidad astronómica/unidades astronómicas f", "segs": "segundo", "lpm": "latido por minuto/latidos por minuto",
    "bpm": "pulsación por minuto/pulsaciones por minuto f", "MP": "megapíxel/megapíxeles", "mins": "minuto",
}  # fmt: skip
AMBIGUOUS = frozenset(("a", "in", "b", "d", "UA", "mb"))  # as words they are commoner than as units
POWERS = {"²": "cuadrado", "³": "cúbico", "2": "cuadrado", "3": "cúbico"}
NAMES: dict[str, tuple[str, str, str]] = {}
for _sign, _name in UNITS.items():
    _gender = numbers.FEMININE if _name.endswith(" f") else numbers.MASCULINE
    _one, _, _many = _name.removesuffix(" f").partition("/")
    NAMES[_sign] = (_one, _many or _one + "s", _gender)
FOLDED = {sign.lower(): sign for sign in reversed(NAMES)}


def _names(sign: str) -> tuple[str, str, str] | None:
    sign = re.sub(SPACE, " ", sign)
    if sign in NAMES:
        return NAMES[sign]
    # 5G and 4K are no grams and kelvins: a sign of one letter keeps its case
    return NAMES.get(FOLDED.get(sign.lower(), "")) if len(sign) > 1 else None


def _with_power(names: tuple[str, str, str], power: str | None) -> tuple[str, str, str]:
    if not power:
        return names
    one, many, gender = names
    adjective = POWERS[power][:-1] + "a" if gender == numbers.FEMININE else POWERS[power]
    return f"{one} {adjective}", f"{many} {adjective}s", gender


def _unit(match: re.Match) -> tuple[str, str, str] | None:
    """One, many and gender of the unit with its power and what it is divided by."""
    if not match["unit"]:
        names = ("", "", numbers.MASCULINE)
    else:
        names = _names(match["unit"])
        if names is None or (match["unit"] in AMBIGUOUS and not match["power"]):
            return None
        names = _with_power(names, match["power"])
        if match["times"]:  # 3 N·m → newtons metro
            times = _names(match["times"])
            if times is None:
                return None
            names = (f"{names[0]} {times[0]}", f"{names[1]} {times[0]}", names[2])
    if match["below"]:
        per = rate(match)
        if per is None:
            return None
        names = tuple([f"{name} {per}".strip() for name in names[:2]]) + (names[2],)
    return names


def rate(match: re.Match) -> str | None:
    """What stands below the stroke: por hora, por noche, por metro cuadrado, a los cien kilómetros, cada mil habitantes."""
    written = match["below"]
    below = _names(written) or ((written.lower(), written.lower(), "m") if len(written) > 2 else None)
    if below is None:
        return None
    one, many, gender = _with_power(below, match["power2"])
    if not match["each"]:
        return f"por {one}"
    count = numbers.cardinal(int(re.sub(r"\D", "", match["each"])), gender, before_noun=True)
    return f"a los {count} {many}" if many == "kilómetros" else f"por cada {count} {many}"


def measure(match: re.Match, place: Place) -> str | None:
    """200 m, -8 °C, 60,2400 kg, 120 km/h, 4,51/s."""
    names = _unit(match)
    if names is None or (match["unit"] == "K" and match.group().endswith(match["number"] + "K")):
        return None
    if match["unit"] in ("A", "B", "J", "N") and match.group().endswith(match["number"] + match["unit"]):
        return None  # piso 3A, calle 13B
    one, many, gender = names
    number = amount(match["number"], place.locale)
    sign = SIGN_WORDS[match["sign"]]
    kept = " a" if match["to"] else " por" if match["by"] else "." if match.group().endswith(".") and _closes(place) else ""
    if match["scale"]:
        return (
            f"{sign}{number.words(before_noun=True)} {match['scale'].lower()} de {many}".replace("mil de", "mil") + kept
        )
    if number.is_one:
        count = "una" if gender == numbers.FEMININE else "uno" if one.startswith("por") else "un"
        return f"{sign}{count} {one}{kept}"
    percent = many.startswith("por ") or many == "p s i"
    return f"{sign}{number.words(gender, before_noun=not percent and not number.behind)} {many}{kept}"


def _closes(place: Place) -> bool:
    """Whether the point of an abbreviation also ends a sentence."""
    after = place.text[place.end : place.end + 40].lstrip()[:1]
    return after.isupper() or (not after and place.text[:40].lstrip('¿¡«"( ')[:1].isupper())


def rate_alone(match: re.Match, place: Place) -> str | None:
    """en km/h → kilómetros por hora; not A/B, nor a/c."""
    above, below = _names(match["unit"]), _names(match["below"])
    return f"{above[1]} por {_with_power(below, match['power2'])[0]}"


def with_power_of_ten(match: re.Match, place: Place) -> str | None:
    """10⁸ TB, 10^8 TB: the power is the count."""
    names = _names(match["unit"])
    count = power(match, place)
    return names and count and f"{count} {names[1]}"


def part_of_measure(match: re.Match, place: Place) -> str | None:
    """1/2 mm → medio milímetro, 3/5 mph → tres quintos de milla por hora, 1 1/2 m → uno y medio metro."""
    names = _unit(match)
    if names is None or not match["unit"] or names[0].startswith("por"):
        return None
    one, _, gender = names
    if match["vulgar"]:
        above, below = map(int, unicodedata.normalize("NFKD", match["vulgar"]).split("⁄"))
    else:
        above, below = int(match["above"]), int(match["under"])
    if not below:
        return None
    if above > below > 10 and not match["whole"]:  # 120/80 mmHg
        return f"{numbers.cardinal(above, gender)} sobre {numbers.cardinal(below, gender)} {names[1]}"
    half = "media" if gender == numbers.FEMININE else "medio"
    value = half if (above, below) == (1, 2) else numbers.fraction(above, below)
    if match["whole"]:  # uno y medio metro, dos y medio metros, tres y tres quintos de metro
        what = f"de {one}" if value != half else one if int(match["whole"]) == 1 else names[1]
        return f"{numbers.whole(match['whole'], gender)} y {value} {what}"
    return f"{value} {one}" if value == half else f"{value} de {one}"


def with_letter(match: re.Match, place: Place) -> str | None:
    """1,2-a → uno coma dos a."""
    return f"{amount(match['number'], place.locale).words()} {match['letter']}"


UNIT = alternatives({*UNITS, *FOLDED})
POWER = r"(?P<power>[²³]|(?<=m)[23])?"
# a unit, or any word: 20 €/kg, 30 €/noche, 12 l/100 km
BELOW = (
    rf"(?:{SPACE}?/{SPACE}?(?:(?P<each>\d{{1,3}}(?:[. ]?\d{{3}})*){SPACE}?)?"
    rf"(?P<below>(?:{UNIT})(?![{LETTER}])|[a-záéíóúñ]{{3,20}})(?P<power2>[²³]|(?<=m)[23])?)"
)
BARE_BELOW = rf"{SPACE}?/{SPACE}?(?P<each>)(?P<below>(?-i:(?=[a-zµμ]))(?:{UNIT})(?![{LETTER}])|mes|día|año)(?P<power2>[²³]|(?<=m)[23])?"
TIMES = rf"(?:[·⋅*](?P<times>{UNIT})(?![{LETTER}]))?"
END = rf"(?![{LETTER}\d²³/])"
S = r"(?P<sign>[-−±+])?"
N = f"(?P<number>{NUMBER})"
SCALED = rf"(?:{SCALE.pattern.replace('(mil|', '(?P<scale>mil|')}(?:{SPACE}de)?)?"
FRACTION = rf"(?:(?P<above>\d{{1,3}})[/⁄](?P<under>\d{{1,3}})|(?P<vulgar>[{VULGAR}]))"
# 5 habitantes: words that stand below a stroke as units do
NAMES |= {"mes": ("mes", "meses", "m"), "día": ("día", "días", "m"), "año": ("año", "años", "m"), "d": ("día", "días", "m")}

UNITS_OF_NUMBERS: tuple[Rule, ...] = (
    rule(
        "measure",
        rf"(?:(?P<whole>\d{{1,4}}){SPACE})?{FRACTION}{SPACE}?(?P<unit>{UNIT}){POWER}{TIMES}{BELOW}?{END}",
        part_of_measure,
    ),
    rule(
        "measure",
        rf"{S}{N}{SCALED}{SPACE}?(?P<unit>{UNIT}){POWER}{TIMES}{BELOW}?{END}(?:(?P<by>{SPACE}?[x×]{SPACE}?(?=\d))|{TO}|(?<=[hsgml])\.(?={SPACE}[a-záéíóúñ]|{SPACE}?$))?",
        measure,
    ),
    rule("measure", rf"{S}{N}(?P<scale>)(?P<unit>)(?P<power>)(?P<times>){BARE_BELOW}{END}(?P<to>)(?P<by>)", measure),
    rule("measure", rf"{POWER_OF_NUMBER}{SPACE}(?P<unit>{UNIT}){END}", with_power_of_ten),
    rule("measure", rf"{N}-(?P<letter>[a-zA-Z])(?![{LETTER}\d])", with_letter),
)
RATE_ALONE = Rule(
    "measure",
    re.compile(
        rf"(?P<unit>km|cm|mm|kg|mg|µg|μg|ng|ml|mL|kcal|kWh|MB|GB|Mb|Gb|kB|hab\.?|g|l|L|m)/(?P<below>h|s|min|km|m|L|l|dl|dL|ml|mL|kg|día)"
        rf"(?P<power2>[²³]|(?<=m)[23])?(?![{LETTER}\d/])"
    ),
    rate_alone,
)
