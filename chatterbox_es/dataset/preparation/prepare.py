"""A corpus to its prepared set, which is found again by a key of all that it depends on."""

import dataclasses
import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Generator, Iterator, Mapping
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from chatterbox_es.config import Config, DataConfig, PrepareConfig
from chatterbox_es.corpus import LintReport, corpus_roots, read_corpus
from chatterbox_es.corpus.espeak_demo import make_espeak_corpus
from chatterbox_es.corpus.sources import corpus_sources
from chatterbox_es.dataset.drop_rules import Exclusions
from chatterbox_es.dataset.feature_set import CARD, Copies, FeatureSet
from chatterbox_es.dataset.preparation import local_engine, ray_engine
from chatterbox_es.dataset.preparation.assembly import assemble
from chatterbox_es.dataset.preparation.dropping import without_dropped
from chatterbox_es.dataset.preparation.listing import listing_digest
from chatterbox_es.dataset.preparation.manifest import manifest_places, write_manifest
from chatterbox_es.dataset.preparation.shards import forget_places, shards_done
from chatterbox_es.dataset.preparation.stages import Treatment
from chatterbox_es.dataset.preparation.streaming import Stream
from chatterbox_es.dataset.preparation.work_progress import WorkProgress
from chatterbox_es.dataset.storage import Storage
from chatterbox_es.errors import UserError
from chatterbox_es.files import remove_partials
from chatterbox_es.mel_contract import MelContract

# Keys of data that the content does not see; what is dropped makes a set of its own out of this one.
UNSEEN = ("path", "prepared", "workers", "max_fault_share", "name", "temperature", "drop", "drop_list", "streaming")


def prepare(config: Config) -> FeatureSet:
    """The prepared set of a run's corpus, without what ``data.drop`` and ``data.drop_list`` leave out: opened when it is there,
    made when it is not.

    Raises:
        UserError: no corpus, or more faults in it than ``data.max_fault_share`` allows.
    """
    Exclusions.of(config.data.drop, config.data.drop_list)  # what is wrong there is said before the work begins
    return without_dropped(prepare_whole(config), config.data.drop, config.data.drop_list)


def prepare_whole(config: Config) -> FeatureSet:
    """The prepared set of all of a run's corpus.

    Raises:
        UserError: no corpus, or more faults in it than ``data.max_fault_share`` allows.
    """
    data, options = config.data, config.prepare
    contract: Any = OmegaConf.to_object(config.mel)  # a `MelContract`
    roots = _roots(config)
    prepared = Storage(data.prepared)
    kept = (prepared.path("") if prepared.is_local else cache_folder(options)) / "listings"
    folders = {name: root for name, root in roots.items() if isinstance(root, Path)}
    listing = listing_digest(folders, kept, full=options.check == "full")
    target = prepared.below(f"{data.name}-{_key(listing, roots, contract, data)[:12]}")
    if target.exists(CARD):
        features = _open(target, options)
        print(f"prepared set {target.url}: reused")
        return features
    with target.locked(f"another process prepares {target.url}: waiting for it"):
        if not target.exists(CARD):
            _make(target, config, contract, {name: str(root) for name, root in roots.items()})
    features = _open(target, options)
    _tell(features, target.url)
    return features


def treatment_of(data: DataConfig, contract: MelContract) -> Treatment:
    """What workers are told of the configuration."""
    return Treatment(contract, data.dialect, data.lexicon, data.max_seconds, data.trim_silence, data.loudness, data.split_seed,
                     data.max_channels, data.check_files)


def cache_folder(options: PrepareConfig) -> Path:
    """Where copies of remote prepared sets are kept."""
    if options.cache:
        return Path(options.cache).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "chatterbox_es" / "prepared"


def _open(target: Storage, options: PrepareConfig) -> FeatureSet:
    if target.is_local:
        return FeatureSet(target.path(""))
    where = hashlib.sha256(target.url.encode()).hexdigest()[:8]
    folder = cache_folder(options) / f"{target.url.rpartition('/')[2]}-{where}"
    return FeatureSet(folder, Copies(target, folder))


def _tell(features: FeatureSet, url: str) -> None:
    left_out = features.card["left_out"]
    if left_out:
        print(f"{sum(left_out.values())} rows left out, listed in {url}/lint.jsonl: "
              + ", ".join(f"{count} {reason}" for reason, count in left_out.items()))
    print(f"prepared set {url}: {len(features.train)} utterances to train on, {len(features.validation)} held out, "
          f"{features.card['seconds'] / 3600:.2f} h, {features.card['symbols_seen']} of {len(features.symbols.in_use)} symbols "
          f"seen ({len(features.symbols)} rows in the table)")


def _roots(config: Config) -> dict[str, Path | str]:
    """The folders (or names of data sets) that the corpus is read from; espeak-ng's is made here at first use."""
    data = config.data
    if data.kind == "espeak":
        data.path = data.path or f"{config.outputs}/demo_corpus/{data.dialect}"
        make_espeak_corpus(Path(data.path), data.dialect)
    if data.kind == "folder" and not data.path:
        raise UserError("data=folder needs the folder of the recordings: data.path=DIR")
    return corpus_roots(data)


def _key(listing: str, roots: dict[str, Path | str], contract: MelContract, data: DataConfig) -> str:
    """SHA-256 of all that the content depends on; of recordings the name, size and time stand for the content."""
    values: Any = OmegaConf.to_container(data)
    kept = {key: value for key, value in values.items() if key not in UNSEEN}
    kept["sources"] = {name: {key: value for key, value in source.items() if key not in ("path", "weight", "streaming")}
                       for name, source in values["sources"].items()}
    kept.pop("weight")
    names = {name: root for name, root in roots.items() if isinstance(root, str)}
    digest = hashlib.sha256(json.dumps([dataclasses.asdict(contract), kept, names, listing], sort_keys=True).encode())
    if data.lexicon and Path(data.lexicon).is_file():
        digest.update(Path(data.lexicon).read_bytes())
    for file in _code():
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _code() -> Iterator[Path]:
    """The files whose change may change what is prepared."""
    package = Path(__file__).parents[2]
    yield package / "mel_contract.py"
    for room, names in (("audio", ("waveform", "containers", "mel", "log_mel", "quality", "spectrum")),
                        ("dataset/preparation", ("assembly", "manifest", "shards", "stages"))):
        yield from (package / room / f"{name}.py" for name in names)
    for room in ("text", "corpus"):
        yield from sorted((package / room).glob("*.*"))


def _make(target: Storage, config: Config, contract: MelContract, corpus: dict[str, str]) -> None:
    """Make the set in its own folder; the card comes last, and without it the next run goes on here."""
    data, options = config.data, config.prepare
    target.make_folder("work")
    target.make_folder("mels")
    if target.is_local:
        remove_partials(target.path(""))
    treatment = treatment_of(data, contract)
    size = _shard_size(target, options.shard)
    places = manifest_places(target)
    if places is None and options.engine == "local" and any(source.streaming for source in corpus_sources(data).values()):
        shards = _make_streamed(target, treatment, size, config)
    else:
        rows = write_manifest(target, read_corpus(data)) if places is None else len(places) - 1
        forget_places()
        shards = -(-rows // size)
        _make_shards(target, treatment, shards, rows, size, config)
    if target.is_local:
        remove_partials(target.path(""))  # of processes that were killed while others went on
    lint_path = target.path("lint.jsonl") if target.is_local else Path(tempfile.mkdtemp(prefix="chatterbox_es_"), "lint.jsonl")
    lint = LintReport(lint_path)
    try:
        assemble(target, treatment, data, shards, lint, {name: os.path.abspath(root) if os.path.exists(root) else root
                                                         for name, root in corpus.items()})
    finally:
        lint.write()
        if not target.is_local:
            target.write("lint.jsonl", lint_path.read_bytes())
    target.remove("work")


def _shard_size(target: Storage, wanted: int) -> int:
    """Utterances a shard: those that work in this folder was begun with."""
    name = "work/shard.json"
    if target.exists(name):
        return json.loads(target.read(name))
    target.write(name, json.dumps(wanted).encode())
    return wanted


def _make_streamed(target: Storage, treatment: Treatment, size: int, config: Config) -> int:
    """Make those that are not done while their rows are fetched; how many shards there are."""
    stream = Stream(target, read_corpus(config.data), size, config.data)
    made = local_engine.make_shards(target, treatment, stream.numbers(), size, config.prepare.workers or config.data.workers)
    _count(made, None, stream.done, treatment, stream.settle_all)
    return stream.shards


def _make_shards(target: Storage, treatment: Treatment, shards: int, rows: int, size: int, config: Config) -> None:
    """Make those that are not done, with the engine that was asked for."""
    options, done = config.prepare, shards_done(target, shards)
    waiting = [number for number in range(shards) if number not in done]
    if not waiting:
        return
    workers = options.workers or config.data.workers
    if options.engine == "ray":
        made = ray_engine.make_shards(target, treatment, waiting, size, workers, options.address)
    else:
        made = local_engine.make_shards(target, treatment, waiting, size, workers)
    _count(made, rows, done, treatment)


def _count(made: Generator[tuple[int, int], None, None], rows: int | None, done: Mapping[int, tuple[int, int]],
           treatment: Treatment, settle: Callable[[], None] = lambda: None) -> None:
    """Have shards made, and say how far it is."""
    with WorkProgress(rows, sum(count for count, _ in done.values()), treatment.contract.frames_per_second) as progress:
        try:
            for count, frames in made:
                progress.add(count, frames)
                settle()
        except KeyboardInterrupt:
            of = f" of {rows}" if rows else ""
            print(f"ended after {progress.rows}{of} rows: what is done is kept, the same command goes on", flush=True)
            raise
        finally:
            made.close()
