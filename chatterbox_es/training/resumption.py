"""Which run a command goes on with (`resume=auto`, or `resume=RUN`), and which it must not."""

import hashlib
import json
import logging
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from yaml import YAMLError

from chatterbox_es.config import Config, with_todays_names
from chatterbox_es.errors import UserError
from chatterbox_es.files import errors_are_said
from chatterbox_es.runs.run_directory import CONFIG, FINISHED, is_run, read_card, run_of_command

log = logging.getLogger(__name__)
# what makes no other run of a command
SHOWN_ALONE = {"resume": None, "train": {"wandb", "log_every"}, "hw": {"price_per_hour"}}
# what a state can only go on with unchanged
FIXED = ("mel", "data", "model", "phase")


def settings_of(config: Config) -> dict[str, Any]:
    """A configuration as plain values, without what only shows."""
    settings: Any = OmegaConf.to_container(config, resolve=True)
    for key, names in SHOWN_ALONE.items():
        if names is None:
            settings.pop(key, None)
        else:
            settings[key] = {name: value for name, value in settings[key].items() if name not in names}
    return settings


def command_hash(config: Config) -> str:
    """SHA-256 of the settings: two runs with the same are runs of the same command."""
    return hashlib.sha256(json.dumps(settings_of(config), sort_keys=True).encode()).hexdigest()


def run_to_resume(config: Config) -> Path | None:
    """The run that ``config.resume`` names or finds, finished ones included; None to begin a new one.

    Raises:
        UserError: a run that is named, and is not there or was of other data, model or phase.
    """
    if not config.resume:
        return None
    if config.resume == "auto":
        return run_of_command(Path(config.outputs), command_hash(config))
    folder = Path(config.resume)
    if not is_run(folder):
        found = "holds no run (no run.json)" if folder.is_dir() else "does not exist"
        raise UserError(f"resume={folder}: {found}; resume=auto looks for the newest run of this command")
    if read_card(folder) is None:
        raise UserError(f"resume={folder}: its run.json is damaged, so that it cannot go on")
    try:
        with errors_are_said(folder / CONFIG):
            stored: Any = OmegaConf.load(folder / CONFIG)
        stored, now = OmegaConf.to_container(with_todays_names(stored)), settings_of(config)
    except YAMLError as error:
        raise UserError(f"resume={folder}: its {CONFIG} cannot be read, so that it cannot go on: {error}") from error
    changed = {section: differences(stored.get(section), now[section], section) for section in now}
    refused = [line for section in FIXED for line in changed[section]]
    if refused:
        then, today = (settings["data"].get("kind") for settings in (stored, now))
        hint = ". What data=demo was then is data=espeak today" if (then, today) == ("espeak", "kokoro") else ""
        raise UserError(f"resume={folder} was another run: {'; '.join(refused)}{hint}")
    for section in changed:
        for line in changed[section]:
            log.info("changed since: %s", line)
    return folder


def differences(before: Any, now: Any, name: str) -> list[str]:
    """What two trees of settings do not share, as "key: before / now"."""
    if isinstance(before, dict) and isinstance(now, dict):
        return [line for key in sorted(now) for line in differences(before.get(key), now[key], f"{name}.{key}")]
    return [] if before == now else [f"{name}: {before} / {now}"]


def finished_value(folder: Path) -> float | None:
    """The value of a run that has ended well: its best validation loss, or of its study's objective; else None."""
    card = read_card(folder) or {}
    if card.get("state") != FINISHED:
        return None
    return card.get("best_val_loss") if card.get("best_objective") is None else card["best_objective"]
