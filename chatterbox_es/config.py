"""Everything a run can be told, typed: YAML in ``conf/`` gives the values, a key that is not here is an error."""

import copy
import re
from dataclasses import dataclass, field
from pathlib import Path

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.errors import HydraException
from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from chatterbox_es.errors import UserError
from chatterbox_es.mel_contract import MelContract

CONF = Path(__file__).resolve().parent.parent / "conf"


@dataclass
class SourceConfig:
    """One corpus: its form, where it is, and which of its rows are used; docs/corpora.md says which kind reads which key."""

    kind: str = MISSING  # demo | folder | common_voice | mls | cml_tts | openslr | css10 | mailabs | hf
    path: str | None = None  # the corpus's folder; hf: also the name of a data set
    dialect: str | None = None  # of rows that name none; in a mix null is the mix's
    weight: float = 1.0  # in a mix: how often each of its utterances is drawn an epoch
    layout: str = "auto"  # folder: of metadata.csv: auto | ljspeech | piper | coqui
    parts: list[str] | None = None  # common_voice, mls, cml_tts: which of its lists; null: see docs/corpora.md
    speakers: list[str] | None = None  # only these
    dialects: list[str] | None = None  # only these
    min_up_votes: int = 0  # common_voice, hf
    max_down_votes: int | None = None  # common_voice, hf
    min_likeness: float = 0.0  # cml_tts: between the text and what a recogniser heard, 0 to 1
    config: str | None = None  # hf: which configuration of the data set, such as es
    hf_split: str = "train"  # hf
    streaming: bool = False  # hf: read while it is fetched; no copy stays on the disk
    text_column: str | None = None  # hf; null: recognised by its name, as the following
    audio_column: str | None = None  # hf
    speaker_column: str | None = None  # hf
    dialect_column: str | None = None  # hf


@dataclass
class DataConfig(SourceConfig):
    """Which recordings, in which dialect, and how they are divided."""

    name: str = MISSING
    kind: str = MISSING  # one of a source's, or mix
    dialect: str = MISSING
    sources: dict[str, SourceConfig] = field(default_factory=dict)  # mix: corpora by the names they are given
    temperature: float = 1.0  # mix: 1 draws by size, more of them draw small corpora oftener; see docs/corpora.md
    lexicon: str | None = None  # your own pronunciations
    prepared: str = "outputs/prepared"  # where prepared sets are kept
    max_seconds: float = 30.0  # a longer recording is a fault
    max_channels: int = 2  # likewise one with more channels; they are averaged
    check_files: bool = True  # a recording that breaks off, or whose extension is another format's, is a fault
    trim_silence: bool = True  # at both ends, with a margin
    loudness: float | None = -23.0  # dBFS of the active speech; null leaves recordings as they are
    max_fault_share: float = 0.05  # of the rows; above it preparation stops
    drop: str | None = None  # rules for what is left out on purpose, such as "snr<15, duplicate_audio"; see docs/lint.md
    drop_list: str | None = None  # likewise a file of ids
    validation_share: float = 0.05
    validation_minimum: int = 20  # utterances, but never more than a fifth of the corpus
    validation_maximum: int = 200
    split_seed: int = 0
    split: str = "text"  # text: no text on both sides | speaker: no speaker on both sides
    workers: int | None = None  # processes that prepare; null: one a core


@dataclass
class PrepareConfig:
    """How a corpus is prepared; nothing here changes what comes out. docs/preparation.md"""

    engine: str = "local"  # local: processes on this machine | ray: Ray Data, on a cluster
    workers: int | None = None  # processes, or Ray's tasks, at once; null: data.workers, or one a core
    shard: int = 512  # utterances in a file of mels, which is also what one process does at a time
    check: str = "quick"  # whether files have changed: quick | full, see docs/preparation.md
    cache: str | None = None  # where copies of remote sets are kept; null: ~/.cache/chatterbox_es/prepared
    address: str | None = None  # ray: of the cluster; null: RAY_ADDRESS, or one that is started here


@dataclass
class ModelConfig:
    """What every model has; a model adds its own keys in a subclass, which is named here once and is known."""

    name: str = MISSING


@dataclass
class Fase4Config(ModelConfig):
    """The write-up's model: mels from phonemes."""

    name: str = "fase4"
    symbols: int = MISSING  # rows of the embedding
    width: int = MISSING
    layers: int = MISSING
    heads: int = MISSING
    feedforward: int = MISSING
    dropout: float = MISSING
    decoder_hidden: list[int] = MISSING  # widths of the mel decoder's hidden layers
    decoder_start: str = MISSING  # random | mels, fitted to the training mels beforehand
    duration_hidden: int = MISSING
    use_speaker: bool = False  # tell the model who speaks: an embedding for each speaker of the corpus
    use_dialect: bool = False  # likewise in which dialect
    speaker_minimum: int = 10  # recordings to train on; speakers with fewer share one embedding


@dataclass
class ChatterboxConfig(ModelConfig):
    """Resemble AI's Chatterbox: its T3, from published weights. docs/chatterbox.md"""

    name: str = "chatterbox"
    weights: str = MISSING  # the folder with Resemble's files
    fetch: bool = False  # get them from the Hugging Face hub where the folder is not there, or not whole
    repository: str = "ResembleAI/chatterbox"  # of the hub
    codec: str = "resemble"  # recordings to speech tokens and back; MODULE:FUNCTION names another one
    codec_batch: int = 16  # recordings that the codec takes at once while preparing
    dialect_tags: bool = False  # [es-mx] and the like in front of a text, in place of [es]
    rank: int = 32  # of the adapters of 4_2
    alpha: float = 64.0  # alpha / rank scales what they add
    lora_dropout: float = 0.05
    lora_targets: list[str] = field(default_factory=lambda: ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj",
                                                             "down_proj"])
    text_drop_prob: float = 0.1  # of training an utterance without its text, which guidance needs
    text_weight: float = 0.1  # of the loss on the text, beside that on the speech
    start_tokens: int = 2  # Resemble's inference gives two
    checkpointing: bool = True  # compute layers again in the backward pass, for less memory
    perceiver_dropout: float = 0.2  # of the prompt's attention, as published


@dataclass
class PhaseConfig:
    """What is trained, from what, for how long."""

    name: str = MISSING  # 4_2 | 4_3
    trains: str = MISSING  # text_encoder (the mel decoder is frozen) | text_and_lora (chatterbox) | full_model
    encoder_from: str | None = None  # the phase whose newest finished run of the same data it starts from
    epochs: int = MISSING
    batch_size: int = MISSING  # utterances an optimiser step, on all processes together
    batch_frames: int | None = None  # frames an optimiser step, in place of batch_size: as many utterances as fill them
    lr: float = MISSING
    optimiser: str = "adamw"  # or adafactor, which keeps a row and a column of each matrix in place of two matrices
    betas: list[float] = field(default_factory=lambda: [0.9, 0.98])
    weight_decay: float = 0.01
    warmup_steps: int = 300
    schedule: str = "cosine"  # cosine | linear, both to 0
    clip: float = 1.0  # norm of the gradient
    validate_every: int = MISSING  # epochs; a checkpoint is written when it is the best so far, and a state to go on from


@dataclass
class HwConfig:
    """What the hardware decides."""

    name: str = MISSING
    accelerator: str = MISSING  # cpu | cuda
    precision: str = "auto"  # auto | 32-true | 16-mixed | bf16-mixed
    torchrun: bool = False  # one process a GPU, started by torchrun
    threads: int | None = None  # CPU threads; null: one a core
    keep_memory: bool = True  # CPU: let malloc keep large blocks (half of the time was page faults without)
    tf32: bool = False  # GPU: fp32 products in TF32 (Ampere and later)
    attention: str = "auto"  # GPU: auto (flash where no mask is given, else efficient, else math) | efficient | math
    fused: bool = True  # AdamW in one kernel
    compile: bool = False  # torch.compile of the encoder's layers; docs/experiments.md says where it pays
    allocator: str | None = None  # GPU: PYTORCH_CUDA_ALLOC_CONF
    workers: int = 0  # threads that read batches ahead; 0: read when it is their turn
    pin_memory: bool = False  # GPU: copies without waiting
    batch_frames: int | None = None  # most frames of one forward and backward; a larger batch is accumulated in pieces
    batch_tokens: int | None = None  # likewise tokens, padding included
    memory_gb: float | None = None  # to plan with; null: what is free
    price_per_hour: float | None = None  # of this machine, in your money
    dropout: float | None = None  # in place of the model's
    batch_size: int | None = None  # in place of the phase's
    lr: float | None = None  # in place of the phase's


@dataclass
class TrainConfig:
    """This run: where it starts, when it ends, what it shows and keeps."""

    seed: int = 0
    epochs: int | None = None  # in place of the phase's
    max_steps: int | None = None
    max_minutes: float | None = None  # from the first step to the end of the last validation, which is estimated
    encoder: str | None = None  # 4_3: the 4_2 run to take the text encoder from, in place of the newest
    finetune: str | None = None  # a finished run of any data whose whole model is the start
    samples: int = 3  # held-out sentences spoken and drawn at each validation
    log_every: int = 10  # steps
    ema: float | None = None  # such as 0.999: a running mean of the weights is kept beside them
    keep_best: int = 1  # checkpoints that were the best when they were written; older ones are deleted
    state_minutes: float = 5.0  # between states to go on from; one is also written at each validation
    keep_states: int = 2  # newest states; older ones are deleted, and all when the run has finished
    max_skipped: int = 20  # steps in a row without a finite loss and gradient, after which the run stops
    trial_steps: int = 3  # measured before the start, for the plan; they teach the model nothing
    wandb: str = "offline"  # offline | online | disabled


@dataclass
class SweepConfig:
    """A study (``sweep=4_2``): runs that search for settings. The ranges are ``hydra.sweeper.params`` in ``conf/sweep/``."""

    study: str = "${phase.name}_${data.name}"  # whoever runs the same command joins the study of this name
    folder: str = "${outputs}/studies/${sweep.study}"  # trials and study.html
    storage: str = "sqlite:///${sweep.folder}/study.db"  # or postgresql+psycopg://USER@HOST/DATABASE for many machines
    n_trials: int = 30  # of all processes together; more of them extend a study
    budget: str | None = None  # of the trials' time, all processes together: 8h, 90m, 1h30m; null: no limit
    pruner: str = "asha"  # asha | hyperband | median | none
    spared: int = 1  # validations before a trial can be pruned
    parallel: int = 1  # trials that one launch is given; more with hydra/launcher=joblib or submitit_slurm
    heartbeat: int = 15  # seconds; a trial silent for four of them is taken for killed, and run again
    select: bool = True  # when the study has ended: choose the best checkpoint and keep it as outputs/best
    trial: int | None = None  # set by the sweeper for each run: the trial's id in the storage
    slot: int | None = None  # likewise: its place among the n_trials, and its folder's name


@dataclass
class Config:
    mel: MelContract = field(default_factory=MelContract)
    data: DataConfig = MISSING
    model: ModelConfig = MISSING
    phase: PhaseConfig = MISSING
    hw: HwConfig = MISSING
    prepare: PrepareConfig = field(default_factory=PrepareConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    sweep: SweepConfig = field(default_factory=SweepConfig)
    outputs: str = "outputs"
    resume: str | None = None  # auto: go on with the newest run of this command, if there is one; or a run directory


MODELS = {node.name: node for node in ModelConfig.__subclasses__()}
RENAMED = {  # keys of 0.1 → as they are called now
    "phase.decoder_hidden": "model.decoder_hidden",
    "phase.decoder_start": "model.decoder_start",
    "model.unheard": "model.text_drop_prob",
    "model.starts": "model.start_tokens",
}


def check_names(argv: list[str]) -> None:
    """
    Raises:
        UserError: a key is called otherwise since 0.1; the message has its name of today.
    """
    for argument in argv:
        key = argument.partition("=")[0].lstrip("+~-")
        if key in RENAMED:
            raise UserError(f"{argument}: {key} is called {RENAMED[key]} now")


def with_todays_names(stored: DictConfig) -> DictConfig:
    """A configuration that a run of 0.1 may have left, with its renamed keys as they are called now."""
    stored = copy.deepcopy(stored)
    known = MODELS[stored.model.name].__dataclass_fields__
    for old, new in RENAMED.items():
        (section, key), (place, name) = old.split("."), new.split(".")
        if key in stored.get(section, {}):
            value = stored[section].pop(key)
            if place != "model" or name in known:  # 0.1 gave every model the keys of fase4's decoder
                stored[place][name] = value
    return stored


def read_config(file: Path) -> Config:
    """The configuration that a run has left, typed as when it was composed.

    Raises:
        UserError: it is missing, cannot be read, or is not of this version.
    """
    try:
        stored = with_todays_names(OmegaConf.load(file))
        schema = OmegaConf.structured(Config)
        schema.model = OmegaConf.structured(MODELS[stored.model.name])
        return OmegaConf.merge(schema, stored)
    except (OSError, YAMLError, OmegaConfBaseException, AttributeError, KeyError) as error:
        raise UserError(f"{file} is no configuration of a run of this version: {error}") from error


def register_schema() -> None:
    """Make the dataclasses known to Hydra, so that every key in ``conf/`` and on the command line is checked."""
    store = ConfigStore.instance()
    store.store(name="schema", node=Config, replace=True)
    for group, node in (("data", DataConfig), ("phase", PhaseConfig), ("hw", HwConfig)):
        store.store(group=group, name="schema", node=node, replace=True)
    for name, node in MODELS.items():
        store.store(group="model", name=f"schema_{name}", node=node, replace=True)
    store.store(group="hydra/sweeper", name="study", replace=True, node={
        "_target_": "chatterbox_es.selection.sweeper.StudySweeper", "params": {}, "defaults": [{"sampler": "study"}]})
    store.store(group="hydra/sweeper/sampler", name="study", replace=True, node={  # Hydra's tpe sets an older Optuna's defaults
        "_target_": "optuna.samplers.TPESampler", "seed": None})


_NAME_OF_DIGITS = re.compile(r"(?<![\w'\".=/\\-])(\d+(?:_\d+)+)(?![\w'\".-])")


def quote_phase_names(argv: list[str]) -> list[str]:
    """``phase=4_3`` as ``phase='4_3'``: Hydra's grammar reads a bare ``4_3`` as the integer 43 and refuses it.

    Holds in lists (``phase=4_2,4_3``) and in ``choice(4_2,4_3)`` for the groups that are named after phases, and for a folder
    of such a name (``data.path=2024_05``), and for the rules of ``data.drop``; everything else is left as it is.

    Raises:
        UserError: as `check_names`.
    """
    check_names(argv)
    quoted = []
    for argument in argv:
        key, equals, value = argument.partition("=")
        named_after_phases = key.lstrip("+~") in ("phase", "sweep")
        if equals and (named_after_phases or key.endswith("path") and _NAME_OF_DIGITS.fullmatch(value)):
            value = _NAME_OF_DIGITS.sub(r"'\1'", value)
        if key.lstrip("+") == "data.drop" and value and value[0] not in "'\"" and value != "null":
            value = f"'{value}'"  # its rules hold commas and signs that the grammar keeps for itself
        quoted.append(key + equals + value)
    return quoted


def compose(argv: list[str], doc: str = "") -> Config:
    """The composed, checked configuration of ``argv``, for programs that are not Hydra applications themselves.

    Raises:
        UserError: a key, group or value that the schema does not have.
    """
    if any(argument in ("-h", "--help") for argument in argv):
        groups = "\n".join(f"  {group.name:<7} {', '.join(sorted(f.stem for f in group.glob('*.yaml')))}"
                           for group in sorted(CONF.iterdir()) if group.is_dir())
        print(f"{doc.strip()}\n\ngroups (group=choice):\n{groups}\n\nkeys (key=value), with their defaults:\n"
              f"{OmegaConf.to_yaml(_compose([]))}")
        raise SystemExit(0)
    try:
        return _compose(quote_phase_names(argv))
    except (HydraException, OmegaConfBaseException) as error:
        # Hydra says what could not be overridden, the error beneath it says why: "Key 'pth' not in 'DataConfig'".
        because = str(error.__cause__).splitlines()[0] if error.__cause__ else ""
        raise UserError(" ".join(filter(None, (str(error), because)))) from error


def _compose(overrides: list[str]) -> Config:
    register_schema()
    with initialize_config_dir(str(CONF)):
        return hydra_compose("config", overrides=overrides)
