"""Forms of each class of written Spanish, one `written → words` a line; after the RAE, not after what the code gives."""

import pytest

from chatterbox_es.text import FrontEnd

SPAIN, MEXICO = FrontEnd(locale="es_ES"), FrontEnd(locale="es_MX")

IN_SPAIN = """
1.000.001 → un millón uno
100 000 000 000 000 000 000 001 → cien mil trillones uno
21.000.000 → veintiún millones
a la 1 → a la una
siglo i → siglo primero
los siglos xv y xvi → los siglos quince y dieciséis
los 60s → los sesenta
#1 en ventas → número uno en ventas
1/2 → medio
1/2 taza y 2 1/2 tazas → media taza y dos y media tazas
1/16 → un dieciseisavo
2/1.000.000 → dos millonésimos
24/7 → veinticuatro siete
curso 2023/24 → curso dos mil veintitrés veinticuatro
120/80 mmHg → ciento veinte sobre ochenta milímetros de mercurio
21.000.º → veintiunmilésimo
1.ᵒ y 2.ᵃ → primero y segunda
un ángulo de 90º → un ángulo de noventa grados
juana i, alfonso x → juana primera, alfonso décimo
elizabeth ii → elizabeth segunda
Mi amiga y yo → mi amiga y yo
los XXV Juegos → los vigesimoquintos juegos
(123) 456-7890 → uno dos tres cuatro cinco seis siete ocho nueve cero
123 456 7890 → uno dos tres cuatro cinco seis siete ocho nueve cero
55 1234 5678 → cinco cinco uno dos tres cuatro cinco seis siete ocho
600-12-34-56 → seis cero cero uno dos tres cuatro cinco seis
ISBN 978-84-376-0494-7 → i s b n nueve siete ocho ocho cuatro tres siete seis cero cuatro nueve cuatro siete
5 am est → cinco de la mañana e s t
15:30 hrs → quince y media
2h30 → dos y media
9:00-18:00 → nueve a dieciocho
9 a.m.-5 p.m. → nueve de la mañana a cinco de la tarde
Corrió en 5'30". → corrió en cinco minutos y treinta segundos.
40° 25' N → cuarenta grados veinticinco minutos norte
una tele de 55" → una tele de cincuenta y cinco pulgadas
dijo "ya son 55" y calló → dijo ya son cincuenta y cinco y calló
Cocer 20 min. Servir. → cocer veinte minutos. servir.
1,80 x 2,00 m → uno coma ochenta por dos coma cero cero metros
220 v y 60 w → doscientos veinte voltios y sesenta vatios
calle 13B → calle trece b
5 kr. → cinco coronas
s/. 5, bs. 5 → cinco soles, cinco bolivianos
₦ 5 y 3 ₸ → cinco nairas y tres tenges
10 mxn → diez pesos mexicanos
gbp 1 → una libra esterlina
nz$ 5 → cinco dólares neozelandeses
€-5 → menos cinco euros
5 M€ → cinco millones de euros
OK, ok → okey, ok
c/ Mayor, s/n → calle mayor, sin número
2.ª ed., pp. 23-45 → segunda edición, páginas veintitrés a cuarenta y cinco
p. 5 → página cinco
S. A. R. la princesa → su alteza real la princesa
Ntra. Sra. → nuestra señora
1 cda. de sal → una cucharada de sal
señor/a, los/as → señor o señora, los o las
él/ella → él o ella
el VIH/sida → el v i h sida
estimad@s amig@s → estimados amigos
IVA, IRPF, DNI → iva, i r p f, d n i
NO HAY PAN HOY → no hay pan hoy
10 / 2 = 5 → diez entre dos igual a cinco
"""
IN_MEXICO = """
$1,299.00 MXN → mil doscientos noventa y nueve pesos mexicanos
$15.50 pesos → quince pesos cincuenta centavos
$20 USD → veinte dólares estadounidenses
$20 dólares → veinte dólares
$2.5 mdp → dos punto cinco millones de pesos
Tel. (55) 1234-5678 → teléfono cinco cinco uno dos tres cuatro cinco seis siete ocho
"""
CASES = [
    (front_end, *line.split(" → "))
    for front_end, lines in ((SPAIN, IN_SPAIN), (MEXICO, IN_MEXICO))
    for line in lines.strip().split("\n")
]


@pytest.mark.parametrize(("front_end", "written", "words"), CASES, ids=[case[1] for case in CASES])
def test_a_form_is_read_and_read_again_the_same(front_end: FrontEnd, written: str, words: str) -> None:
    assert front_end.read(written).words == words
    assert front_end.read(words).words == words
