"""Money: signs and codes before or behind the amount, with the smaller coin's name.

`$` is the money of the locale: dólares in es_ES and es_419, pesos in es_MX, es_AR, es_CL, es_CO, es_DO, es_UY.
"""

import re
from dataclasses import dataclass

from chatterbox_es.text import numbers
from chatterbox_es.text.written import NUMBER, SCALE, SPACE, Place, Rule, amount, rule


@dataclass(frozen=True, slots=True)
class Money:
    """A money's names: one and many, gender, and the hundredth part's."""

    one: str
    many: str
    gender: str
    small: str
    smalls: str


# code: one, many, gender, hundredth
TABLE = """
EUR|euro|euros|m|céntimo
USD|dólar|dólares|m|centavo
GBP|libra|libras|f|penique/peniques
MXN|peso|pesos|m|centavo
ARS|peso|pesos|m|centavo
CLP|peso|pesos|m|centavo
COP|peso|pesos|m|centavo
DOP|peso|pesos|m|centavo
UYU|peso|pesos|m|centésimo
CUP|peso|pesos|m|centavo
PHP|peso filipino|pesos filipinos|m|centavo
US$|dólar estadounidense|dólares estadounidenses|m|centavo
CAD|dólar canadiense|dólares canadienses|m|centavo
AUD|dólar australiano|dólares australianos|m|centavo
NZD|dólar neozelandés|dólares neozelandeses|m|centavo
HKD|dólar de hong kong|dólares de hong kong|m|centavo
SGD|dólar de singapur|dólares de singapur|m|centavo
CHF|franco suizo|francos suizos|m|céntimo
FR|franco|francos|m|céntimo
JPY|yen|yenes|m|sen/sen
CNY|yuan|yuanes|m|fen/fen
KRW|won|wones|m|jeon/jeon
INR|rupia|rupias|f|paisa
RUB|rublo|rublos|m|kopek/kopeks
BRL|real brasileño|reales brasileños|m|centavo
PEN|sol|soles|m|céntimo
BOB|boliviano|bolivianos|m|centavo
VES|bolívar|bolívares|m|céntimo
CRC|colón|colones|m|céntimo
SVC|colón salvadoreño|colones salvadoreños|m|centavo
GTQ|quetzal|quetzales|m|centavo
HNL|lempira|lempiras|m|centavo
NIO|córdoba|córdobas|m|centavo
PAB|balboa|balboas|m|centésimo
PYG|guaraní|guaraníes|m|céntimo
AWG|florín arubeño|florines arubeños|m|centavo
ANG|florín antillano|florines antillanos|m|centavo
SEK|corona sueca|coronas suecas|f|öre/öre
NOK|corona noruega|coronas noruegas|f|öre/öre
DKK|corona danesa|coronas danesas|f|öre/öre
CZK|corona checa|coronas checas|f|céntimo
KR|corona|coronas|f|céntimo
MK|marco|marcos|m|penique/peniques
DEM|marco alemán|marcos alemanes|m|penique/peniques
ESP|peseta|pesetas|f|céntimo
TRY|lira turca|liras turcas|f|kurus/kurus
ILS|séquel|séqueles|m|agorot/agorot
UAH|grivna|grivnas|f|kopek/kopeks
VND|dong|dongs|m|hao/hao
PLN|esloti|eslotis|m|céntimo
ZAR|rand|rands|m|centavo
THB|bat|bats|m|satang/satang
MAD|dírham marroquí|dírhams marroquíes|m|céntimo
AED|dírham|dírhams|m|fils/fils
SAR|riyal saudí|riyales saudíes|m|halala
EGP|libra egipcia|libras egipcias|f|piastra
HUF|forinto|forintos|m|fillér/fillér
BTC|bitcóin|bitcoines|m|céntimo
"""


def _moneys() -> dict[str, Money]:
    moneys = {}
    for row in TABLE.split("\n"):
        if row:
            code, one, many, gender, small = row.split("|")
            small, _, smalls = small.partition("/")
            moneys[code] = Money(one, many, gender, small, smalls or small + "s")
    return moneys


MONEYS = _moneys()
SIGNS = {
    "€": "EUR", "£": "GBP", "¥": "JPY", "₩": "KRW", "₹": "INR", "₽": "RUB", "₡": "CRC", "₧": "ESP", "₿": "BTC",
    "₺": "TRY", "₪": "ILS", "₫": "VND", "₲": "PYG", "₱": "PHP", "₴": "UAH", "฿": "THB", "R$": "BRL", "S/": "PEN",
    "US$": "US$", "U$S": "US$", "RD$": "DOP", "MX$": "MXN", "Q": "GTQ", "L": "HNL", "C$": "NIO", "B/.": "PAB",
    "RS": "INR", "₨": "INR", "BS": "BOB", "PTS": "ESP", "PTAS": "ESP", "KČ": "CZK", "ZŁ": "PLN", "CN¥": "CNY",
    "¢": "USD",
}  # fmt: skip
BEFORE_ONLY = ("Q", "L", "S/", "C$", "B/.", "R$", "BS")  # one letter behind a number is a unit
CODES = [code for code in MONEYS if code.isalpha()]
SIGN_NAMES = sorted([sign for sign in SIGNS if sign != "¢"], key=len, reverse=True)
BEFORE = "|".join(re.escape(name) for name in [*SIGN_NAMES, *CODES, "$"])
BEHIND = "|".join(
    re.escape(name) + (r"(?![a-záéíóúñ])" if name[-1].isalpha() else "")
    for name in [*SIGN_NAMES, *CODES, "$"]
    if name not in BEFORE_ONLY
)


def _money(written: str, place: Place) -> Money:
    written = written.upper()
    return MONEYS[place.locale.dollar if written == "$" else SIGNS.get(written, written)]


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
    """€ 2 billones, $1,50, 5 us$."""
    unit = _money(match["money"], place)
    number = amount(match["number"], place.locale)
    sign = "menos " if match["sign"] else ""
    if match["scale"]:
        return f"{sign}{number.words(before_noun=True)} {match['scale'].lower()} de {unit.many}".replace(
            "mil de", "mil"
        )
    if len(number.behind) == 2:
        return sign + _with_coins(number.whole, number.behind, unit)
    if number.is_one:
        return f"{sign}{'una' if unit.gender == 'f' else 'un'} {unit.one}"
    words = number.words(unit.gender, before_noun=True)
    of = "de " if words.endswith(("llón", "llones")) else ""
    return f"{sign}{words} {of}{unit.many}"


S = r"(?P<sign>[-−])?"
N = f"(?P<number>{NUMBER})"
SCALED = rf"(?:{SCALE.pattern.replace('(mil|', '(?P<scale>mil|')})?"
MONEY: tuple[Rule, ...] = (rule("money", rf"{S}{N}(?:{SCALED}){SPACE}?(?P<money>{BEHIND})", money),)
MONEY_BEFORE: tuple[Rule, ...] = (
    rule("money", rf"{S}(?P<money>{BEFORE}){SPACE}?{S.replace('sign', 'sign2')}{N}{SCALED}", money),
)
