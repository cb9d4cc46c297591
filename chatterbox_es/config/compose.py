"""Groups of ``conf/`` and what is typed, put together by Hydra and checked; and configurations that runs have left."""

import copy
import re
from pathlib import Path
from typing import Any, cast

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from chatterbox_es.config.arguments import configurations_of_ones_own, hydra_arguments, searched
from chatterbox_es.config.checks import check, in_words
from chatterbox_es.config.schema import MODELS, RENAMED, Config, DataConfig, HwConfig, PhaseConfig, declared, renamed
from chatterbox_es.errors import UserError, sentence_of
from chatterbox_es.files import errors_are_said

# What Hydra and OmegaConf say of their own insides, and advice (+KEY) that does not help with a key that is mistyped.
_NOISE = re.compile(r"\n\s*(?:full_key:|object_type=|reference_type=|To append to your config use ).*"
                    r"|\nConfig search path:(?s:.*)")
_KEY = re.compile(r"(\w+)\.(\w+)")
NEW_FOLDERS: list[Path] = []  # that this process has made for runs
_PACKAGE = Path(__file__).resolve().parents[1]
CONF = _PACKAGE / "conf" if (_PACKAGE / "conf").is_dir() else _PACKAGE.parent / "conf"  # of a wheel; of a clone


def read_config(file: Path) -> Config:
    """The configuration that a run has left, typed as when it was composed.

    Raises:
        UserError: it is missing, cannot be read, or is not of this version.
    """
    try:
        with errors_are_said(file):
            stored = with_todays_names(cast(DictConfig, OmegaConf.load(file)))
        schema = OmegaConf.structured(Config)
        schema.model = OmegaConf.structured(MODELS[stored.model.name])
        return cast(Config, OmegaConf.merge(schema, stored))
    except (YAMLError, UnicodeDecodeError, OmegaConfBaseException, AttributeError, KeyError, TypeError) as error:
        raise UserError(f"{file} is no configuration of a run of this version: {because(error)}") from error


def with_todays_names(stored: DictConfig) -> DictConfig:
    """A configuration that a run of 0.1 may have left, with its renamed keys as they are called now."""
    stored = copy.deepcopy(stored)
    known = MODELS[stored.model.name].__dataclass_fields__
    sources = stored.data.get("sources", {})
    for part in (stored.data, *sources.values()):
        if "min_likeness" in part:
            part["min_similarity"] = part.pop("min_likeness")
        if part.get("kind") == "demo":  # which is what data=espeak is; data=demo is something else today
            part["kind"] = "espeak"
            if part.get("name") == "demo":
                part["name"] = "espeak"
    for old, new in RENAMED.items():
        section, key = old.split(".")
        if key not in stored.get(section, {}):
            continue
        value = stored[section].pop(key)
        for place, name in _KEY.findall(new):
            is_known = place != "model" or name in known  # 0.1 gave every model the keys of fase4's decoder
            if is_known and not (section == "hw" and place != "hw" and value is None):  # hw's overruled where they were set
                stored[place][name] = value
    return stored


def register_schema() -> None:
    """Make the dataclasses known to Hydra, so that every key in ``conf/`` and on the command line is checked."""
    store = ConfigStore.instance()
    store.store(name="schema", node=Config, replace=True)
    for group, part in (("data", DataConfig), ("phase", PhaseConfig), ("hw", HwConfig)):
        store.store(group=group, name="schema", node=part, replace=True)
    for name, model in MODELS.items():
        store.store(group="model", name=f"schema_{name}", node=model, replace=True)
    store.store(group="hydra/sweeper", name="study", replace=True, node={
        "_target_": "chatterbox_es.selection.sweeper.StudySweeper", "params": {}, "defaults": [{"sampler": "study"}]})
    store.store(group="hydra/sweeper/sampler", name="study", replace=True, node={  # Hydra's tpe sets an older Optuna's defaults
        "_target_": "optuna.samplers.TPESampler", "seed": None})
    OmegaConf.register_resolver("new_folder", new_folder, use_cache=True, replace=True)


def new_folder(path: str) -> str:
    """Make a folder, with ``_2``, ``_3`` … behind its name where there is one: runs of one second get one each."""
    folder, number = Path(path), 1
    folder.parent.mkdir(parents=True, exist_ok=True)
    while True:
        try:
            folder.mkdir()
            NEW_FOLDERS.append(folder)
            return str(folder)
        except FileExistsError:
            number += 1
            folder = Path(f"{path}_{number}")


def compose(argv: list[str], doc: str = "") -> Config:
    """The composed, checked configuration of ``argv``, for programs that are not Hydra applications themselves.

    ``--help`` prints ``doc``, the groups, and every key with its value and what it may be. ``--config-dir DIR`` adds groups of
    one's own.

    Raises:
        UserError: a key, group or value that the schema does not have, or a value out of its range.
    """
    own, argv = configurations_of_ones_own(argv)
    asked = [argument for argument in argv if argument in ("-h", "--help")]
    try:
        overrides = hydra_arguments([argument for argument in argv if argument not in asked])
        config = _compose([searched(own), *overrides] if own else overrides)
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(because(error)) from error
    if asked:
        print(described(config, doc, own))
        raise SystemExit(0)
    check(config)
    return config


def _compose(overrides: list[str]) -> Config:
    register_schema()
    with initialize_config_dir(str(CONF)):
        return cast(Config, hydra_compose("config", overrides=overrides))


def because(error: BaseException) -> str:
    """Why something cannot be composed, in one line: Hydra says what, the error beneath it says why and at which key."""
    beneath = error.__cause__ or error.__context__
    while beneath is not None:
        if isinstance(beneath, OSError) and (sentence := sentence_of(beneath)):
            return sentence
        beneath = beneath.__cause__ or beneath.__context__
    chain = [one for one in (error, error.__cause__) if one]
    for one in chain:
        key = str(getattr(one, "full_key", None) or "")
        known = declared(key)
        if instead := renamed(key):
            return f"{key} is now {instead}"
        if known and known.choices and (given := re.search(r"Invalid value '(.*)', expected one of", str(one))):
            return f"{key}={given[1]}: must be {in_words(known)}"
    said = [" ".join(_NOISE.sub("", str(one)).split()) for one in chain]
    if found := re.match(r"Ambiguous value for argument '(.*?)'", said[0]):
        return (f"{found[1]}: a comma separates values; a decimal has a point (0.5), a list brackets (KEY=[1,2]), and several "
                "runs are made with -m")
    return " ".join(dict.fromkeys(said)) + (": pip install 'chatterbox-es[cluster]'" if "'hydra/launcher/" in said[0] else "")


def described(config: Config, doc: str, own: Path | None = None) -> str:
    """Help: ``doc``, the groups of ``conf/`` and of one's own, and each key with its value and what it may be."""
    groups = [f"  {group.name:<11} {', '.join(sorted(file.stem for file in group.glob('*.yaml')))}"
              for conf in (CONF, own) if conf for group in sorted({file.parent for file in conf.glob("*/*.yaml")})]
    keys = []
    for line in _lines(OmegaConf.to_container(config)):
        known = declared(line.partition("=")[0])
        keys.append(f"  {line:<48} {in_words(known) if known else ''}".rstrip())
    return "\n".join([doc.strip(), "", "groups (group=choice):", *groups,
                      "", "keys (key=value), with what they are here:", *keys])


def _lines(values: Any, prefix: str = "") -> list[str]:
    return [line for name, value in values.items()
            for line in (_lines(value, f"{prefix}{name}.") if isinstance(value, dict) and value
                         else [f"{prefix}{name}={'null' if value is None else value}"])]
