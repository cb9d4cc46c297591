"""Abbreviations and symbols that stand for a word: el dr. → el doctor, EE. UU. → estados unidos."""

import re

from chatterbox_es.text.written import LETTER, SPACE, Place, Rule

# with a point, whatever the case. "!" after a form: only where a capital or a figure follows.
ABBREVIATIONS = """
sr.=señor|sra.=señora|srta.=señorita|sres.=señores|srs.=señores|sras.=señoras|dr.=doctor|dra.=doctora|dres.=doctores|
drs.=doctores|d.=don!|dña.=doña|d.ª=doña|dª=doña|prof.=profesor|profa.=profesora|lic.=licenciado|licda.=licenciada|
ing.=ingeniero|arq.=arquitecto|abog.=abogado|gral.=general|cnel.=coronel|cap.=capítulo|capt.=capitán|tte.=teniente|
sgto.=sargento|cmdt.=comandante|almte.=almirante|pdte.=presidente|pdta.=presidenta|mons.=monseñor|fr.=fray!|
hno.=hermano|hna.=hermana|hnos.=hermanos|sto.=santo|sta.=santa|rvdo.=reverendo|excmo.=excelentísimo|
excma.=excelentísima|ilmo.=ilustrísimo|ilma.=ilustrísima|ud.=usted|uds.=ustedes|vd.=usted|vds.=ustedes|
pág.=página|págs.=páginas|pag.=página|pags.=páginas|pg.=página!|art.=artículo!|arts.=artículos|núm.=número|
núms.=números|
num.=número!|n.º=número|nº=número|n°=número|n.ª=número|nro.=número|no.=número!#|cód.=código|vol.=volumen|
vols.=volúmenes|
ed.=edición!|edit.=editorial|fig.=figura!|figs.=figuras|ref.=referencia!|tel.=teléfono|teléf.=teléfono|tfno.=teléfono|
tlf.=teléfono|apdo.=apartado|dpto.=departamento|depto.=departamento|dto.=descuento!|av.=avenida|avda.=avenida|
avd.=avenida|c/=calle|pza.=plaza|plza.=plaza|pl.=plaza!|pº=paseo|p.º=paseo|ctra.=carretera|urb.=urbanización!|
esq.=esquina|
izq.=izquierda|izqda.=izquierda|izqdo.=izquierdo|dcha.=derecha|dcho.=derecho|prov.=provincia!|etc.=etcétera|ej.=ejemplo|
p. ej.=por ejemplo|p.ej.=por ejemplo|aprox.=aproximadamente|máx.=máximo|mín.=mínimo|admón.=administración|
cía.=compañía|adj.=adjunto!|atte.=atentamente|bco.=banco|cte.=corriente|gob.=gobierno!|ayto.=ayuntamiento|
fdo.=firmado|imp.=impuesto!|incl.=incluido!|min.=minuto!#|obs.=observación|pdo.=pasado|ppdo.=próximo pasado|
pral.=principal|s.a.=sociedad anónima|s. a.=sociedad anónima|s.l.=sociedad limitada|s. l.=sociedad limitada|
ss. mm.=sus majestades|s.m.=su majestad|s. m.=su majestad|s.s.=su santidad|s. s.=su santidad|
ee. uu.=estados unidos|ee.uu.=estados unidos|ee uu=estados unidos|eeuu=estados unidos|ff. aa.=fuerzas armadas|
ff.aa.=fuerzas armadas|cc. oo.=comisiones obreras|cc.oo.=comisiones obreras|cc. aa.=comunidades autónomas|
cc.aa.=comunidades autónomas|jj. oo.=juegos olímpicos|jj.oo.=juegos olímpicos|dd. hh.=derechos humanos|
dd.hh.=derechos humanos|rr. hh.=recursos humanos|rr.hh.=recursos humanos|rrhh=recursos humanos|
rr. pp.=relaciones públicas|s. a. r.=su alteza real|s.a.r.=su alteza real|bs. as.=buenos aires|
ntra.=nuestra|ntro.=nuestro|mtro.=maestro|mtra.=maestra|lcdo.=licenciado|lcda.=licenciada|ldo.=licenciado|lda.=licenciada|
blvd.=bulevar|col.=colonia!|int.=interior!#|cra.=carrera!|cda.=cucharada|cdas.=cucharadas|cdta.=cucharadita|
cdtas.=cucharaditas|nos.=números!#|n.o=número!#|pp.=páginas!#|p.=página!#|ibíd.=ibídem|ibid.=ibídem|s/n=sin número|
tfnos.=teléfonos|
a.c.=antes de cristo|a. c.=antes de cristo|d.c.=después de cristo|d. c.=después de cristo|
b.º=barrio|c.p.=código postal|c. p.=código postal|d.e.p.=descanse en paz|d. e. p.=descanse en paz|
q.e.p.d.=que en paz descanse|p. d.=posdata|p.d.=posdata|v. gr.=verbigracia|v.gr.=verbigracia|
i.e.=es decir|cf.=compárese!|
cfr.=compárese|vs.=contra|vs=contra|op. cit.=obra citada|ib.=ibidem|id.=ídem!|s.f.=sin fecha|et al.=y otros|"""


def _table() -> dict[str, tuple[str, str]]:
    """Form: its words and where it holds ("!" before a capital or a figure, "!#" before a figure)."""
    table = {}
    for entry in ABBREVIATIONS.replace("\n", "").split("|"):
        form, _, spoken = entry.partition("=")
        if form:
            table[form] = (spoken.rstrip("!#"), spoken[len(spoken.rstrip("!#")) :])
    return table


TABLE = _table()
# these can end a sentence, and their point is then its full stop as well
CLOSES = frozenset(
    ("etcétera", "estados unidos", "sociedad anónima", "sociedad limitada", "antes de cristo", "después de cristo",
     "usted", "ustedes", "descanse en paz", "compañía", "juegos olímpicos", "derechos humanos", "y otros", "derecha",
     "izquierda")
)  # fmt: skip


ORDINAL_BEFORE = re.compile(r"\d\.?[ªº]\s$")  # 2.ª ed.


def abbreviation(match: re.Match, place: Place) -> str | None:
    """The word, and the point again where it also ends the sentence."""
    written = re.sub(SPACE, " ", match.group().lower())
    spoken, need = TABLE[written]
    if written == "ed." and ORDINAL_BEFORE.search(place.text[max(0, place.start - 12) : place.start]):
        need = ""
    behind = place.text[place.end :]
    after = behind.lstrip()[:1]
    if need.startswith("!") and not ((after.isupper() and "#" not in need) or after.isdigit()):
        return None
    ends = behind[:1] != "." and written.endswith(".") and spoken in CLOSES
    if ends and (after.isupper() or (not after and place.text.lstrip('¿¡«"( ')[:1].isupper())):
        return spoken + "."
    return spoken


FORMS = "|".join(re.escape(form).replace(r"\ ", SPACE) for form in sorted(TABLE, key=len, reverse=True))


def century(match: re.Match, place: Place) -> str | None:
    """s. XIX → siglo XIX."""
    return "siglo" if match["plural"] is None else "siglos"


def initial(match: re.Match, place: Place) -> str | None:
    """J. R. R. Tolkien: an initial has no full stop; "vitamina C. El" has one."""
    before = re.search(r"(\S+)\s*$", place.text[max(0, place.start - 24) : place.start])
    return match.group()[0] if before is None or before[1][0].isupper() or before[1] in ("don", "y", "de") else None


def before_figure(match: re.Match, place: Place) -> str | None:
    """el km 21 → el kilómetro 21."""
    return "kilómetro"


def either(match: re.Match, place: Place) -> str | None:
    """y/o → y o."""
    return "y o"


def slash(match: re.Match, place: Place) -> str | None:
    """señor/a → señor o señora, él/ella → él o ella, VIH/sida → vih sida; km/h stays to others."""
    before = re.search(rf"[{LETTER}]{{1,20}}$", place.text[max(0, place.start - 20) : place.start])
    if before is None:
        return None
    word, behind = before.group(), match["behind"]
    if behind in ("a", "as"):
        stem = word[:-2] if word.endswith(("os", "es")) else word[:-1] if word.endswith("o") else word
        return f"o {stem}{behind}" if len(word) > 1 else None
    if len(word) < 2 or len(behind) < 2:
        return None
    return f"o {behind}" if word.islower() and behind.islower() else f" {behind}" if len(word) > 2 else None


SLASHES: tuple[Rule, ...] = (
    Rule("symbol", re.compile(rf"/(?P<behind>[a-záéíóúüñ]{{1,20}})(?![{LETTER}\d/.])"), slash),
)
ABBREVIATIONS_IN_CONTEXT: tuple[Rule, ...] = (
    Rule("abbreviation", re.compile(rf"s(?P<plural>s)?\.(?={SPACE}?[IVXLCDMivxlcdm]{{1,7}}(?![{LETTER}]))"), century),
    Rule("abbreviation", re.compile(r"[A-ZÁÉÍÓÚÑ]\.(?= ?[A-ZÁÉÍÓÚÑ])"), initial),
    Rule("abbreviation", re.compile(rf"km\.?(?={SPACE}\d)", re.IGNORECASE), before_figure),
    Rule("abbreviation", re.compile(rf"y/o(?![{LETTER}])", re.IGNORECASE), either),
)
ABBREVIATION = Rule("abbreviation", re.compile(rf"(?:{FORMS})(?![{LETTER}])", re.IGNORECASE), abbreviation)
