"""Recordings and their texts: from a corpus to utterances, faults and splits."""

from chatterbox_es.corpus.espeak_demo import make_espeak_corpus
from chatterbox_es.corpus.faults import LintReport
from chatterbox_es.corpus.folder import read_folder
from chatterbox_es.corpus.mix import draw_rates
from chatterbox_es.corpus.sources import corpus_roots, corpus_sources, read_corpus
from chatterbox_es.corpus.splits import split_by_text
from chatterbox_es.corpus.utterance import Fault, Utterance

__all__ = ["Fault", "LintReport", "Utterance", "corpus_roots", "corpus_sources", "draw_rates", "make_espeak_corpus",
           "read_corpus", "read_folder", "split_by_text"]
