// What is on the page --------------------------------------------------------------------------------------------------

function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

function announce(words) { document.getElementById("announcement").textContent = words; }

function screen(name) {
  playing?.stop();
  main.replaceChildren(document.getElementById(name).content.cloneNode(true));
  const find = id => document.getElementById(id);
  showProgress();
  showStatus();
  scrollTo(0, 0);
  return find;
}

function go(stage) {
  state.stage = stage;
  save();
  show();
}

function show() {
  const next = state.stage === "trials" && !nextPresentation() ? "end" : state.stage;
  if (next !== state.stage) { state.stage = next; save(); }
  ({welcome, volume, examples, practice, trials, end})[state.stage]();
}

function order() { return test.orders[state.row]; }
function nextPresentation() { return order().find(([trial]) => !(test.trials[trial] in state.answers)); }
function answered() { return order().filter(([trial]) => test.trials[trial] in state.answers).length; }

function showProgress() {
  const words = document.getElementById("progress"), bar = document.getElementById("bar");
  words.hidden = bar.hidden = state.stage !== "trials";
  if (state.stage !== "trials") return;
  words.textContent = `Pregunta ${answered() + 1} de ${order().length}`;
  bar.value = answered() / order().length;
}

function welcome() {
  const find = screen("welcome"), button = find("next"), offline = document.querySelector(".offline");
  offline.hidden = served;
  find("consent").addEventListener("change", event => { button.disabled = !event.target.checked; });
  button.addEventListener("click", async () => {
    button.disabled = true;
    state.form = {consent: true};
    state.formWaits = served;
    try {
      if (served) await enter();
    } catch (error) {
      if (error.nobody) served = false;
      else {
        button.disabled = false;
        statusLine.textContent = error.final ? `El servidor no acepta esta página (${error.message}).`
          : "No hay conexión con el servidor. Inténtelo de nuevo dentro de un momento.";
        return;
      }
    }
    if (!served) {  // nobody hands out orders: by the number that the organiser gave, or by chance
      const number = Math.floor(Number(find("number").value)), chance = parseInt(state.listener.slice(0, 8), 16);
      state.row = (number > 0 ? number - 1 : chance) % test.orders.length;
      state.formWaits = false;
    }
    history.replaceState(null, "", `#oyente=${state.listener}`);
    go("volume");
  });
  find("consent").focus();
}

function volume() {
  const find = screen("volume"), button = find("next");
  const chosen = () => document.querySelector("#device :checked")?.value;
  const check = () => { button.disabled = !(player.heard && chosen()); };
  const player = new Player(test.examples[0], "la frase", check);
  find("player").replaceWith(player.element);
  find("device").addEventListener("change", check);
  document.querySelector(".served").hidden = !served;
  Object.assign(find("link"), {href: location.href, textContent: location.href});
  button.addEventListener("click", () => {
    state.form = {...state.form, device: chosen()};
    state.formWaits = served;
    go(Object.keys(state.answers).length ? "trials" : "examples");
    deliver();
  });
  player.button.focus();
}

function examples() {
  const find = screen("examples"), button = find("next");
  const players = test.examples.map((id, number) => new Player(id, `el ejemplo ${number + 1}`, () => {
    button.disabled = !players.every(player => player.heard);
  }));
  find("players").replaceChildren(...players.map(player => player.element));
  button.addEventListener("click", () => go("practice"));
  players[0].button.focus();
}

function practice() {
  question("Práctica", test.practice, test.practiceReference, "", () => go("trials"));
  document.getElementById("practice").hidden = false;
}

function trials() {
  const [number, ...shown] = nextPresentation(), trial = test.trials[number];
  const began = performance.now();
  question(`Pregunta ${answered() + 1} de ${order().length}`, shown, test.references[number], test.texts[number], (value, plays) => {
    state.revision += 1;
    state.answers[trial] = {value, milliseconds: Math.round(performance.now() - began), plays, revision: state.revision};
    if (served) state.waiting = [...state.waiting.filter(name => name !== trial), trial];
    save();
    show();
    deliver();
  });
}

function question(title, shown, reference, words, done) {
  const find = screen("trial"), button = find("next"), form = find("answer");
  document.querySelector("h2").textContent = title;
  if (words) Object.assign(find("words"), {textContent: `«${words}»`, hidden: false});
  const check = () => { button.disabled = value() === null; };
  const answer = test.method === "mushra" ? scores : choice;
  const {players, value, heard} = answer(shown, reference, form, check, find("hint"));
  find("players").replaceChildren(...players.map(player => player.element));
  players.forEach(player => { player.onHeard = heard; });
  const give = event => {
    event?.preventDefault();
    if (button.disabled) return;
    button.disabled = true;  // a second click has nothing to answer
    done(value(), players.reduce((sum, player) => sum + player.plays, 0));
  };
  button.addEventListener("click", give);
  form.addEventListener("submit", give);
  announce(title);
  players[0].button.focus();
}

function choice(shown, _, form, check, hint) {
  const names = shown.length === 1 ? ["el sonido"] : ["el sonido A", "el sonido B"];
  const players = shown.map((id, number) => new Player(id, names[number]));
  const fieldset = make("fieldset", {disabled: true}, make("legend", {textContent: test.question}),
    ...test.options.map(([value, label]) => make("label", {className: "choice"},
      make("input", {type: "radio", name: "value", value}), ...(test.method === "ab" ? [] : [make("b", {textContent:
        test.method === "cmos" && value > 0 ? `+${value}` : String(value).replace("-", "−")})]), make("span", {textContent: label}))));
  form.append(fieldset);
  form.addEventListener("change", check);
  hint.textContent = shown.length === 1 ? "Podrá responder cuando haya oído el sonido entero."
    : "Podrá responder cuando haya oído enteros los dos sonidos.";
  const heard = () => {
    if (!players.every(player => player.heard) || !fieldset.disabled) return;
    fieldset.disabled = false;
    hint.textContent = "";
    announce("Ya puede responder.");
  };
  return {players, heard, value: () => { const chosen = form.elements.value?.value; return chosen ? Number(chosen) : null; }};
}

function scores(shown, reference, form, check, hint) {
  const open = new Player(reference, "la referencia"), given = new Map();
  document.getElementById("question").textContent = test.question;
  const rows = shown.map((id, number) => {
    const name = `el sonido ${String.fromCharCode(65 + number)}`, player = new Player(id, name);
    const output = make("output", {textContent: "sin puntuar"});
    const slider = make("input", {type: "range", min: 0, max: 100, step: 1, value: 50, disabled: true,
      ariaLabel: `Puntos de 0 a 100 para ${name}`});
    const take = () => {
      given.set(id, Number(slider.value));
      output.textContent = slider.value;
      const word = test.words[Math.min(4, Math.floor((100 - slider.value) / 20))];
      slider.setAttribute("aria-valuetext", `${slider.value}, ${word}`);
      check();
    };
    slider.setAttribute("aria-valuetext", "sin puntuar");
    slider.addEventListener("input", take);
    slider.addEventListener("pointerup", () => { if (!slider.disabled) take(); });
    slider.addEventListener("keyup", event => { if (/^(Arrow|Home|End|Page|Enter| )/.test(event.key)) take(); });
    player.element.append(make("div", {className: "score"}, make("label", {}, "Puntos", output), slider,
      make("div", {className: "words", ariaHidden: "true"}, ...[...test.words].reverse().map(word => make("span", {textContent: word})))));
    return {player, slider};
  });
  hint.textContent = "Podrá puntuar cada sonido cuando lo haya oído entero, y también la referencia.";
  const heard = () => {
    rows.forEach(({player, slider}) => { slider.disabled = !(open.heard && player.heard); });
    if (rows.every(({slider}) => !slider.disabled)) { hint.textContent = "Puntúe todos los sonidos."; announce(hint.textContent); }
  };
  form.addEventListener("submit", event => event.preventDefault());
  return {players: [open, ...rows.map(({player}) => player)], heard,
    value: () => given.size === shown.length ? Object.fromEntries(given) : null};
}

function end() {
  const find = screen("end");
  const content = () => JSON.stringify({test: test.test, listener: state.listener, row: state.row, form: state.form,
    answers: state.answers});
  const name = `respuestas-${state.listener.slice(0, 8)}.json`;
  find("download").addEventListener("click", () => {
    const link = make("a", {href: URL.createObjectURL(new Blob([content()], {type: "application/json"})), download: name});
    link.click();
    find("another").hidden = false;
    announce(`Descargado como ${name}.`);
  });
  find("copy").addEventListener("click", async () => {
    try { await navigator.clipboard.writeText(content()); }
    catch { find("content").select(); document.execCommand("copy"); }
    find("copy").textContent = "Copiadas";
    announce("Copiadas.");
  });
  find("another").addEventListener("click", () => {
    localStorage.removeItem(last);
    history.replaceState(null, "", location.pathname);
    location.reload();
  });
  find("content").value = content();
  showDelivery();
  document.querySelector("h2").focus();
}

function showDelivery() {
  const delivered = served && !state.waiting.length && !state.formWaits && !refused;
  document.getElementById("delivered").hidden = !delivered;
  document.getElementById("undelivered").hidden = delivered;
  if (delivered) document.getElementById("another").hidden = false;
  document.getElementById("why").textContent = served
    ? "Ha terminado, pero no todas sus respuestas han llegado todavía. Deje la página abierta, o descárguelas y envíelas a quien le dio la prueba."
    : "Ha terminado. Descargue sus respuestas y envíeselas a quien le dio la prueba.";
}

// Begin, or go on ------------------------------------------------------------------------------------------------------

(async () => {
  if (served && (named || state.row !== null)) {
    try { await enter(); } catch (error) {
      if (error.nobody) served = false;
      else if (error.final) refused = error.message;
      else { away = true; timer = setTimeout(deliver, wait); }
    }
    if (state.row === null) state.stage = "welcome";
    else if (state.stage === "welcome" && state.form.consent) state.stage = "volume";
  }
  if (!served && state.row !== null) state.waiting = [];
  show();
  deliver();
})();
