"""Written Spanish → words. The expected words follow the Ortografía of the RAE, not what the code gives."""

import pytest

from chatterbox_es.errors import UserError
from chatterbox_es.text import FrontEnd

SPAIN, MEXICO = "es_ES", "es_MX"


def words(text: str, locale: str = SPAIN) -> str:
    return FrontEnd("castilian", locale=locale).read(text).words


CASES = {
    "cardinals": [
        ("Tengo 21 libros.", "tengo veintiún libros."),
        ("Vi 201 casas y 31 noches", "vi doscientas una casas y treinta y una noches"),
        ("501 problemas", "quinientos un problemas"),
        ("21 ciudades", "veintiuna ciudades"),
        ("Página 21.", "página veintiuno."),
        ("1 libro, 1 casa, 1", "un libro, una casa, uno"),
        ("1.000.000 personas", "un millón de personas"),
        ("-5", "menos cinco"),
        ("16, 22, 26, 0, 100, 101", "dieciséis, veintidós, veintiséis, cero, cien, ciento uno"),
        ("1001 y 2021", "mil uno y dos mil veintiuno"),
        ("21000 casas", "veintiuna mil casas"),
        ("3 mil y 2 millones", "tres mil y dos millones"),
        ("007", "cero cero siete"),
    ],
    "ordinals": [
        ("el 1.º, la 2.ª y el 3.er piso", "el primero, la segunda y el tercer piso"),
        ("la 21.ª vez", "la vigesimoprimera vez"),
        ("el 45.º", "el cuadragésimo quinto"),
        ("3ro y 4ta", "tercero y cuarta"),
    ],
    "decimals": [
        ("3,5 y 0,05", "tres coma cinco y cero coma cero cinco"),
        ("1.234,56", "mil doscientos treinta y cuatro coma cincuenta y seis"),
        ("1,234.56", "mil doscientos treinta y cuatro punto cincuenta y seis"),
        ("2,5 kilos", "dos coma cinco kilos"),
    ],
    "fractions": [
        ("3/4 de taza", "tres cuartos de taza"),
        ("2/3 partes", "dos terceras partes"),
        ("½ litro y 2½", "medio litro y dos y medio"),
        ("1/12", "un doceavo"),
    ],
    "percentages": [("50 % y 3,5%", "cincuenta por ciento y tres coma cinco por ciento")],
    "money": [
        ("20 € y €20", "veinte euros y veinte euros"),
        ("1,01 €", "un euro un céntimo"),
        ("21 £", "veintiuna libras"),
        ("3 millones de euros", "tres millones de euros"),
        ("1.000.000 €", "un millón de euros"),
        ("USD 25", "veinticinco dólares estadounidenses"),
    ],
    "dates": [
        ("El 12/10/1492.", "el doce de octubre de mil cuatrocientos noventa y dos."),
        ("2024-02-29", "veintinueve de febrero de dos mil veinticuatro"),
        ("12/31/1999", "treinta y uno de diciembre de mil novecientos noventa y nueve"),
        ("el 5 de mayo de 1862", "el cinco de mayo de mil ochocientos sesenta y dos"),
        ("3 ene. 2020", "tres de enero de dos mil veinte"),
    ],
    "times": [
        ("a las 15:30", "a las quince y media"),
        ("A la 1:15.", "a la una y cuarto."),
        ("Son las 3 p. m. y ya", "son las tres de la tarde y ya"),
        ("a las 21:01 h", "a las veintiuna y uno"),
        ("a las 13.45", "a las trece y cuarenta y cinco"),
        ("15 h", "quince horas"),
        ("2 h 30 min", "dos y media"),
    ],
    "ranges": [
        ("de 10-15 años", "de diez a quince años"),
        ("entre 1936-1939", "entre mil novecientos treinta y seis y mil novecientos treinta y nueve"),
        ("20-25 °C", "veinte a veinticinco grados centígrados"),
        ("5 - 3", "cinco menos tres"),
    ],
    "measures": [
        ("120 km/h y 3 m²", "ciento veinte kilómetros por hora y tres metros cuadrados"),
        ("1 kg, 21 t", "un kilogramo, veintiuna toneladas"),
        ("-3 °C", "menos tres grados centígrados"),
        ("5G y 4K", "cinco g y cuatro k"),
        ("1/2 mm", "medio milímetro"),
    ],
    "telephones": [
        ("Llama al 912 345 678.", "llama al nueve uno dos tres cuatro cinco seis siete ocho."),
        ("+34 612 34 56 78", "más tres cuatro seis uno dos tres cuatro cinco seis siete ocho"),
        ("Tel. 600123456", "teléfono seis cero cero uno dos tres cuatro cinco seis"),
        ("900.000.000 personas", "novecientos millones de personas"),
    ],
    "roman numerals": [
        ("el siglo XXI y el siglo V", "el siglo veintiuno y el siglo quinto"),
        ("Felipe VI, Isabel II y Juan XXIII", "felipe sexto, isabel segunda y juan veintitrés"),
        ("capítulo IV", "capítulo cuatro"),
        ("La II Guerra y el III Congreso", "la segunda guerra y el tercer congreso"),
        ("mi vida civil, di que vivo", "mi vida civil, di que vivo"),
        ("Mi CD", "mi c d"),
    ],
    "abbreviations": [
        ("El Sr. Ruiz y la Dra. Pérez", "el señor ruiz y la doctora pérez"),
        ("en EE. UU. y en EEUU", "en estados unidos y en estados unidos"),
        ("pág. 5 y n.º 3", "página cinco y número tres"),
        ("Pan, vino, etc. Luego nada.", "pan, vino, etcétera. luego nada."),
        ("El no. Y el sí.", "el no. y el sí."),
        ("J. R. R. Tolkien", "j r r tolkien"),
        ("pan y/o vino", "pan y o vino"),
    ],
    "acronyms": [
        ("la ONU, la OTAN y RENFE", "la onu, la otan y renfe"),
        ("el DNI, la ONG, la UE y un USB", "el d n i, la o n g, la u e y un u s b"),
        ("ESTO ES UN GRITO DE GOL", "esto es un grito de gol"),
    ],
    "addresses": [
        ("ana@gmail.com", "ana arroba gmail punto com"),
        ("xyz@abc.es", "x y z arroba a b c punto e s"),
        ("www.rae.es", "w w w punto r a e punto e s"),
        ("#HolaMundo2020", "hashtag hola mundo dos mil veinte"),
        ("versión 3.10.2", "versión tres punto diez punto dos"),
    ],
    "symbols": [
        ("Pérez & Gómez", "pérez y gómez"),
        ("α y β", "alfa y beta"),
        ("H₂O, CO₂ y CO2", "h dos o, c o dos y c o dos"),
        ("10⁶ y x²", "diez elevado a seis y x al cuadrado"),
        ("(hola) «mundo»", "hola, mundo"),
        ("teórico-práctico", "teórico práctico"),
        ("Москва, Łódź, façade", "moskva, lódz, fasade"),
    ],
    "punctuation": [
        ("hola,mundo... ¿qué??? ¡¡no!!", "hola, mundo… ¿qué? ¡no!"),
        ("—No —dijo—. Sí", "no — dijo. sí"),
        ("  dos\n espacios\t ", "dos espacios"),
    ],
}


@pytest.mark.parametrize(("written", "spoken"), [case for cases in CASES.values() for case in cases])
def test_is_read_as_spaniards_read_it(written, spoken):
    assert words(written) == spoken


@pytest.mark.parametrize(
    ("written", "in_spain", "in_mexico"),
    [
        ("1.234", "mil doscientos treinta y cuatro", "uno punto veintitrés cuatro"),
        ("1,234", "uno coma veintitrés cuatro", "mil doscientos treinta y cuatro"),
        ("1.234,5", "mil doscientos treinta y cuatro coma cinco", "mil doscientos treinta y cuatro coma cinco"),
        ("1,000,000", "un millón", "un millón"),
        ("$5", "cinco dólares", "cinco pesos"),
        ("1.30", "una y media", "uno punto treinta"),
    ],
)
def test_what_can_be_read_two_ways_follows_the_locale(written, in_spain, in_mexico):
    assert (words(written, SPAIN), words(written, MEXICO)) == (in_spain, in_mexico)


def test_an_unknown_locale_names_the_known_ones():
    with pytest.raises(UserError, match="es_XX.*es_ES.*es_MX"):
        FrontEnd(locale="es_XX")


def test_spans_say_what_was_changed_and_where():
    text = "El Sr. Ruiz pagó 20 € en 2021 😀."
    reading = FrontEnd().read(text)
    assert [(span.written, span.spoken, span.kind) for span in reading.spans] == [
        ("Sr.", "señor", "abbreviation"),
        ("20 €", "veinte euros", "money"),
        ("2021", "dos mil veintiuno", "cardinal"),
        ("😀", "", "dropped"),
    ]
    assert all(reading.text[span.start : span.end] == span.written for span in reading.spans)
    assert [span.written for span in reading.unknown] == ["😀"]


def test_what_no_reader_knows_is_reported_and_the_rest_is_said():
    reading = FrontEnd().read("dos 東京 casas")
    assert reading.words == "dos casas"
    assert [(span.written, span.kind) for span in reading.unknown] == [("東", "unknown"), ("京", "unknown")]


@pytest.mark.parametrize("text", ["", "   ", "...", "😀", "¿?", "東京"])
def test_a_text_without_speech_is_not_speakable(text):
    reading = FrontEnd().read(text)
    assert not reading.is_speakable
    assert reading.ids[0] == 1 and reading.ids[-1] == 2


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("¡HOLA, ANA!", "¡hola, ana!"),
        ("NO ENTRAR", "no entrar"),
        ("SE VENDE", "se vende"),
        ("PSOE, PP", "psoe, p p"),
        ("La ONU no vino", "la onu no vino"),
    ],
)
def test_words_in_capitals_are_words_where_nothing_is_in_small_letters(written: str, words: str) -> None:
    assert FrontEnd().read(written).words == words
