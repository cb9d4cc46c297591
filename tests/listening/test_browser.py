"""The page in a real browser: from the first click to the analysis, by mouse, touch width and keyboard alone."""

import json
import re
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from chatterbox_es import listening_test
from chatterbox_es.listening.answers import AnswerStore, Listener
from chatterbox_es.listening.design import Design
from chatterbox_es.listening.scales import METHODS

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent / "scripts"))
import bench_listening as bench  # noqa: E402

pytest.importorskip("selenium")
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402

SECONDS = 120  # a busy machine's; nothing here waits longer than what it waits for takes


class Visitor:
    """A listener at the browser."""

    def __init__(self, browser):
        self.browser = browser

    def open(self, address: str, width: int = 1440, scheme: str = "light") -> "Visitor":
        self.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride",
                                     {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500})
        self.browser.execute_cdp_cmd("Emulation.setEmulatedMedia",
                                     {"features": [{"name": "prefers-color-scheme", "value": scheme}]})
        self.browser.get("about:blank")
        self.browser.get_log("browser")
        self.browser.get(address)
        return self

    def script(self, code: str, *arguments):
        return self.browser.execute_script(code, *arguments)

    def wait(self, code: str):
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            if found := self.script(code):
                return found
            time.sleep(0.02)
        raise AssertionError(f"not within {SECONDS} s: {code}\n{self.script('return document.body.innerText')}")

    def all(self, selector: str) -> list:
        return self.browser.find_elements(By.CSS_SELECTOR, selector)

    def click(self, selector: str) -> None:
        element = self.all(selector)[0]
        self.script("arguments[0].scrollIntoView({block: 'center'})", element)
        element.click()

    def title(self) -> str:
        return self.wait("return document.querySelector('h2')?.textContent")

    def hear_all(self) -> None:
        """A real click on the first sound, which browsers ask for; the others one after the other."""
        self.click(".sound button")
        self.script("""
            const players = [...document.querySelectorAll('.sound')];
            const heard = player => player.querySelector('.heard').textContent;
            window.listening = setInterval(() => {
              const next = players.find(player => !heard(player)), button = next?.querySelector('button');
              if (!next) clearInterval(window.listening);
              else if (button.textContent.startsWith('▶')) button.click();
            }, 10)""")
        self.wait("return [...document.querySelectorAll('.heard')].every(mark => mark.textContent)")

    def begin(self) -> None:
        """To the first question."""
        self.click("#consent")
        self.click("#next")
        self.wait("return document.querySelector('#device')")
        self.hear_all()
        self.click("input[value=auriculares]")
        self.click("#next")
        assert self.title() == "Ejemplos"
        self.hear_all()
        self.click("#next")
        assert self.title() == "Práctica"
        self.answer()

    def skip_to_questions(self) -> None:
        """What comes before the questions, as if it had been heard."""
        self.title()
        self.script("""
            enter().then(() => {
              Object.assign(state, {form: {consent: true, device: "auriculares"}, formWaits: true});
              history.replaceState(null, "", `#oyente=${state.listener}`);
              go("trials");
              deliver();
            })""")
        self.wait("return document.querySelector('h2').textContent.startsWith('Pregunta 1')")

    def answer(self, option: int = 0) -> None:
        """Answer the question that is shown, and see the next one."""
        title = self.title()
        self.hear_all()
        if sliders := self.all("input[type=range]"):
            for place, slider in enumerate(sliders):
                slider.send_keys(*[Keys.ARROW_UP] * (place + 1))
        else:
            self.script("arguments[0].scrollIntoView({block: 'center'})", self.all(".choice input")[option])
            self.all(".choice input")[option].click()
        self.click("#next")
        self.wait(f"return document.querySelector('h2').textContent !== {json.dumps(title)}")

    def answer_all(self) -> None:
        while self.title().startswith("Pregunta"):
            self.answer()
        assert self.title() == "Muchas gracias"

    def console(self) -> list:
        return self.browser.get_log("browser")


@pytest.fixture
def visitor(browser) -> Visitor:
    return Visitor(browser)


@pytest.fixture
def copy_of(tests_of: Callable, tmp_path: Path) -> Callable[[str], Path]:
    return lambda method: Path(shutil.copytree(tests_of(method), tmp_path / "test"))


def listeners_of(folder: Path) -> list[Listener]:
    store = AnswerStore(folder, Design.read(folder))
    listeners = store.listeners()
    store.close()
    return listeners


def analysed(folder: Path, answers: str = "") -> dict:
    listening_test.analyse(listening_test.AnalyseOptions(test=str(folder), answers=answers))
    return json.loads((folder / "results" / "results.json").read_text())


@pytest.mark.parametrize(("method", "width", "scheme"), [
    ("mos", 1440, "dark"), ("mushra", 360, "light"),
    pytest.param("cmos", 360, "dark", marks=pytest.mark.slow), pytest.param("ab", 1440, "light", marks=pytest.mark.slow),
    pytest.param("mos", 360, "light", marks=pytest.mark.slow),
    pytest.param("mushra", 1440, "dark", marks=pytest.mark.slow), pytest.param("ab", 360, "dark", marks=pytest.mark.slow)])
def test_from_the_first_click_to_the_analysis(visitor, copy_of, serving, method, width, scheme):
    folder = copy_of(method)
    visitor.open(serving(folder), width, scheme)
    looks = []

    def look() -> None:
        looks.append(visitor.script("""
            return [document.documentElement.scrollWidth <= innerWidth,
                    [...document.querySelectorAll('button, .choice, input[type=range]')].filter(e => e.checkVisibility() &&
                      e.getBoundingClientRect().height < 36).map(e => e.outerHTML)]"""))

    look()
    visitor.begin()
    look()
    assert Design.read(folder).question in visitor.script("return document.querySelector('main').innerText")
    visitor.answer_all()
    visitor.wait("return !document.querySelector('#delivered').hidden")
    look()
    assert looks == [[True, []]] * 3
    assert visitor.console() == []
    design, (listener,) = Design.read(folder), listeners_of(folder)
    assert set(listener.answers) == {presentation.trial for presentation in design.orders[listener.row]}
    assert listener.form == {"consent": True, "device": "auriculares"}
    for answer in listener.answers.values():
        heard = sum(design.seconds[stimulus] for stimulus in design.trials[answer.trial].stimuli)
        assert answer.milliseconds >= 900 * heard and answer.plays >= len(design.trials[answer.trial].stimuli)
    results = analysed(folder)
    assert results["listeners"] == 1 and results["incomplete"] == 0 and results["method"] == method in METHODS


def test_nothing_can_be_answered_before_it_was_heard_to_its_end(visitor, copy_of, serving):
    visitor.open(serving(copy_of("ab")))
    assert not visitor.all("#next")[0].is_enabled()
    visitor.skip_to_questions()
    first, second = visitor.all(".sound button")
    usable = "return [document.querySelector('fieldset').disabled, document.querySelector('#next').disabled]"
    assert visitor.script(usable) == [True, True]
    second.click()
    visitor.wait("return document.querySelectorAll('.sound')[1].querySelector('.heard').textContent")
    visitor.script("arguments[0].click(); arguments[0].click()", first)  # stopped before its end
    time.sleep(0.4)
    assert visitor.script("return document.querySelector('.sound .heard').textContent") == ""
    assert visitor.script(usable) == [True, True]
    first.click()
    visitor.wait("return !document.querySelector('fieldset').disabled")
    assert visitor.script(usable) == [False, True]
    visitor.all(".choice input")[1].click()
    assert visitor.script(usable) == [False, False]


def test_one_sound_plays_at_a_time(visitor, copy_of, serving):
    visitor.open(serving(copy_of("ab")))
    visitor.skip_to_questions()
    visitor.hear_all()
    names = visitor.script("""
        const [first, second] = document.querySelectorAll('.sound button');
        first.click();
        const before = [first.textContent[0], second.textContent[0]];
        second.click();
        return [...before, first.textContent[0], second.textContent[0]]""")
    assert names == ["■", "▶", "▶", "■"]
    visitor.wait("return !audio.paused || audio.ended")


def test_by_the_keyboard_alone(visitor, copy_of, serving):
    """Every step with Tab, Space, arrows and Enter, from where the focus is; and the focus is seen."""
    folder = copy_of("mos")
    visitor.open(serving(folder))

    def press(*keys: str) -> None:
        visitor.browser.switch_to.active_element.send_keys(*keys)
        seen = visitor.script("""
            const active = document.activeElement, frames = [active, active.closest('.choice') ?? active];
            return active === document.body || active.tagName === 'H2' || frames.some(element => {
              const style = getComputedStyle(element);
              return style.outlineStyle === 'solid' && parseFloat(style.outlineWidth) >= 2; })""")
        assert seen, visitor.script("return document.activeElement.outerHTML")

    def hear() -> None:
        for place in range(len(visitor.all(".sound"))):
            press(Keys.SPACE)
            visitor.wait(f"return document.querySelectorAll('.sound')[{place}].querySelector('.heard').textContent")
            press(Keys.TAB)

    press(Keys.SPACE, Keys.TAB)  # consent
    press(Keys.ENTER)
    visitor.wait("return document.querySelector('#device')")
    hear()
    press(Keys.SPACE)  # headphones
    press(Keys.TAB)  # the link
    press(Keys.TAB)
    press(Keys.ENTER)
    assert visitor.title() == "Ejemplos"
    hear()
    press(Keys.ENTER)
    for _ in range(1 + len(Design.read(folder).orders[0])):
        title = visitor.title()
        hear()
        press(Keys.SPACE)
        press(Keys.ARROW_DOWN)
        press(Keys.TAB)
        press(Keys.ENTER)
        visitor.wait(f"return document.querySelector('h2').textContent !== {json.dumps(title)}")
    assert visitor.title() == "Muchas gracias"
    visitor.wait("return !document.querySelector('#delivered').hidden")
    (listener,) = listeners_of(folder)
    assert {answer.value for answer in listener.answers.values()} == {4}  # Buena, the second


def test_a_reload_goes_on_at_the_same_question_and_so_does_another_device(visitor, copy_of, serving):
    folder = copy_of("mos")
    visitor.open(serving(folder))
    visitor.skip_to_questions()
    visitor.answer(0)
    visitor.answer(1)
    title, link = visitor.title(), visitor.browser.current_url
    assert title == "Pregunta 3 de 3" and re.search(r"#oyente=[0-9a-f]{32}$", link)
    sound = visitor.script("return nextPresentation()")
    visitor.browser.refresh()
    assert visitor.title() == title and visitor.script("return nextPresentation()") == sound
    visitor.wait("return document.querySelector('#status').textContent === 'Todas sus respuestas están guardadas.'")
    visitor.script("localStorage.clear()")  # another device knows the link alone
    visitor.open(link)
    assert visitor.title() == "Volumen"
    visitor.hear_all()
    visitor.click("input[value=telefono]")
    visitor.click("#next")
    assert visitor.title() == title and visitor.script("return nextPresentation()") == sound
    visitor.answer_all()
    visitor.wait("return !document.querySelector('#delivered').hidden")
    (listener,) = listeners_of(folder)
    assert len(listener.answers) == len(Design.read(folder).orders[0]) and listener.form["device"] == "telefono"
    assert visitor.console() == []


def test_a_double_click_answers_one_question(visitor, copy_of, serving):
    folder = copy_of("mos")
    visitor.open(serving(folder))
    visitor.skip_to_questions()
    visitor.hear_all()
    visitor.click(".choice input")
    visitor.script("const next = document.querySelector('#next'); next.click(); next.click(); next.click()")
    assert visitor.title().startswith("Pregunta 2")
    visitor.script("return deliver()")
    visitor.wait("return state.waiting.length === 0")
    (listener,) = listeners_of(folder)
    assert len(listener.answers) == 1


def test_from_a_file_without_network(visitor, copy_of, tmp_path):
    folder = copy_of("mos")
    visitor.browser.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path / "got")})
    visitor.open((folder / "test.html").as_uri())
    visitor.script("localStorage.clear()")
    visitor.open((folder / "test.html").as_uri(), 360)
    visitor.all("#number")[0].send_keys("2")
    visitor.begin()
    visitor.answer()
    visitor.browser.refresh()
    assert visitor.title().startswith("Pregunta 2")
    visitor.answer_all()
    visitor.click("#download")
    end = time.monotonic() + SECONDS
    while not (files := list((tmp_path / "got").glob("*.json"))) and time.monotonic() < end:
        time.sleep(0.05)
    content = json.loads(files[0].read_text())
    assert content == json.loads(visitor.script("return document.querySelector('#content').value"))
    visitor.click("#another")
    assert visitor.title() == "Bienvenida" and visitor.script("return state.listener") != content["listener"]
    assert content["row"] == 1 and files[0].name == f"respuestas-{content['listener'][:8]}.json"
    assert visitor.console() == []
    results = analysed(folder, f"{tmp_path}/got")
    assert results["listeners"] == 1 and results["incomplete"] == 0 and results["faults"] == []


def test_answers_wait_while_the_server_is_away(visitor, copy_of):
    """The server is killed and started again half-way; the listener goes on, and everything arrives once."""
    folder = copy_of("mos")
    served = bench.Served(folder)
    served.start()
    try:
        visitor.open(f"http://127.0.0.1:{served.port}/")
        visitor.skip_to_questions()
        visitor.answer()
        visitor.wait("return state.waiting.length === 0")  # acknowledged: two are left to wait
        served.kill()
        visitor.answer()
        visitor.answer()
        visitor.wait("return document.querySelector('#status').textContent.startsWith('Sin conexión')")
        assert visitor.title() == "Muchas gracias" and visitor.script("return state.waiting.length") == 2
        assert "no todas sus respuestas han llegado" in visitor.script("return document.querySelector('#why').textContent")
        served.start()
        visitor.wait("return !document.querySelector('#delivered').hidden")
    finally:
        served.kill()
    (listener,) = listeners_of(folder)
    assert len(listener.answers) == len(Design.read(folder).orders[0])
    errors = [line["message"] for line in visitor.console() if "ERR_CONNECTION_REFUSED" not in line["message"]]
    assert errors == []


def test_the_results_page_in_a_browser(visitor, copy_of):
    folder = copy_of("mos")
    design = Design.read(folder)
    store, panel = AnswerStore(folder, design), bench.Panel(design, 0)
    for number in range(12):
        listener = panel.listener(number % len(design.orders), careful=number > 1)
        store.enter(listener.token)
        for answer in listener.answers.values():
            store.keep(listener.token, answer)
    store.close()
    analysed(folder)
    for width, scheme in ((360, "light"), (1440, "dark")):
        visitor.open((folder / "results" / "results.html").as_uri(), width, scheme)
        assert visitor.script("return document.documentElement.scrollWidth <= innerWidth")
        lanes = visitor.script("""
            return [...document.querySelectorAll('.lane')].map(lane => { const box = lane.getBoundingClientRect();
              return [...lane.querySelectorAll('i')].every(mark => { const at = mark.getBoundingClientRect();
                return at.left >= box.left - 8 && at.right <= box.right + 8; }); })""")
        assert lanes == [True] * len(design.conditions)
        assert visitor.console() == []


def test_the_page_needs_nothing_else_and_tells_nothing(tests_of):
    page = (tests_of("mos") / "test.html").read_text()
    assert not re.search(r'(?:src|href)="(?!data:|#)', page)
    for name in ("one", "two", "anchor", "reference"):
        assert not re.search(rf'"{name}"', page)
    assert "http" not in page[page.rindex("<script>"):].replace("https?:", "").replace("HTTP", "")
