"""Several corpora in one run: names that do not collide, dialects, how often each is drawn, and typos."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from chatterbox_es.config import DataConfig, SourceConfig, compose
from chatterbox_es.corpus import Fault, Utterance, corpus_roots, draw_rates, read_corpus
from chatterbox_es.errors import UserError


def folder(path: Path, metadata: str) -> Path:
    (path / "wavs").mkdir(parents=True)
    (path / "metadata.csv").write_text(metadata, encoding="utf-8")
    for line in metadata.splitlines():
        (path / "wavs" / f"{line.partition('|')[0]}.wav").touch()
    return path


@pytest.fixture
def two(tmp_path) -> str:
    alone = folder(tmp_path / "alone", "a|Uno.\nb|Dos.\nc|\n")
    many = folder(tmp_path / "many", "id|text|speaker|dialect\na|Uno.|eva|\nb|Dos.|paz|andalusian\n")
    return f"{{alone:{{kind:folder,path:{alone},dialect:mexican,weight:2}},many:{{kind:folder,path:{many}}}}}"


def test_speakers_and_ids_bear_the_name_of_their_corpus(two, tmp_path):
    data = compose(["data=mix", f"+data.sources={two}", "data.dialect=castilian"]).data
    found = list(read_corpus(data))
    assert [(u.id, u.corpus, u.speaker, u.dialect) for u in found if isinstance(u, Utterance)] == [
        ("alone/a", "alone", "alone", "mexican"), ("alone/b", "alone", "alone", "mexican"),
        ("many/a", "many", "many/eva", ""), ("many/b", "many", "many/paz", "andalusian")]
    assert [(f.id, f.corpus, f.reason) for f in found if isinstance(f, Fault)] == [("alone/c", "alone", "empty-text")]
    assert corpus_roots(data) == {"alone": tmp_path / "alone", "many": tmp_path / "many"}


@pytest.mark.parametrize(("sources", "said"), [
    ("", r"conf/data/NAME.yaml.*\+data.sources"),
    ("+data.sources={a:{kind:folder,pth:x}}", "pth"),
    ("+data.sources={a:{knd:folder}}", "knd"),
    ("+data.sources={a:{kind:foldr,path:x}}", "data.sources.a.kind=foldr: must be .*common_voice"),
    ("+data.sources={a:{path:x}}", r"data.sources.a.kind=\?\?\?: must be .*common_voice"),
    ("+data.sources={a:{kind:mix,path:x}}", "data.sources.a.kind=mix"),
    ("+data.sources={a:{kind:mls}}", "data.sources.a.path=DIR"),
    ("+data.sources={a:{kind:mls,path:nowhere}}", "nowhere does not exist.*data.sources.a.path"),
    ("+data.sources={a:{kind:mls,path:x,weight:0}}", "data.sources.a.weight=0"),
    ("+data.sources={a:{kind:mls,path:x,dialect:klingon}}", "data.sources.a.dialect=klingon.*castilian"),
    ("data.temperature=0", "data.temperature=0"),
])  # fmt: skip
def test_what_is_wrong_is_named(sources, said):
    with pytest.raises(UserError, match=said):
        arguments = [sources] if sources else []
        if sources.startswith("data."):
            arguments.append("+data.sources={a:{kind:mls,path:x}}")
        list(read_corpus(compose(["data=mix", *arguments]).data))


def mixed(weights: dict[str, float], temperature: float) -> DataConfig:
    sources = {name: SourceConfig(kind="folder", path="x", weight=weight) for name, weight in weights.items()}
    return OmegaConf.structured(
        DataConfig(name="mix", kind="mix", dialect="castilian", sources=sources, temperature=temperature))


def test_weights_are_draws_an_epoch():
    assert draw_rates(mixed({"a": 1, "b": 2, "c": 0.5}, 1), {"a": 10, "b": 100, "c": 0}) == {"a": 1, "b": 2}


def test_a_high_temperature_lets_corpora_be_heard_alike():
    rates = draw_rates(mixed({"small": 1, "large": 1}, 1e9), {"small": 100, "large": 10_000})
    assert rates["small"] * 100 == pytest.approx(5050) and rates["large"] * 10_000 == pytest.approx(5050)


COUNTS = st.dictionaries(st.sampled_from("abcd"), st.integers(1, 10**6), min_size=1)


@settings(max_examples=20)
@given(sizes=COUNTS, temperature=st.floats(1, 10), weight=st.floats(0.1, 10))
def test_a_temperature_moves_draws_and_makes_none(sizes, temperature, weight):
    data = mixed({name: weight for name in sizes}, temperature)
    rates: Callable[[str], float] = draw_rates(data, sizes).__getitem__
    assert sum(rates(name) * sizes[name] for name in sizes) == pytest.approx(weight * sum(sizes.values()))
    by_size = sorted(sizes, key=sizes.__getitem__)
    assert all(rates(small) >= rates(large) * (1 - 1e-9) for small, large in zip(by_size, by_size[1:], strict=False))
