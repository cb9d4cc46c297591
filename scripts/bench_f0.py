"""How fast F0 is found, and how well: python scripts/bench_f0.py FOLDER … [--files N]

Nobody knows the F0 of a recording. What can be known is whether a frame repeats after the period that somebody says it has: the
correlation of two periods with the next two, below 1 kHz, at the frame's middle. Frames for which that is above 0.8 for some
way's F0 are called periodic; one of half or twice the F0 may correlate as well, so octaves are told from Harvest's.

Of each folder of recordings and each way, on one core: seconds of work a second of sound; the share of frames called voiced, of
these the share that does not repeat (below 0.5); the share of periodic frames missed; and, over the frames that are periodic by
Harvest's F0, the median distance of that in cents, and the shares of frames further away than 50 cents and than 20 %, where a
way's gaps are filled as training fills them. "gated": a frame that does not repeat is none of the voiced ones.
"""

import argparse
import time
from pathlib import Path

import numpy as np

from chatterbox_es.audio.f0 import CEILING, FLOOR, f0_of_frames, filled, repetition, world
from chatterbox_es.audio.waveform import read_audio
from chatterbox_es.mel_contract import MelContract

RATE, HOP = 24_000, 480
PERIOD = 1000 * HOP / RATE  # ms
PERIODIC, APERIODIC = 0.8, 0.5


def dio(samples: np.ndarray, **options: float) -> np.ndarray:
    f0, times = world().dio(samples, RATE, f0_floor=FLOOR, f0_ceil=CEILING, frame_period=PERIOD, **options)
    return world().stonemask(samples, f0, times, RATE)


WAYS = {
    "harvest": lambda samples: world().harvest(samples, RATE, f0_floor=FLOOR, f0_ceil=CEILING, frame_period=PERIOD)[0],
    "dio": dio,
    "dio, at 4 kHz": lambda samples: dio(samples, speed=6),
    "dio, allowed_range=0.2": lambda samples: dio(samples, allowed_range=0.2),
    "dio, at 4 kHz, allowed_range=0.2": lambda samples: dio(samples, speed=6, allowed_range=0.2),
    "audio.f0": lambda samples: f0_of_frames(np.pad(samples, (HOP // 2, HOP)), MelContract())[:len(samples) // HOP + 1],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--files", type=int, default=40, help="recordings of each folder, evenly spread")
    given = parser.parse_args()
    for folder in given.folders:
        files = sorted(path for path in folder.rglob("*") if path.suffix in (".wav", ".flac", ".ogg", ".opus"))
        files = [files[place] for place in np.linspace(0, len(files) - 1, min(given.files, len(files))).round().astype(int)]
        sounds = [read_audio(file, RATE).astype(np.float64) for file in files]
        seconds = sum(map(len, sounds)) / RATE
        print(f"{folder}: {len(files)} recordings, {seconds:.0f} s", flush=True)
        tracks, spent = {}, {}
        for name, way in WAYS.items():
            start = time.process_time()
            tracks[name] = [way(sound) for sound in sounds]
            spent[name] = (time.process_time() - start) / seconds
        repeats = {name: np.concatenate([repetition(sound, f0, RATE, HOP) for sound, f0 in zip(sounds, of, strict=True)])
                   for name, of in tracks.items()}
        joined = {name: np.concatenate(of) for name, of in tracks.items()}
        for name in ("harvest", "dio, at 4 kHz", "dio, at 4 kHz, allowed_range=0.2"):
            gated, repeats[f"{name}, gated"], spent[f"{name}, gated"] = repeats[name] >= APERIODIC, repeats[name], spent[name]
            joined[f"{name}, gated"] = joined[name] * gated
        periodic, known = np.max([*repeats.values()], axis=0) > PERIODIC, repeats["harvest"] > PERIODIC
        for name, f0 in joined.items():
            voiced = f0 > 0
            cents = np.abs(1200 * np.log2(filled(f0)[known] / joined["harvest"][known]))
            lost = np.mean(repeats[name][voiced] < APERIODIC)
            print(f"  {name:42s} {spent[name]:.4f} s, voiced {voiced.mean():.3f}, of these {lost:.3f} do not repeat, missed "
                  f"{np.mean(~voiced[periodic]):.3f}, {np.median(cents):.1f} cents, {np.mean(cents > 50):.3f} beyond 50, "
                  f"{np.mean(cents > 1200 * np.log2(1.2)):.4f} beyond 20 %", flush=True)


if __name__ == "__main__":
    main()
