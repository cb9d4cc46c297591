"""Money: signs and codes before or behind the amount, with the smaller coin's name.

`$` is the money of the locale: dólares in es_ES and es_419, pesos in es_MX, es_AR, es_CL, es_CO, es_DO, es_UY.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from chatterbox_es.text import numbers
from chatterbox_es.text.units import BELOW, rate
from chatterbox_es.text.written import NUMBER, SCALE, SPACE, TO, Place, Rule, alternatives, amount, rule


@dataclass(frozen=True, slots=True)
class Money:
    """A money's names: one and many, gender, and the hundredth part's."""

    one: str
    many: str
    gender: str
    small: str
    smalls: str


TABLE = Path(__file__).with_name("currencies.tsv")


def _moneys() -> dict[str, Money]:
    moneys = {}
    for row in TABLE.read_text(encoding="utf-8").splitlines():
        if not row.startswith("#"):
            code, one, many, gender, small = row.split("\t")
            small, _, smalls = small.partition("/")
            moneys[code] = Money(one, many, gender, small, smalls or small + "s")
    return moneys


MONEYS = _moneys()
SIGNS = {
    "€": "EUR", "£": "£", "$": "$", "¥": "JPY", "₩": "KRW", "₹": "₹", "₽": "RUB", "₡": "CRC", "₧": "ESP", "₿": "BTC",
    "₺": "₺", "₪": "ILS", "₫": "VND", "₲": "PYG", "₱": "PHP", "₴": "UAH", "฿": "THB", "R$": "R$", "S/": "PEN",
    "US$": "US$", "U$S": "US$", "RD$": "$$", "MX$": "MXN", "MEX$": "MXN", "COL$": "COP",
    "AR$": "ARS", "ARG$": "ARS", "USD$": "US$",
    "A$": "AUD", "AU$": "AUD", "NZ$": "NZD",
    "CA$": "CAD", "CAN$": "CAD", "HK$": "HKD", "NT$": "TWD", "S$": "SGD", "₦": "NGN", "₸": "KZT", "₮": "MNT", "₭": "LAK",
    "₵": "GHS", "৳": "BDT", "₼": "AZN", "₾": "GEL", "֏": "AMD", "﷼": "IRR", "S/.": "PEN", "BS.": "BOB", "BS.F.": "VEF",
    "KR.": "KR", "RS.": "₹", "BS.S.": "VES", "MXN$": "MXN", "Q": "GTQ", "L": "HNL", "C$": "NIO", "B/.": "PAB",
    "RS": "₹", "₨": "₹", "BS": "BOB", "PTAS": "ESP", "PTA": "ESP", "KČ": "CZK", "ZŁ": "PLN", "CN¥": "CNY",
    "¢": "USD",
}  # fmt: skip
LIKE_WORDS = frozenset(("ALL", "RON", "GEL", "MOP", "MUR", "LAK"))  # in small letters these are words
# one letter behind a number is a unit
BEFORE_ONLY = ("Q", "L", "S/", "B/.", "S/.", "BS.F.", "BS.S.", "A$", "S$", "BOP")
CODES = [code for code in MONEYS if code.isalpha()]
SIGN_NAMES = sorted([sign for sign in SIGNS if sign != "¢"], key=len, reverse=True)
BEFORE = alternatives([*SIGN_NAMES, *CODES, "$"])
BEHIND = "|".join(
    re.escape(name) + (r"(?![a-záéíóúñ])" if name[-1].isalpha() else "")
    for name in [*SIGN_NAMES, *CODES, "$"]
    if name not in BEFORE_ONLY
)


def _money(written: str, place: Place) -> Money:
    written = written.upper()
    if written == "$":
        written = "$" if place.locale.dollar == "USD" else place.locale.dollar if place.locale.dollar == "UYU" else "$$"
    return MONEYS[SIGNS.get(written, written)]


def _with_coins(whole: str, behind: str, money: Money) -> str:
    coins = int(behind)
    words = []
    if int(whole) or not coins:
        count = numbers.whole(whole, money.gender, before_noun=True)
        words.append(f"{count} {money.one if int(whole) == 1 else money.many}")
        if count.endswith(("llón", "llones")):
            words[-1] = f"{count} de {money.many}"
    if coins:
        gender = numbers.FEMININE if money.small.endswith("a") else numbers.MASCULINE
        coin = numbers.cardinal(coins, gender, before_noun=True).replace("uno", "un")
        words.append(f"{'una' if coins == 1 and gender == 'f' else coin} {money.small if coins == 1 else money.smalls}")
    return " ".join(words)


def money(match: re.Match, place: Place) -> str | None:
    """€ 2 billones, $1,50, 5 us$, 10€-20€, 30 €/noche."""
    if match["money"].islower() and match["money"].upper() in LIKE_WORDS:
        return None
    groups = match.groupdict()
    unit = _money(match["money"], place)
    if named := groups.get("named"):
        named = re.sub(SPACE, " ", named)
        unit = MONEYS[{"pesos": "$$", "dólares": "$"}.get(named.lower(), named.upper())]
    sign = "menos " if match["sign"] or groups.get("sign2") else ""
    if groups.get("upto"):
        first, last = amount(match["number"], place.locale), amount(groups["upto"], place.locale)
        if scale := groups["scale2"]:
            words = f"{first.words()} a {last.words(before_noun=True)}{scale.lower()} de {unit.many}"
            return sign + words.replace("mil de", "mil")
        return f"{sign}{first.words(unit.gender)} a {last.words(unit.gender, True)} {unit.many}"
    below = rate(match) if groups.get("below") else ""
    if below is None:
        return None
    words = _sum(match, groups, unit, place)
    return " ".join(filter(None, [sign.strip(), words, below, "a" if groups.get("to") else ""]))


def _sum(match: re.Match, groups: dict, unit: Money, place: Place) -> str:
    number = amount(match["number"], place.locale)
    if big := (match["big"] or groups.get("big2") or "").lower():
        many = BIG[big]
        if big in NAMED_BIG:
            unit = MONEYS[NAMED_BIG[big]]
        one = many == "millones" and number.is_one
        of = "" if many == "mil" else "de "
        return f"{number.words(before_noun=True)} {'millón' if one else many} {of}{unit.many}"
    if match["scale"]:
        return f"{number.words(before_noun=True)} {match['scale'].lower()} de {unit.many}".replace("mil de", "mil")
    if len(number.behind) == 2:
        return _with_coins(number.whole, number.behind, unit)
    if number.is_one:
        return f"{'una' if unit.gender == 'f' else 'un'} {unit.one}"
    words = number.words(unit.gender, before_noun=True)
    of = "de " if words.endswith(("llón", "llones")) else ""
    return f"{words} {of}{unit.many}"


def millions(match: re.Match, place: Place) -> str | None:
    """5 mdd, 20 mil mdd: millions of a money that the abbreviation names."""
    unit = MONEYS[NAMED_BIG[match["big"].lower()]]
    number = amount(match["number"], place.locale)
    if match["thousand"]:
        count = number.words(before_noun=True)
        return f"{'mil' if count == 'un' else count + ' mil'} millones de {unit.many}"
    return f"{number.words(before_noun=True)} {'millón' if number.is_one else 'millones'} de {unit.many}"


S = r"(?P<sign>[-−])?"
N = f"(?P<number>{NUMBER})"
SCALED = rf"(?:{SCALE.pattern.replace('(mil|', '(?P<scale>mil|')})?"
# $5M, 3 M€, 1,2 MM €, $2.5 mdp
NAMED_BIG = {"mdp": "$$", "mdd": "$", "mde": "EUR"}
BIG = {"m": "millones", "mm": "millones", "k": "mil", "bn": "mil millones"} | dict.fromkeys(NAMED_BIG, "millones")
LETTER_BEHIND = r"(?![a-záéíóúñ\d])"
NAMED = rf"(?:{SPACE}(?P<named>{'|'.join(CODES)}|pesos|dólares){LETTER_BEHIND})?"
BIG_BEHIND = rf"(?:(?P<big>mm|[mk])(?=[€$£])|(?-i:(?P<big2>MM|M|K)(?={SPACE}?(?:[€$£]|EUR|USD))))?"
UPTO = rf"(?:[-–](?P<upto>{NUMBER})(?P<scale2>{SCALE.pattern.replace('(mil|', '(?:mil|')})?(?![\d/%-]|{SPACE}?[€$]))?"
MONEY: tuple[Rule, ...] = (
    rule("money", rf"(?P<number>{NUMBER}){SPACE}(?P<thousand>mil{SPACE})?(?P<big>mdp|mdd|mde){LETTER_BEHIND}", millions),
    rule("money", rf"{S}{N}(?:{SCALED}){SPACE}?{BIG_BEHIND}{SPACE}?(?P<money>{BEHIND}){BELOW}?{TO}", money),
)
MONEY_BEFORE: tuple[Rule, ...] = (
    rule("money", rf"{S}(?P<money>{BEFORE}){SPACE}?{S.replace('sign', 'sign2')}{N}(?:(?P<big>[mk]|mm|bn){LETTER_BEHIND}"
        rf"|{SPACE}(?P<big2>mdp|mdd|mde){LETTER_BEHIND}|{SCALED}{NAMED}(?:{BELOW}|{UPTO}){TO})", money),
)
