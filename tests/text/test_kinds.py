"""Kinds of written text that people really have, one `written → words` a line; after the RAE and common usage."""

import pytest

from chatterbox_es.text import FrontEnd

SPAIN, MEXICO = FrontEnd(locale="es_ES"), FrontEnd(locale="es_MX")

CAPITALS = """
Estoy MUY cansada y YA NO puedo → estoy muy cansada y ya no puedo
LA CASA DE PAPEL es una serie → la casa de papel es una serie
Hoy ES fiesta, MAÑANA NO → hoy es fiesta, mañana no
la UE, la OTAN y el IRPF → la u e, la otan y el i r p f
los SE de la regresión → los s e de la regresión
¿Es ESO? Sí, en la ESO → ¿es eso? sí, en la e s o
un regalo para TI, del sector TI → un regalo para ti, del sector t i
la A-3 y un MP4 → la a tres y un m p cuatro
¡GOOOL de España! → ¡goool de españa!
la dirección NO-SE → la dirección n o s e
"""
ROMAN_NUMERALS = """
la V Feria y el X Congreso → la quinta feria y el décimo congreso
VII Jornadas de Lengua → séptimas jornadas de lengua
los IV Juegos y las III Olimpiadas → los cuartos juegos y las terceras olimpiadas
la I y II Guerra Mundial → la primera y segunda guerra mundial
Rambo III y Apolo XIII → rambo tres y apolo trece
vols. II y V → volúmenes dos y cinco
capítulos I-III → capítulos uno a tres
el rey Evágoras II reinó aquí → el rey evágoras segundo reinó aquí
3-XI-1931 y 7/II/99 → tres de noviembre de mil novecientos treinta y uno y siete de febrero de mil novecientos noventa y nueve
S. XIX → siglo diecinueve
tallas M, L y XL → tallas m, l y x l
Ayer VI a DI STÉFANO y a MI tío → ayer vi a di stéfano y a mi tío
Juan V. Ruiz y Malcolm X → juan v ruiz y malcolm x
la clase C y el grupo X → la clase c y el grupo x
MDCCLXXVI → mil setecientos setenta y seis
"""
SLASHES = """
martes 7/8 y miércoles, 8/8 → martes siete de agosto y miércoles, ocho de agosto
del 2/5 al 9/6 → del dos de mayo al nueve de junio
el 31/12 → el treinta y uno de diciembre
Fecha: 4/7 → fecha: cuatro de julio
2/3 de los votos y 5/6 → dos tercios de los votos y cinco sextos
Ley 39/2015 y expediente 7/2021 → ley treinta y nueve de dos mil quince y expediente siete de dos mil veintiuno
Directiva 95/46/CE → directiva noventa y cinco cuarenta y seis c e
temporada 97/98 → temporada noventa y siete noventa y ocho
reparto 60/40 → reparto sesenta cuarenta
tres libros c/u → tres libros cada uno
"""
RANGES_AND_RATES = """
15€-25€ y $5-$8 → quince euros a veinticinco euros y cinco dólares a ocho dólares
$3-4 millones → tres a cuatro millones de dólares
-8-12 °C → menos ocho a doce grados centígrados
3 kg - 5 kg → tres kilogramos a cinco kilogramos
40 €/noche, 3 €/kg y 9 €/m² → cuarenta euros por noche, tres euros por kilogramo y nueve euros por metro cuadrado
90 km/hora, 3 veces/día → noventa kilómetros por hora, tres veces por día
80 hab./km² → ochenta habitantes por kilómetro cuadrado
7 l/100 km → siete litros a los cien kilómetros
12 casos/100.000 habitantes → doce casos por cada cien mil habitantes
2,5 MM€, 4 M€ → dos coma cinco millones de euros, cuatro millones de euros
30 mil mdd y 1 mdp → treinta mil millones de dólares y un millón de pesos
a 1.800 msnm → a mil ochocientos metros sobre el nivel del mar
4 N·m y 2^5 → cuatro newtons metro y dos elevado a cinco
30 ° K → treinta grados kelvin
2 1/2 t y 4 2/3 m → dos y media toneladas y cuatro y dos tercios de metro
1 r$, BOP 3 → un real, tres pesos bolivianos
ext. 45 → extensión cuatro cinco
10h05m00s → diez y cinco
en km/h → en kilómetros por hora
"""
ORDINALS_AS_TYPED = """
la 4a vez, el 6o día y mi 1era casa → la cuarta vez, el sexto día y mi primera casa
3ero, 2nda, 5tos y 1ra. vez → tercero, segunda, quintos y primera vez
16avos y 30ava → dieciseisavos y treintava
2.° de junio y 1.° B → dos de junio y primero b
apartado 2a y B12a → apartado dos a y b doce a
"""
RATIOS = """
38'4 °C, 6'50 € y 9’5 → treinta y ocho coma cuatro grados centígrados, seis euros cincuenta céntimos y nueve coma cinco
2'750.000 pesos → dos millones setecientos cincuenta mil pesos
4:3 y 1:25.000 → cuatro a tres y uno a veinticinco mil
proporción 1:12 → proporción uno a doce
Lucas 15:11 y Mateo 5:3-12 → lucas quince once y mateo cinco tres a doce
ganó 4:1 → ganó cuatro uno
a las 4:15 → a las cuatro y cuarto
"""
ABBREVIATIONS = """
Mª Luz, M.ª Paz, Fco. Rey y Da. Eva → maría luz, maría paz, francisco rey y doña eva
FF. CC., RR. HH. y VV. AA. → ferrocarriles, recursos humanos y varios autores.
Cemex, S.A. de C.V. es grande → cemex, sociedad anónima de capital variable es grande
pp. 7 y ss. → páginas siete y siguientes
Tlf: 911234567 → teléfono: nueve uno uno dos tres cuatro cinco seis siete
Edif. Sol, esc. 1, pta. 4 → edificio sol, escalera uno, puerta cuatro
Q. E. P. D. → que en paz descanse
Lo da. Ana viene. No es apto. Vale → lo da. ana viene. no es apto. vale
Washington D. C. y 90 d. C. → washington d c y noventa después de cristo
el Cap. Alatriste, cap. 3 → el capitán alatriste, capítulo tres
"""
AGREEMENT = """
200 razones, 300 tribus, 500 síntesis → doscientas razones, trescientas tribus, quinientas síntesis
200 aviones, 300 corazones, 500 planetas → doscientos aviones, trescientos corazones, quinientos planetas
1 tesis, 1 foto, 1 vez y 1 tema → una tesis, una foto, una vez y un tema
1 arma, 1 aula y 1 alta torre → un arma, un aula y una alta torre
1 de cada 4 mujeres y 21 de ellas → una de cada cuatro mujeres y veintiuna de ellas
unas 200, otras 500 → unas doscientas, otras quinientas
200 grandes ciudades y 200 agentes suecas → doscientas grandes ciudades y doscientas agentes suecas
Quedó 1 solo y 1 solo hombre → quedó uno solo y un solo hombre
"""
FACES = """
Hola :-) adiós XD → hola adiós
a las 8:30 y son 3:D → a las ocho y media y son tres: d
"""
CASES = [
    (written, words)
    for lines in (
        CAPITALS, ROMAN_NUMERALS, SLASHES, RANGES_AND_RATES, ORDINALS_AS_TYPED, RATIOS, ABBREVIATIONS, AGREEMENT, FACES,
    )
    for written, words in (line.split(" → ") for line in lines.strip().split("\n"))
]  # fmt: skip


@pytest.mark.parametrize(("written", "words"), CASES, ids=[case[0] for case in CASES])
def test_a_kind_is_read_and_read_again_the_same(written: str, words: str) -> None:
    assert SPAIN.read(written).words == words
    assert SPAIN.read(words).words == words


def test_the_locale_counts_in_rates_too() -> None:
    assert MEXICO.read("$1,250.50/mes").words == "mil doscientos cincuenta pesos cincuenta centavos por mes"


def test_a_sentence_that_ends_in_a_numeral_ends_there() -> None:
    assert SPAIN.read("Fue en el siglo V. Roma cayó.").sentences == ("Fue en el siglo V.", "Roma cayó.")
    assert SPAIN.read("Llegó J. Pérez.").sentences == ("Llegó J. Pérez.",)
