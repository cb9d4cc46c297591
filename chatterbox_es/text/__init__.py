"""Written Spanish → words → phonemes of a dialect → numbers of symbols.

from chatterbox_es.text import FrontEnd
reading = FrontEnd(dialect="castilian").read("¿Qué tal? Son 21 libros.")
reading.words      # "¿qué tal? son veintiún libros."
reading.phonemes   # ("<s>", "¿", "k", "ˈe", "t", "ˈa", "l", "?", …, "</s>")
reading.ids        # the same as numbers of `FrontEnd.table`
"""

from chatterbox_es.text.dialects import DIALECTS
from chatterbox_es.text.front_end import FrontEnd, Reading
from chatterbox_es.text.symbols import SymbolTable
from chatterbox_es.text.written import Span

__all__ = ["DIALECTS", "FrontEnd", "Reading", "Span", "SymbolTable"]
