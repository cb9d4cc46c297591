"""The demo in a real browser: typed, heard while it is being made, seen, downloaded; by keyboard, on a phone, offline."""

import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import soundfile
import torch

from chatterbox_es.demo import LONGEST, Demo, DemoOptions, launch, main
from chatterbox_es.errors import UserError
from chatterbox_es.models.families import load_checkpoint
from chatterbox_es.runs.checkpoint_files import final_checkpoint
from chatterbox_es.speech.demo_voices import KEPT, Shelf
from chatterbox_es.speech.voices import load_voice

pytest.importorskip("gradio")

REPOSITORY = Path(__file__).resolve().parents[2]
SENTENCES = ("Hola, Ana.", "¿Vienes a las 7?", "Hoy no, gracias.")
LONG = " ".join(SENTENCES * 12)


@pytest.fixture(scope="module")
def outputs(road, tmp_path_factory) -> Path:
    """A finished run, one whose checkpoint is torn, one whose run.json is, and one that still trains."""
    folder = tmp_path_factory.mktemp("demo") / "outputs"
    for name in ("good", "torn_checkpoint", "torn_card", "running"):
        run = folder / "4_3" / name
        shutil.copytree(road.whole_run, run, ignore=shutil.ignore_patterns("wandb", "samples", "*.safetensors"))
    torn = next((folder / "4_3/torn_checkpoint/checkpoints").glob("final_*.pt"))
    torn.write_bytes(torn.read_bytes()[:500])
    (folder / "4_3/torn_card/run.json").write_text("{")
    card = folder / "4_3/running/run.json"
    card.write_text(json.dumps(json.loads(card.read_text()) | {"state": "running"}))
    return folder


class Server(NamedTuple):
    address: str
    process: subprocess.Popen


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def server(outputs) -> Iterator[Server]:
    """The command as a user starts it."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPOSITORY), "NO_PROXY": "127.0.0.1"}
    for _ in range(5):  # somebody else may take a port that was free
        process = subprocess.Popen([sys.executable, "-m", "chatterbox_es.demo", f"port={free_port()}"], cwd=outputs.parent,
                                   text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
        address = process.stdout.readline().strip()
        if address:
            break
        errors = process.communicate()[1]
        assert "name another port=" in errors, errors
    assert address.startswith("http://127.0.0.1:"), address
    yield Server(address, process)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate()
    assert "Traceback" not in errors


@pytest.fixture(scope="module")
def browser(start_browser: Callable) -> Iterator:
    browser = start_browser("autoplay-policy=document-user-activation-required", logs=("browser", "performance"))
    yield browser
    browser.quit()


def wait_for(browser, script: str, seconds: float = 200):
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(browser, seconds, 0.1).until(lambda driver: driver.execute_script(script), script)


def open_page(browser, server: Server, width: int) -> None:
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride",
                            {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False})
    for log in ("browser", "performance"):
        browser.get_log(log)
    browser.get(server.address)
    wait_for(browser, "return document.querySelector('#voz input')?.value")


def press(browser, *keys: str) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    ActionChains(browser).send_keys(*keys).perform()


def type_over(browser, text: str) -> None:
    """Into the box that has the focus, in place of what is there."""
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    ActionChains(browser).key_down(Keys.CONTROL).send_keys("a").key_up(Keys.CONTROL).send_keys(text).perform()


def walk_to(browser, test: str) -> list[str]:
    """Tab until the focused element passes; the ids on the way."""
    from selenium.webdriver.common.keys import Keys

    seen = []
    for _ in range(40):
        press(browser, Keys.TAB)
        seen.append(browser.execute_script("return document.activeElement.closest('[id]')?.id || ''"))
        if browser.execute_script(f"return document.activeElement.matches({json.dumps(test)})"):
            return seen
    raise AssertionError(f"{test} cannot be reached by keyboard: {seen}")


STATE = "return document.querySelector('#estado')?.innerText || ''"
DONE = "return /de voz en/.test(document.querySelector('#estado').innerText)"
PLAYER = "const a = document.querySelector('#sonido audio');"


@pytest.mark.parametrize("width", [360, 1440])
def test_the_keyboard_alone_suffices_from_text_to_download(browser, server, outputs, width):
    from selenium.webdriver.common.keys import Keys

    open_page(browser, server, width)
    walk_to(browser, "#texto textarea")
    type_over(browser, " ".join(SENTENCES))
    press(browser, Keys.ENTER)
    wait_for(browser, PLAYER + "return a.src.endsWith('/1.wav') && !a.paused || a.played.length > 0")
    wait_for(browser, DONE)
    voice = load_voice(outputs / "4_3/good")
    expected = list(voice.stream(" ".join(SENTENCES)))
    words = browser.execute_script("return [...document.querySelectorAll('.palabras')].map(e => e.innerText)")
    assert words == [speech.reading.words for speech in expected]
    phonemes = browser.execute_script("""
        const shown = frase => [...frase.querySelectorAll('li')].map(item => item.innerText.split('\\n'));
        return [...document.querySelectorAll('.frase')].map(shown)
    """)
    for shown, speech in zip(phonemes, expected, strict=True):
        assert [name for name, _ in shown[1:-1]] == list(speech.reading.phonemes[1:-1])
        assert [time for _, time in shown] == [f"{20 * duration} ms" for duration in speech.durations]
    pictures = browser.execute_script("return [...document.querySelectorAll('.frase img')].map(i => [i.naturalWidth, i.alt])")
    assert len(pictures) == len(expected) and all(wide > 300 and "mel" in alt for wide, alt in pictures)
    seen = walk_to(browser, "#descargar a")
    assert [name for name in ("voz", "dialecto", "velocidad", "hablar", "parar") if name in seen] == [
        "voz", "dialecto", "velocidad", "hablar", "parar"]
    with urllib.request.urlopen(browser.execute_script("return document.activeElement.href")) as answer:
        samples, rate = soundfile.read(io.BytesIO(answer.read()), dtype="float32")
    whole = np.concatenate([speech.samples for speech in expected])
    assert rate == 24_000
    np.testing.assert_allclose(samples, whole, atol=1e-3)
    wait_for(browser, PLAYER + "return a.src.endsWith('/voz.wav')")  # all parts were played; now it holds the whole
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    assert browser.execute_script("return document.documentElement.lang") == "es"
    said = [entry for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]
    assert said == []


def test_nothing_is_asked_of_another_machine(browser, server):
    open_page(browser, server, 1440)
    browser.execute_script("document.querySelector('#texto textarea').focus()")
    type_over(browser, "Hola.\ue007")
    wait_for(browser, DONE)
    asked = {json.loads(entry["message"])["message"]["params"]["request"]["url"] for entry in browser.get_log("performance")
             if '"Network.requestWillBeSent"' in entry["message"]}
    asked = {url for url in asked if not url.startswith(("data:", "blob:", "chrome"))}
    assert len(asked) > 20
    assert [url for url in asked if not url.startswith(server.address)] == []


def test_a_long_text_is_heard_before_it_is_all_said_and_can_be_stopped(browser, server):
    open_page(browser, server, 1440)
    browser.execute_script("document.querySelector('#texto textarea').focus()")
    type_over(browser, LONG + "\ue007")
    wait_for(browser, PLAYER + "return a.currentTime > 0 || a.played.length > 0")
    assert "Frase" in browser.execute_script(STATE)  # still at it
    assert not browser.execute_script("return document.querySelector('#descargar a')")
    walk_to(browser, "#parar")
    press(browser, "\ue007")
    wait_for(browser, "return /Parado/.test(document.querySelector('#estado').innerText)")
    assert browser.execute_script(PLAYER + "return a.paused")
    browser.execute_script("document.querySelector('#estado [role]').textContent = 'Frase 9'")  # one that was on its way
    wait_for(browser, "return /Parado/.test(document.querySelector('#estado').innerText)")


def test_what_cannot_be_said_is_said_in_words_and_the_page_goes_on(browser, server):
    open_page(browser, server, 1440)
    browser.execute_script("document.querySelector('#texto textarea').focus()")
    for text, answer in (("\ue017", "Escribe primero un texto"), ("¿...?", "no hay nada que se pueda decir")):
        type_over(browser, text + "\ue007")
        wait_for(browser, f"return document.querySelector('#estado [role=alert]')?.innerText.includes('{answer}')")
    type_over(browser, "Hola.\ue007")
    wait_for(browser, DONE)


def test_damaged_voices_are_listed_with_their_reason_and_not_offered(browser, server):
    open_page(browser, server, 1440)
    browser.execute_script("document.querySelector('#inservibles summary').click()")
    shown = browser.execute_script("return document.querySelector('#inservibles').innerText")
    assert "(2)" in shown
    for name, reason in (("torn_checkpoint", "damaged or not a checkpoint"), ("torn_card", "run.json cannot be read")):
        assert name in shown and reason in shown
    browser.execute_script("document.querySelector('#voz input').focus()")
    press(browser, "\ue015")
    wait_for(browser, "return document.querySelectorAll('[role=option]').length")
    options = browser.execute_script("return [...document.querySelectorAll('[role=option]')].map(o => o.innerText.trim())")
    assert len(options) == 2 and "4_3/good (castellano)" in options[0] and options[1] == "base (castellano)"  # comes along


# What the buttons do, without a browser -------------------------------------------------------------------------------


@pytest.fixture
def demo(outputs, tmp_path) -> Demo:
    return Demo(Shelf(outputs), tmp_path)


def test_a_dialect_and_a_speed_are_heard(demo):
    def last(*given) -> tuple[str, str]:
        *_, (_, state, details, _) = demo.speak("La calle es larga.", "4_3/good", *given)
        return state, details

    assert "ʃ" in last("rioplatense", 1.0)[1] and "ʃ" not in last("", 1.0)[1]
    seconds = [float(last("", speed)[0].split(">")[1].split(" ")[0]) for speed in (0.5, 2.0)]
    assert seconds[0] > 1.5 * seconds[1]


def test_a_speaker_is_picked_where_a_voice_has_several(demo, road, tmp_path):
    several = load_checkpoint(final_checkpoint(road.whole_run))
    several.model = several.model | {"speakers": ["ana", "luis"]}
    several.weights["speaker_embedding.embedding.weight"] = torch.randn(3, several.model["width"])
    several.save(tmp_path / "several.pt")
    demo.shelf.run = tmp_path / "several.pt"
    name = str(demo.shelf.run)
    shown = demo.speakers(name)
    assert (shown["choices"], shown["value"], shown["visible"]) == (["ana", "luis"], "ana", True)
    assert demo.speakers("4_3/good")["visible"] is False
    said = [list(demo.speak("Hola, Ana.", name, "", 1.0, speaker))[-1][2] for speaker in ("ana", "luis", None)]
    assert said[0] != said[1] and said[0] == said[2]
    [(_, state, _, _)] = demo.speak("Hola.", name, "", 1.0, "eva")
    assert "eva" in state


@pytest.mark.parametrize(("text", "voice", "answer"), [
    ("a" * (LONGEST + 1), "4_3/good", f"aquí caben {LONGEST}"),
    ("Hola.", "gone", "gone"),
    ("Hola.", "4_3/torn_checkpoint", "damaged"),
    ("Hola.", None, "ninguna voz"),
    (None, "4_3/good", "Escribe primero"),
    ("<script>alert(1)</script> ¿...?", "<b>", "&lt;b&gt;"),
])
def test_what_is_wrong_is_a_message(demo, text, voice, answer):
    [(_, state, _, _)] = demo.speak(text, voice, "", 1.0)
    assert 'role="alert"' in state and answer in state


def test_what_was_typed_is_no_markup(demo):
    *_, (_, _, details, _) = demo.speak("Hola, <img src=x onerror=alert(1)> ☂ Ana & co.", "4_3/good", "", 1.0)
    assert "<img src=x" not in details
    assert "No se ha leído" in details


def test_several_users_at_once_get_their_own_sound(demo):
    texts = [f"Son {number} libros." for number in (2, 13, 100)]
    ends: dict[str, tuple] = {}

    def user(text: str) -> None:
        *_, ends[text] = demo.speak(text, "4_3/good", "", 1.0)

    users = [threading.Thread(target=user, args=(text,)) for text in texts]
    for thread in users:
        thread.start()
    for thread in users:
        thread.join()
    voice, files = demo.shelf.voice("4_3/good"), set()
    for text in texts:
        link, details = ends[text][3], ends[text][2]
        file = Path(link.split("file=")[1].split('"')[0])
        files.add(file)
        np.testing.assert_allclose(soundfile.read(file)[0], voice.speak(text).samples, atol=1e-4)
        assert voice.front_end.read(text).words in details
    assert len(files) == len(texts)


def test_old_sounds_are_deleted(demo):
    *_, last = demo.speak("Hola.", "4_3/good", "", 1.0)
    folder = Path(last[3].split("file=")[1].split('"')[0]).parent
    ago = time.time() - 7200
    os.utime(folder, (ago, ago))
    list(demo.speak("Hola.", "4_3/good", "", 1.0))
    assert not folder.exists()


def test_a_voice_is_loaded_once_and_again_when_its_file_has_changed(outputs, tmp_path):
    copies = tmp_path / "outputs"
    for number in range(KEPT + 1):
        shutil.copytree(outputs / "4_3/good", copies / str(number))
    shelf = Shelf(copies)
    first = shelf.voice("0")
    assert shelf.voice("0") is first
    os.utime(next((copies / "0/checkpoints").glob("final_*.pt")), (1, 1))
    assert shelf.voice("0") is not first
    for number in range(KEPT + 1):
        shelf.voice(str(number))
    assert len(shelf.loaded) == KEPT


def test_a_port_that_is_taken_is_said(demo, tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(UserError, match="name another port="):
            launch(demo.page(), DemoOptions(port=taken.getsockname()[1]), tmp_path)


@pytest.mark.parametrize(("arguments", "reason"), [
    ([], "no finished run in outputs/"),
    (["run=nowhere"], "there is no run nowhere"),
    (["port=many"], "port=many"),
])
def test_what_is_wrong_is_said_before_the_page_opens(monkeypatch, tmp_path, arguments, reason):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["demo", *arguments])
    with pytest.raises(UserError, match=reason):
        main()


def test_gradio_missing_is_said(road, command, tmp_path):
    (tmp_path / "gradio.py").write_text("raise ImportError('No module named gradio')")
    output = command("demo", f"run={road.whole_run}", cwd=tmp_path, PYTHONPATH=str(tmp_path))
    assert output.returncode == 2
    assert "pip install 'chatterbox-es[demo]'" in output.stderr
