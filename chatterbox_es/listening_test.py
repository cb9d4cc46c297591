"""Ask people how a voice sounds: MOS, AB, CMOS and MUSHRA listening tests, in Spanish, in a browser.

    python -m chatterbox_es.listening_test build systems=mine:DIR,other:DIR reference=DIR method=mos out=TEST
    python -m chatterbox_es.listening_test build evaluation=DIR method=cmos out=TEST     what evaluate run=A,B has written
    python -m chatterbox_es.listening_test serve test=TEST                  listeners open the address it prints
    python -m chatterbox_es.listening_test analyse test=TEST                means, intervals, exclusions, a page

DIR holds sounds with the same file names, as evaluate and synthesize write them. `VERB --help` lists the arguments.
"""

import dataclasses
import re
import sys
from collections.abc import Callable
from pathlib import Path

from chatterbox_es import command_line
from chatterbox_es.errors import UserError
from chatterbox_es.evaluation.sounds import RECORDINGS, REFERENCES
from chatterbox_es.files import read_utf8
from chatterbox_es.listening.analysis import analyse as analysis_of
from chatterbox_es.listening.answers import DATABASE, gather
from chatterbox_es.listening.design import ANCHOR, REFERENCE, Design, plan
from chatterbox_es.listening.results import describe, write_results
from chatterbox_es.listening.server import Server

LONG_MINUTES = 30
"""Tired listeners judge worse: BS.1534-3, 6.3 and P.800, B.4.4 advise sessions of about this length at most."""


@dataclasses.dataclass
class BuildOptions:
    method: str = dataclasses.field(metadata={"help": "mos | ab | cmos | mushra"})
    out: str = command_line.path_field("a new folder for the test", default=dataclasses.MISSING)
    systems: str = dataclasses.field(default="", metadata={"help": "NAME:DIR,NAME:DIR, each DIR with the same file names"})
    evaluation: str = command_line.path_field("DIR of an evaluation: its voices and peers, against its recordings")
    reference: str = command_line.path_field("DIR of the natural recordings of the same sentences")
    anchor: bool = dataclasses.field(default=True, metadata={"help": "a low-passed copy of the reference, where there is one"})
    items: int | None = dataclasses.field(default=None, metadata={"help": "sentences, drawn by chance; none: all"})
    listeners: int | None = dataclasses.field(default=None, metadata={"help": "how many you expect, to check the balance"})
    heard: str = dataclasses.field(default="all", metadata={"help": "all: each sentence from each system; once: from one"})
    pairs: str = dataclasses.field(default="all", metadata={"help": "ab, cmos: all | reference"})
    checks: int = dataclasses.field(default=3, metadata={"help": "spoken attention checks a listener"})
    seed: int = dataclasses.field(default=0, metadata={"help": "of all chance in the test"})
    texts: str = command_line.path_field("FILE with id|text: the words are shown")
    question: str = dataclasses.field(default="", metadata={"help": "none: naturalness (MUSHRA: quality), in Spanish"})
    contact: str = dataclasses.field(default="", metadata={"help": "shown to listeners: whom to ask"})
    format: str = dataclasses.field(default="mp3", metadata={"help": "of the sounds: mp3 | flac | wav"})
    limit_mb: float = dataclasses.field(default=50.0, metadata={"help": "greatest size of the page"})
    missing: str = dataclasses.field(default="error", metadata={"help": "sentences a folder lacks: error | skip"})


@dataclasses.dataclass
class ServeOptions:
    test: str = command_line.path_field("the test's folder", default=dataclasses.MISSING)
    port: int = dataclasses.field(default=8000, metadata={"help": "0: any free one"})
    host: str = dataclasses.field(default="0.0.0.0", metadata={"help": "127.0.0.1: this machine only"})


@dataclasses.dataclass
class AnalyseOptions:
    test: str = command_line.path_field("the test's folder", default=dataclasses.MISSING)
    answers: str = dataclasses.field(default="", metadata={"help": "files or folders that listeners sent, with commas between"})
    out: str = command_line.path_field("folder for the results [results/ in the test's folder]")


def build(options: BuildOptions) -> None:
    """Make a test's folder: the page, and the design that says what is what."""
    from chatterbox_es.listening import page, stimuli  # here: a second to import, and the server needs no sound

    out = Path(options.out)
    if (out / DATABASE).exists():
        raise UserError(f"out={out} holds answers to an earlier test: choose another folder")
    systems, reference = _evaluated(options) if options.evaluation else _named(options)
    folders = systems | ({REFERENCE: reference} if reference else {})
    common, lacking, files = stimuli.find_items(folders, options.missing)
    items, training = stimuli.choose_items(common, options.items, options.seed)
    anchor = options.anchor and reference is not None
    texts = _read_texts(Path(options.texts), items) if options.texts else {}
    design = plan(options.method, list(systems), items, reference=reference is not None, anchor=anchor, heard=options.heard,
                  pairs=options.pairs, checks=options.checks, seed=options.seed, question=options.question, texts=texts)
    sounds = stimuli.read_sounds(files, [*items, training])
    complete, level = stimuli.complete(design, sounds)
    examples = {(training, system): sounds[training, system] for system in folders}
    if ANCHOR in design.conditions:
        examples[training, ANCHOR] = stimuli.low_anchor(sounds[training, REFERENCE])
    loud = stimuli.equalise(examples, level)[0]
    design = dataclasses.replace(design, seconds={name: round(len(samples) / stimuli.RATE, 3)
                                                  for name, samples in complete.items()})
    out.mkdir(parents=True, exist_ok=True)
    written = page.write_page(out, design, complete, [loud[training, system] for system in design.conditions],
                              form=options.format, limit_mb=options.limit_mb, contact=options.contact)
    design.write(out)
    _describe(design, written, level, lacking, training in items, options.listeners)


def _named(options: BuildOptions) -> tuple[dict[str, Path], Path | None]:
    """The folders of the systems and of the reference that the command line names."""
    systems = command_line.named_folders("systems", options.systems)
    if not systems:
        raise UserError("systems= names none: write NAME:DIR,NAME:DIR, or evaluation=DIR in its place")
    return systems, Path(options.reference) if options.reference else None


def _evaluated(options: BuildOptions) -> tuple[dict[str, Path], Path | None]:
    """Likewise of an evaluation: all that were judged there, but the recordings' round trips."""
    sounds = Path(options.evaluation) / "sounds"
    if options.systems or options.reference:
        raise UserError("evaluation= brings its systems and its reference: leave out systems= and reference=")
    systems = {folder.name: folder for folder in sorted(sounds.glob("*/")) if folder.name not in REFERENCES}
    if not systems:
        raise UserError(f"evaluation={options.evaluation} holds no voice's sounds (sounds/NAME/): what python -m "
                        "chatterbox_es.evaluate run=RUN out=DIR has written is wanted")
    return systems, sounds / RECORDINGS if (sounds / RECORDINGS).is_dir() else None


def _describe(design: Design, page: Path, level: float, lacking: list[str], trained_on_judged: bool,
              listeners: int | None) -> None:
    checks = sum(trial.expected is not None for trial in design.trials.values())
    minutes = max(design.minutes(order) for order in range(len(design.orders)))
    print(f"{page}: {page.stat().st_size / 1e6:.1f} MB, works without anything else")
    print(f"{design.method}: {len(design.items)} sentences, conditions {', '.join(design.conditions)}; a listener answers "
          f"{len(design.orders[0])} questions ({checks} of them attention checks) in about {minutes:.0f} minutes")
    print(f"loudness: every sound at an active level of {level:.1f} dBFS")
    print(f"{len(design.orders)} orders; conditions are balanced after every {design.balanced_after} listeners, places of the "
          f"sentences too after {len(design.orders)}")
    if listeners is not None and listeners % design.balanced_after:
        more = design.balanced_after - listeners % design.balanced_after
        print(f"note: {listeners} listeners are not a multiple of {design.balanced_after}; {more} more would balance them")
    if minutes > LONG_MINUTES:
        print(f"note: more than {LONG_MINUTES} minutes tire listeners; take fewer sentences (items=N) or heard=once")
    if trained_on_judged:
        print("note: there is no sentence to spare, so listeners practise on one that is judged too; fewer items=N spare one")
    if lacking:
        print(f"left out, since a folder lacks them: {len(lacking)}")
        print("".join(f"  {line}\n" for line in lacking), end="")
    print(f"keep {page.parent}/design.json to yourself: it says which system is which")


def serve(options: ServeOptions) -> None:
    """Serve a test until Ctrl-C."""
    server = Server(Path(options.test), options.host, options.port)
    for address in server.addresses():
        print(address)
    print(f"answers: {Path(options.test) / DATABASE}; stop with Ctrl-C, start again at any time: nothing is lost", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass
    finally:
        server.server_close()
        server.store.close()


def analyse(options: AnalyseOptions) -> None:
    """Write what the answers say."""
    folder = Path(options.test)
    design = Design.read(folder)
    listeners, faults = gather(folder, design, _answer_files(options.answers))
    if not any(listener.answers for listener in listeners):
        raise UserError(f"test={folder}: there are no answers yet, neither in {DATABASE} nor in files (answers=FILE)")
    analysis = analysis_of(design, listeners, faults)
    print(describe(analysis))
    for path in write_results(analysis, Path(options.out) if options.out else folder / "results"):
        print(path)


def _read_texts(file: Path, items: list[str]) -> dict[str, str]:
    """Item → words, of a file with ``id|text`` or ``file.wav<TAB>text`` lines."""
    lines = read_utf8(file, "texts").splitlines()
    parts = [re.split(r"[|\t]", line) for line in lines if line.strip()]
    texts = {Path(part[0].strip()).name.removesuffix(".wav"): part[1].strip() for part in parts if len(part) > 1}
    absent = [item for item in items if not texts.get(item)]
    if absent:
        raise UserError(f"texts={file} has no line id|text for {', '.join(absent[:5])}" + (" …" if len(absent) > 5 else ""))
    return {item: texts[item] for item in items}


def _answer_files(written: str) -> list[Path]:
    files: list[Path] = []
    for path in command_line.listed_paths(written):
        inside = sorted(path.glob("*.json")) if path.is_dir() else [path]
        if not inside or not path.exists():
            raise UserError(f"answers={path}: there is no such file, or no .json in the folder")
        files += inside
    return files


VERBS: dict[str, tuple[type, Callable]] = {"build": (BuildOptions, build), "serve": (ServeOptions, serve),
                                           "analyse": (AnalyseOptions, analyse)}


def main() -> None:
    verb, *arguments = sys.argv[1:] or [""]
    if verb in ("-h", "--help"):
        print(__doc__.strip())
        return
    if verb not in VERBS:
        raise UserError(f"say what to do first: {', '.join(VERBS)} (see --help)")
    options, act = VERBS[verb]
    act(command_line.parse(options, arguments, __doc__))


if __name__ == "__main__":
    command_line.run(main)
