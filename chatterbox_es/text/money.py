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
USD|dólar estadounidense|dólares estadounidenses|m|centavo
GBP|libra esterlina|libras esterlinas|f|penique/peniques
£|libra|libras|f|penique/peniques
₹|rupia|rupias|f|paisa
$|dólar|dólares|m|centavo
$$|peso|pesos|m|centavo
MXN|peso mexicano|pesos mexicanos|m|centavo
ARS|peso argentino|pesos argentinos|m|centavo
CLP|peso chileno|pesos chilenos|m|centavo
COP|peso colombiano|pesos colombianos|m|centavo
DOP|peso dominicano|pesos dominicanos|m|centavo
UYU|peso uruguayo|pesos uruguayos|m|centésimo
CUP|peso cubano|pesos cubanos|m|centavo
CUC|peso convertible|pesos convertibles|m|centavo
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
INR|rupia india|rupias indias|f|paisa
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
VEF|bolívar|bolívares|m|céntimo
RON|leu rumano|leus rumanos|m|ban/bani
BGN|lev búlgaro|levs búlgaros|m|stotinki/stotinki
ISK|corona islandesa|coronas islandesas|f|aurar/aurar
HRK|kuna|kunas|f|lipa
RSD|dinar serbio|dinares serbios|m|para
ALL|lek|leks|m|qindarka
MKD|denar macedonio|denares macedonios|m|deni
MDL|leu moldavo|leus moldavos|m|ban/bani
BYN|rublo bielorruso|rublos bielorrusos|m|kopek/kopeks
GEL|lari|laris|m|tetri
AMD|dram|drams|m|luma
AZN|manat azerí|manats azeríes|m|kopek/kopeks
KZT|tenge|tenges|m|tiyin/tiyin
UZS|som uzbeko|soms uzbekos|m|tiyin/tiyin
KGS|som kirguís|soms kirguises|m|tiyin/tiyin
MNT|tugrik|tugriks|m|mongo
PKR|rupia pakistaní|rupias pakistaníes|f|paisa
LKR|rupia de sri lanka|rupias de sri lanka|f|centavo
NPR|rupia nepalesa|rupias nepalesas|f|paisa
MUR|rupia mauriciana|rupias mauricianas|f|centavo
IDR|rupia indonesia|rupias indonesias|f|sen/sen
BDT|taka|takas|f|paisa
MYR|ringit|ringits|m|sen/sen
MOP|pataca|patacas|f|avo
TWD|nuevo dólar taiwanés|nuevos dólares taiwaneses|m|centavo
KHR|riel|rieles|m|sen/sen
LAK|kip|kips|m|att/att
MMK|kiat|kiats|m|pya
KPW|won norcoreano|wones norcoreanos|m|chon/chon
QAR|riyal catarí|riyales cataríes|m|dirham/dirhams
OMR|rial omaní|riales omaníes|m|baisa
YER|rial yemení|riales yemeníes|m|fils/fils
IRR|rial iraní|riales iraníes|m|dinar/dinares
KWD|dinar kuwaití|dinares kuwaitíes|m|fils/fils
BHD|dinar bareiní|dinares bareiníes|m|fils/fils
IQD|dinar iraquí|dinares iraquíes|m|fils/fils
JOD|dinar jordano|dinares jordanos|m|piastra
LYD|dinar libio|dinares libios|m|dirham/dirhams
TND|dinar tunecino|dinares tunecinos|m|milésimo
DZD|dinar argelino|dinares argelinos|m|céntimo
LBP|libra libanesa|libras libanesas|f|piastra
SYP|libra siria|libras sirias|f|piastra
SDG|libra sudanesa|libras sudanesas|f|piastra
FKP|libra malvinense|libras malvinenses|f|penique/peniques
GIP|libra de gibraltar|libras de gibraltar|f|penique/peniques
NGN|naira|nairas|f|kobo
GHS|cedi|cedis|m|pesewa
KES|chelín keniano|chelines kenianos|m|centavo
UGX|chelín ugandés|chelines ugandeses|m|centavo
TZS|chelín tanzano|chelines tanzanos|m|centavo
ETB|bir|bires|m|céntimo
RWF|franco ruandés|francos ruandeses|m|céntimo
XAF|franco c f a|francos c f a|m|céntimo
XOF|franco c f a|francos c f a|m|céntimo
XPF|franco c f p|francos c f p|m|céntimo
GNF|franco guineano|francos guineanos|m|céntimo
CDF|franco congoleño|francos congoleños|m|céntimo
AOA|kuanza|kuanzas|m|céntimo
MZN|metical|meticales|m|centavo
CVE|escudo caboverdiano|escudos caboverdianos|m|centavo
BWP|pula|pulas|m|thebe
NAD|dólar namibio|dólares namibios|m|centavo
ZMW|kuacha|kuachas|m|ngwee/ngwee
HTG|gurde|gurdes|m|céntimo
JMD|dólar jamaicano|dólares jamaicanos|m|centavo
TTD|dólar de trinidad y tobago|dólares de trinidad y tobago|m|centavo
BBD|dólar barbadense|dólares barbadenses|m|centavo
BSD|dólar bahameño|dólares bahameños|m|centavo
BZD|dólar beliceño|dólares beliceños|m|centavo
BMD|dólar de bermudas|dólares de bermudas|m|centavo
KYD|dólar de las islas caimán|dólares de las islas caimán|m|centavo
XCD|dólar del caribe oriental|dólares del caribe oriental|m|centavo
GYD|dólar guyanés|dólares guyaneses|m|centavo
SRD|dólar surinamés|dólares surinameses|m|centavo
FJD|dólar fiyiano|dólares fiyianos|m|centavo
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
    "€": "EUR", "£": "£", "$": "$", "¥": "JPY", "₩": "KRW", "₹": "₹", "₽": "RUB", "₡": "CRC", "₧": "ESP", "₿": "BTC",
    "₺": "TRY", "₪": "ILS", "₫": "VND", "₲": "PYG", "₱": "PHP", "₴": "UAH", "฿": "THB", "R$": "BRL", "S/": "PEN",
    "US$": "US$", "U$S": "US$", "RD$": "$$", "MX$": "MXN", "MEX$": "MXN", "COL$": "COP",
    "AR$": "ARS", "ARG$": "ARS", "USD$": "US$",
    "A$": "AUD", "AU$": "AUD", "NZ$": "NZD",
    "CA$": "CAD", "CAN$": "CAD", "HK$": "HKD", "NT$": "TWD", "S$": "SGD", "₦": "NGN", "₸": "KZT", "₮": "MNT", "₭": "LAK",
    "₵": "GHS", "৳": "BDT", "₼": "AZN", "₾": "GEL", "֏": "AMD", "﷼": "IRR", "S/.": "PEN", "BS.": "BOB", "BS.F.": "VEF",
    "KR.": "KR", "RS.": "₹", "BS.S.": "VES", "MXN$": "MXN", "Q": "GTQ", "L": "HNL", "C$": "NIO", "B/.": "PAB",
    "RS": "₹", "₨": "₹", "BS": "BOB", "PTAS": "ESP", "KČ": "CZK", "ZŁ": "PLN", "CN¥": "CNY",
    "¢": "USD",
}  # fmt: skip
LIKE_WORDS = frozenset(("ALL", "RON", "GEL", "MOP", "MUR", "LAK"))  # in small letters these are words
# one letter behind a number is a unit
BEFORE_ONLY = ("Q", "L", "S/", "C$", "B/.", "R$", "BS", "S/.", "BS.", "BS.F.", "BS.S.", "A$", "S$")
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
    """€ 2 billones, $1,50, 5 us$."""
    if match["money"].islower() and match["money"].upper() in LIKE_WORDS:
        return None
    groups = match.groupdict()
    unit = _money(match["money"], place)
    if named := groups.get("named"):
        named = re.sub(SPACE, " ", named)
        unit = MONEYS[{"pesos": "$$", "dólares": "$"}.get(named.lower(), named.upper())]
    number = amount(match["number"], place.locale)
    sign = "menos " if match["sign"] or groups.get("sign2") else ""
    if big := (match["big"] or groups.get("big2") or "").lower():
        many = BIG[big]
        if big in ("mdp", "mdd"):
            unit = MONEYS["$$" if big == "mdp" else "$"]
        one = many == "millones" and number.is_one
        of = "" if many == "mil" else "de "
        return f"{sign}{number.words(before_noun=True)} {'millón' if one else many} {of}{unit.many}"
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
# $5M, 3 M€, $2.5 mdp
BIG = {"m": "millones", "mm": "millones", "mdp": "millones", "mdd": "millones", "k": "mil", "bn": "mil millones"}
LETTER_BEHIND = r"(?![a-záéíóúñ\d])"
NAMED = rf"(?:{SPACE}(?P<named>{'|'.join(CODES)}|pesos|dólares){LETTER_BEHIND})?"
MONEY: tuple[Rule, ...] = (rule("money", rf"{S}{N}(?:{SCALED}){SPACE}?(?P<big>[mk](?=[€$£]))?(?P<money>{BEHIND})", money),)
MONEY_BEFORE: tuple[Rule, ...] = (
    rule("money", rf"{S}(?P<money>{BEFORE}){SPACE}?{S.replace('sign', 'sign2')}{N}(?:(?P<big>[mk]|mm|bn){LETTER_BEHIND}"
        rf"|{SPACE}(?P<big2>mdp|mdd){LETTER_BEHIND}|{SCALED}{NAMED})", money),
)
