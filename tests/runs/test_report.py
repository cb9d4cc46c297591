"""The report: what it says of runs, that it is one file of bounded size, and how it behaves in a browser."""

import base64
import html
import io
import json
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from chatterbox_es.runs.report import write_report
from chatterbox_es.runs.report_curves import Metrics, averaged, draw_group
from chatterbox_es.runs.report_samples import embed_samples, halving
from chatterbox_es.runs.run_directory import DAMAGED
from chatterbox_es.runs.summary import find_runs, summarise

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))
import bench_review as bench  # noqa: E402

MEGABYTES = 10_000_000


def text_of(page: str) -> str:
    """What a reader sees, roughly: no tags, no data."""
    return " ".join(re.sub(r"<[^>]*>", " ", re.sub(r"(?s)<(style|script).*?</\1>", "", page)).split())


def long_run(folder: Path, epochs: int, seconds: float = 1.0, sentences: int = 2) -> Path:
    run = bench.write_run(folder, steps=10 * epochs, validations=epochs)
    bench.write_samples(run, epochs, sentences, seconds)
    return run


def prepare_by_hand(folder: Path, faults: int) -> None:
    """A prepared set of the content that `bench.write_run` names."""
    folder.mkdir(parents=True)
    card = {"content": "0" * 64, "utterances": 1200, "seconds": 7200, "dialect": "mexican"}
    lint = [{"row": row, "id": f"r{row}", "reason": ("silent-audio", "too-long")[row % 2], "detail": f"fault <{row}>"}
            for row in range(faults)]
    (folder / "card.json").write_text(json.dumps(card))
    (folder / "lint.jsonl").write_text("".join(json.dumps(fault) + "\n" for fault in lint))


@pytest.fixture(scope="module")
def road_report(road, command) -> str:
    """The page of the 4_3 run of a real road, as the command writes it into the run's folder."""
    output = command("review", str(road.whole_run), "format=html", cwd=road.folder)
    assert output.returncode == 0, output.stdout + output.stderr
    assert output.stdout.strip() == str(road.whole_run / "report.html")
    return (road.whole_run / "report.html").read_text(encoding="utf-8")


def test_a_trained_run_is_reported_with_its_data_and_the_run_before(road, road_report, features):
    shown = text_of(road_report)
    card = json.loads((road.whole_run / "run.json").read_text())
    assert f"The best val_loss is {card['best_val_loss']:.4g} ; predicting the mean scores {features.baseline():.4g}" in shown
    assert "4_1, prepared data 10 utterances" in shown and str(features.folder) in shown
    before = json.loads((road.encoder_run / "run.json").read_text())
    lineage = shown[shown.index("4_1, prepared data"):]
    assert str(road.encoder_run) in lineage
    assert f"val_loss {before['best_val_loss']:.4g}" in lineage
    assert "No row of the corpus was left out." in shown
    assert "train.epochs=1" in shown  # as given on the command line


def test_what_was_said_is_in_it_as_sound_and_picture(road, road_report):
    sounds = re.findall(r'<audio[^>]* src="data:audio/mpeg;base64,([^"]+)"', road_report)
    spoken = sorted((road.whole_run / "samples").glob("epoch_*/*.wav"))
    recordings = sorted((road.whole_run / "samples" / "recordings").glob("*.wav"))
    assert len(sounds) == len(spoken) + len(recordings) > 1
    lengths = sorted(soundfile.info(io.BytesIO(base64.b64decode(sound))).duration for sound in sounds)
    assert lengths == pytest.approx(sorted(soundfile.info(path).duration for path in spoken + recordings), abs=0.15)
    assert road_report.count('src="data:image/webp;base64,') == len(spoken)
    assert (recordings[0].with_suffix(".txt").read_text().strip()) in road_report


def test_it_needs_no_other_file(road_report):
    assert len(road_report.encode()) <= MEGABYTES
    references = re.findall(r'(?:src|href|xlink:href)="([^"]*)"', road_report) + re.findall(r"url\(([^)]*)\)", road_report)
    assert references
    assert [reference for reference in references if not reference.startswith(("data:", "#"))] == []
    assert "@import" not in road_report
    ids = re.findall(r'\sid="([^"]+)"', road_report)
    assert len(ids) == len(set(ids))
    assert {reference[1:] for reference in references if reference.startswith("#")} <= set(ids)


def test_the_first_screen_judges_the_voice_and_lets_it_be_heard(road, road_report, features):
    """Metrics with the baseline, then players, the last checkpoint's first; curves and facts come below."""
    rows = re.findall(r'<th scope="row">(val_\w+), the \w+<small>.*?</small></th><td class="digits">(.*?)</td>'
                      r'<td class="digits">(.*?)</td>', road_report)
    metrics = [json.loads(line) for line in (road.whole_run / "metrics.jsonl").read_text().splitlines()]
    last = [row for row in metrics if "val_loss" in row][-1]
    best = json.loads((road.whole_run / "run.json").read_text())["best_val_loss"]
    assert rows[0] == ("val_loss", f"{features.baseline():.4g}", f"{best:.4g}")
    assert ("val_own_durations", f"{features.baseline():.4g}", f"{last['val_own_durations']:.4g}") in rows
    assert ("val_length_error", "", f"{last['val_length_error']:.4g}") in rows
    order = ["val_own_durations", '<audio controls', 'id="losses"', 'id="facts"', "hardware</th>"]
    places = [road_report.index(what, road_report.index("<main>")) for what in order]
    assert places == sorted(places)


def test_curves_stand_beside_the_mean(road_report):
    figure = re.search(r"<figcaption>Losses</figcaption>.*?</figure>", road_report, re.DOTALL)[0]
    assert "predicting the mean" in figure and "val_own_durations" in figure
    for title in ("Learning rate", "Gradient norms", "Throughput", "Memory"):
        assert f"<figcaption>{title}</figcaption>" in road_report
    assert "#0a0" not in figure  # every colour is the theme's


def test_the_baseline_is_drawn_where_it_was_measured_and_at_1_where_not():
    rows = [{"step": step, "val_loss": 0.5, "train_loss": 0.6} for step in range(1, 4)]
    for baseline, words in (({"baseline": 0.9653}, "predicting the mean scores 0.9653"), ({}, "predicting the mean scores 1")):
        picture = draw_group("losses", [("run", Metrics([row | baseline for row in rows]))])[0]
        assert picture.description.endswith(words)


def test_a_metric_that_a_runs_card_declares_needs_no_other_place():
    """Its curve stands with the losses where it is in their unit, else in a picture of its own by its label."""
    declared = [{"name": "val_loss", "label": "error", "unit": "dB"}, {"name": "val_new", "label": "a new error", "unit": "dB"},
                {"name": "val_share", "label": "a new share", "unit": "share"}]
    rows = [{"step": step, "val_loss": 0.5, "train_loss": 0.6, "val_new": 0.3, "val_share": 0.1} for step in range(1, 4)]
    pictures = {picture.title: picture for picture in draw_group("losses", [("run", Metrics(rows, card={
        "metrics": declared, "naive": "guessing"}))])}
    assert {name for _, name, _ in pictures["Losses"].legend} == {"train_loss", "val_loss", "val_new"}
    assert pictures["Losses"].description.endswith("guessing scores 1")
    assert {name for _, name, _ in pictures["a new share"].legend} == {"val_share"}


def test_runs_side_by_side_show_where_they_differ(tmp_path, command):
    for number, rate in enumerate((1e-3, 3e-4)):
        run = bench.write_run(tmp_path / "outputs" / str(number), number, steps=200)
        (run / "config.yaml").write_text(f"phase: {{lr: {rate}, batch_size: 4}}\ntrain: {{epochs: {number + 1}}}\n")
    output = command("review", "outputs", "format=html", "out=both.html", cwd=tmp_path)
    assert output.returncode == 0, output.stderr
    page = (tmp_path / "both.html").read_text()
    configuration = text_of(page[page.index('id="configuration"'):])
    summaries = sorted(find_runs(tmp_path / "outputs"), key=lambda summary: summary.best_val_loss)
    rates = ["0.001" if summary.run == "0" else "0.0003" for summary in summaries]
    assert f"phase.lr {' '.join(rates)}" in configuration
    assert "batch_size" not in configuration
    rows = re.search(r"<tbody>(.*?)</tbody>", page, re.DOTALL)[1]
    assert re.findall(r"</span>(\d)</td>", rows) == [summary.run for summary in summaries]  # the lowest loss first


def test_the_same_sentence_of_several_runs_stands_together(tmp_path):
    for name in "ab":
        long_run(tmp_path / name, epochs=2)
    page = write_report(find_runs(tmp_path), tmp_path / "report.html").read_text()
    sections = re.findall(r"<section>(.*?)</section>", page, re.DOTALL)
    assert len(sections) == 2  # sentences
    for section in sections:
        assert [len(re.findall(f'aria-label="{what}', section)) for what in ("recording", "a, epoch", "b, epoch")] == [1, 2, 2]


def test_what_has_no_room_is_counted_with_its_place(tmp_path):
    run = long_run(tmp_path / "run", epochs=40)
    page = write_report([summarise(run)], tmp_path / "report.html").read_text()
    shown = len(re.findall(r'aria-label="epoch \d+"', page))
    assert 4 <= shown < 80
    assert f"{80 - shown} more samples lie in {run}/samples/" in text_of(page)
    for section in re.findall(r"<section>(.*?)</section>", page, re.DOTALL):
        epochs = [int(epoch) for epoch in re.findall(r'aria-label="epoch (\d+)"', section)]
        assert epochs[0] == 40 and epochs[-1] == 1 and epochs == sorted(epochs, reverse=True)


def test_little_room_goes_to_the_last_checkpoint_then_to_the_first(tmp_path):
    run = long_run(tmp_path / "run", epochs=10, sentences=1)
    whole = embed_samples([run])
    assert not whole.left_out or sum(whole.left_out.values()) + len(whole.sentences[0].clips) == 10
    size = {clip.epoch: clip.size() for clip in whole.sentences[0].clips} | {None: whole.sentences[0].recording.size()}
    for epochs in ([10], [1, 10]):
        samples = embed_samples([run], room=size[None] + sum(size[epoch] for epoch in epochs) + 10)
        assert [clip.epoch for clip in samples.sentences[0].clips] == epochs
        assert samples.left_out == {0: 10 - len(epochs)}


@pytest.mark.parametrize("count", range(12))
def test_halving_names_each_position_once_and_spreads(count):
    order = halving(count)
    assert sorted(order) == list(range(count))
    assert order[:2] == [count - 1, 0][:count] if count > 1 else True


def test_a_report_never_grows_beyond_its_bound(tmp_path):
    for name in "abcd":
        long_run(tmp_path / name, epochs=12, seconds=20.0)
    page = write_report(find_runs(tmp_path), tmp_path / "report.html")
    assert 1_000_000 < page.stat().st_size <= MEGABYTES
    assert "more samples lie in" in text_of(page.read_text())


def test_rows_left_out_are_listed_and_counted(tmp_path):
    run = bench.write_run(tmp_path / "outputs" / "4_3" / "run", steps=100)
    prepare_by_hand(tmp_path / "outputs" / "prepared" / "folder-0", faults=301)
    shown = text_of(write_report([summarise(run)], tmp_path / "report.html").read_text())
    assert "301 rows of the corpus are not in the prepared set: 151 silent-audio, 150 too-long." in shown
    assert "The first 200; all are in" in shown
    assert "1,200 utterances, 2.00 h, mexican; 301 rows left out" in shown
    shutil.rmtree(tmp_path / "outputs" / "prepared")
    assert "The prepared set was not found" in text_of(write_report([summarise(run)], tmp_path / "report.html").read_text())


def test_the_chain_of_runs_is_read_to_its_beginning(tmp_path):
    encoder = bench.write_run(tmp_path / "outputs" / "encoder", steps=100)
    card = json.loads((encoder / "run.json").read_text())
    (encoder / "run.json").write_text(json.dumps(card | {"phase": "4_2"}))
    whole, tuned = (bench.write_run(tmp_path / "outputs" / name, steps=100) for name in ("whole", "tuned"))
    first = {"run": str(encoder), "content": "a", "epoch": 7, "step": 70, "metrics": {"val_loss": 0.321}}
    second = {"encoder_from": f"{encoder}/checkpoints/final.pt", "of": first, "run": str(whole), "content": "a", "epoch": 9,
              "step": 90, "metrics": {"val_loss": 0.246}}
    card = json.loads((tuned / "run.json").read_text())
    card["lineage"] = {"finetuned_from": f"{whole}/checkpoints/x.pt", "of": second}
    (tuned / "run.json").write_text(json.dumps(card))
    page = write_report([summarise(tuned)], tmp_path / "report.html").read_text()
    chain = re.search(r'<ol class="stages">(.*?)</ol>', page, re.DOTALL)[1]
    stages = [text_of(stage) for stage in re.findall(r"<li>(.*?)</li>", chain, re.DOTALL)]
    assert len(stages) == 4 and stages[0].startswith("4_1, prepared data")
    assert stages[1].startswith(f"4_2 {encoder}") and "epoch 7, step 70, val_loss 0.321" in stages[1]
    assert stages[2].startswith(f"4_3 {whole}") and "fine-tuning: epoch 9" in stages[2]
    assert "tuned" in stages[3]


def test_texts_are_shown_and_not_run(tmp_path):
    run = long_run(tmp_path / "run", epochs=1, sentences=1)
    (run / "samples" / "recordings" / "s0.txt").write_text("<script>alert(1)</script> & «comillas»\n")
    page = write_report([summarise(run)], tmp_path / "report.html").read_text()
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; «comillas»" in page
    assert "<script>alert" not in page


def test_what_is_damaged_or_missing_is_said_and_the_rest_shown(tmp_path):
    run = long_run(tmp_path / "runs" / "0_whole", epochs=2)
    (run / "samples" / "epoch_0002" / "s0.wav").write_bytes(b"no sound")
    (run / "samples" / "epoch_0001" / "s1.png").write_bytes(b"no picture")
    (run / "config.yaml").write_text("phase: [")
    rows = (run / "metrics.jsonl").read_text().splitlines(keepends=True)
    rows.insert(1, '{"step": 11, "train_loss": NaN}\n')
    (run / "metrics.jsonl").write_text("".join(["torn {\n", "[1]\n", *rows]))
    for number, name in enumerate(("torn_json", "garbage_metrics", "file_for_run", "link_in_circles"), 1):
        bench.DAMAGES[name](bench.write_run(tmp_path / "runs" / f"{number}_{name}", number, steps=200))
    shown = text_of(write_report(find_runs(tmp_path / "runs"), tmp_path / "report.html").read_text())
    for words in ("0_whole: 2 lines of metrics.jsonl cannot be read", "0_whole: 1 values in metrics.jsonl are NaN, infinite",
                  "0_whole: config.yaml cannot be read", "epoch_0002/s0.wav: ", "epoch_0001/s1.png: ",
                  "1_torn_json: damaged: run.json is no JSON", "2_garbage_metrics: damaged", "3_file_for_run: damaged: a file",
                  "4_link_in_circles: damaged: a link in circles"):
        assert words in shown, words


@pytest.mark.parametrize("damage", sorted(set(bench.DAMAGES) - {"unreadable_folder", "unreadable_json"}))
def test_a_damaged_run_alone_has_a_report_that_says_so(tmp_path, damage):
    bench.DAMAGES[damage](bench.write_run(tmp_path / "0_run", steps=200))
    summary = next(summary for summary in find_runs(tmp_path) if summary.state == DAMAGED)
    page = write_report([summary], tmp_path / "out" / "report.html").read_text()
    assert f"damaged: {summary.reason}" in html.unescape(text_of(page))


def test_a_run_that_has_just_begun_has_a_report(tmp_path, command):
    run = bench.write_run(tmp_path / "run", state="running", steps=10)
    for name in ("metrics.jsonl", "config.yaml"):
        (run / name).unlink()
    output = command("review", str(run), "format=html", cwd=tmp_path)
    assert output.returncode == 0, output.stderr
    assert "has not validated yet" in text_of((run / "report.html").read_text())


def test_a_report_that_cannot_be_written_is_named(tmp_path, command):
    bench.write_run(tmp_path / "run", steps=100)
    output = command("review", "run", "format=html", "out=run/train.log/report.html", cwd=tmp_path)
    assert output.returncode == 2
    assert "report.html cannot be written" in output.stderr and "out=FILE" in output.stderr


def test_long_curves_are_drawn_as_means():
    x, y = averaged(np.arange(1000.0), np.ones(1000), points=100)
    assert len(x) == 100 and (y == 1).all() and x[0] == 4.5 and x[-1] == 994.5
    assert [len(part) for part in averaged(np.arange(50.0), np.ones(50), points=100)] == [50, 50]


# In a browser ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser(start_browser: Callable) -> Iterator:
    browser = start_browser("autoplay-policy=no-user-gesture-required")
    yield browser
    browser.quit()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The report of a run with everything in it, and that of six runs side by side."""
    folder = tmp_path_factory.mktemp("pages")
    prepare_by_hand(folder / "outputs" / "prepared" / "folder-0", faults=30)
    for number in range(6):
        run = folder / "outputs" / "multirun" / f"2026-11-23_10-00-00_with_a_long_name/{number}_4_3"
        long_run(run, epochs=3) if number < 2 else bench.write_run(run, number)
    bench.DAMAGES["torn_json"](bench.write_run(folder / "outputs" / "multirun" / "7_broken", steps=100))
    summaries = find_runs(folder / "outputs")
    assert summaries[0].run.endswith("0_4_3")
    return {"run": write_report(summaries[:1], folder / "run.html"), "sweep": write_report(summaries, folder / "sweep.html")}


def open_page(browser, page: Path, width: int, scheme: str) -> None:
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride",
                            {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False})
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]})
    browser.get_log("browser")
    browser.get(page.as_uri())
    browser.execute_script("document.querySelectorAll('img').forEach(image => image.loading = 'eager')")


def wait_for(browser, script: str):
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(browser, 30).until(lambda driver: driver.execute_script(script))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1440])
@pytest.mark.parametrize("page", ["run", "sweep"])
def test_in_a_browser(browser, pages, page, width, scheme):
    open_page(browser, pages[page], width, scheme)
    audios = wait_for(browser, """
        const all = [...document.querySelectorAll("audio")];
        return all.every(a => a.error || a.readyState >= 3) && all.map(a => a.error ? a.error.message : a.duration)""")
    assert len(audios) >= 8 and all(isinstance(length, float | int) and length > 0.8 for length in audios), audios
    assert wait_for(browser, "return [...document.images].every(image => image.complete && image.naturalWidth > 0)")
    assert browser.execute_script("return document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    too_wide = browser.execute_script("""
        return [...document.querySelectorAll("body *")].filter(e => !e.closest(".scroll, pre, svg, dialog") &&
          e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML.slice(0, 80))""")
    assert too_wide == []
    ground, ink = browser.execute_script("""
        const style = getComputedStyle(document.body); return [style.backgroundColor, style.color]""")
    lightness = [sum(map(int, re.findall(r"\d+", colour)[:3])) for colour in (ground, ink)]
    assert (lightness[0] > lightness[1]) == (scheme == "light") and abs(lightness[0] - lightness[1]) > 500
    assert browser.get_log("browser") == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_and_curves_stand_out_from_the_ground(browser, pages, scheme):
    """WCAG 2.2: a contrast of 4.5 for text, of 3 for lines (https://www.w3.org/TR/WCAG22/#contrast-minimum)."""
    open_page(browser, pages["sweep"], 1440, scheme)
    names = ["page", "ink", "soft", "bad", "link", *(f"series-{place}" for place in range(8))]
    values = browser.execute_script("""
        const style = getComputedStyle(document.documentElement);
        return arguments[0].map(name => style.getPropertyValue("--" + name).trim())""", names)

    def luminance(colour: str) -> float:
        parts = [int(colour[place:place + 2], 16) / 255 for place in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    ground = luminance(values[0])
    for name, value in zip(names[1:], values[1:], strict=True):
        lighter, darker = sorted((ground, luminance(value)), reverse=True)
        assert (lighter + 0.05) / (darker + 0.05) >= (3 if name.startswith("series") else 4.5), (name, value)


@pytest.mark.parametrize("page", ["run", "sweep"])
def test_the_keyboard_reaches_everything_and_is_seen_there(browser, pages, page):
    from selenium.webdriver.common.keys import Keys

    open_page(browser, pages[page], 1440, "light")
    wanted = browser.execute_script("""
        const all = [...document.querySelectorAll("audio, th button, .picture, nav a, summary, .scroll")]
          .filter(element => element.checkVisibility());
        all.forEach((element, place) => element.dataset.place = place); return all.length""")
    reached, unseen = set(), []
    for _ in range(12 * wanted):  # inside a player there are several stops
        browser.switch_to.active_element.send_keys(Keys.TAB)
        place, outline, tag = browser.execute_script("""
            const active = document.activeElement;
            const seen = [active, active.closest(".clip") ?? active].map(element => getComputedStyle(element));
            return [active.dataset.place ?? null, seen.some(style => style.outlineStyle === "solid" &&
                    parseFloat(style.outlineWidth) >= 2), `${active.tagName} ${active.ariaLabel}`]""")
        if place is not None:
            reached.add(int(place))
            if not outline:
                unseen.append(tag)
        if len(reached) == wanted:
            break
    assert reached == set(range(wanted))
    assert unseen == []


def test_a_table_is_sorted_by_the_keyboard(browser, pages):
    from selenium.webdriver.common.keys import Keys

    open_page(browser, pages["sweep"], 1440, "light")
    losses = "return [...document.querySelector('#runs ~ .scroll tbody').rows].map(row => row.cells[6].textContent)"
    head = browser.execute_script("return document.querySelector('#runs ~ .scroll thead').rows[0].cells[6].firstChild")
    assert head.text.startswith("best_val_loss")
    for order, reverse in (("ascending", False), ("descending", True)):
        head.send_keys(Keys.ENTER)
        values = [float(value) for value in browser.execute_script(losses) if value.strip()]
        assert len(values) == 6 and values == sorted(values, reverse=reverse)
        assert browser.execute_script("return arguments[0].parentElement.getAttribute('aria-sort')", head) == order


def test_a_picture_opens_and_closes_by_the_keyboard(browser, pages):
    from selenium.webdriver.common.keys import Keys

    open_page(browser, pages["run"], 360, "dark")
    button = browser.execute_script("return document.querySelector('.picture')")
    button.send_keys(Keys.ENTER)
    assert wait_for(browser, "return document.querySelector('dialog[open] img')?.naturalWidth > 400")
    browser.switch_to.active_element.send_keys(Keys.ESCAPE)
    assert wait_for(browser, "return !document.querySelector('dialog').open")
    assert browser.get_log("browser") == []


def test_one_sound_plays_at_a_time(browser, pages):
    open_page(browser, pages["run"], 1440, "light")
    assert wait_for(browser, "return [...document.querySelectorAll('audio')].every(a => a.readyState >= 3)")
    playing = browser.execute_async_script("""
        const done = arguments[0], [first, second] = document.querySelectorAll("audio");
        const tell = () => second.currentTime > 0 ? done([first.paused, true]) : setTimeout(tell, 50);
        first.muted = second.muted = true;
        first.play().then(() => second.play()).then(tell).catch(error => done(String(error)))""")
    assert playing == [True, True]
