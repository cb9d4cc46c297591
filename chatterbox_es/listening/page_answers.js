"use strict";
const test = JSON.parse(document.getElementById("test").textContent);
const sounds = JSON.parse(document.getElementById("sounds").textContent);
const main = document.getElementById("main"), statusLine = document.getElementById("status");
const last = `prueba-${test.test}`;  // names whoever answers on this device; each person's answers have a place of their own

// What is kept on this device ------------------------------------------------------------------------------------------

function stored(name) {
  try { return JSON.parse(localStorage.getItem(name)); } catch { return null; }
}

function randomToken() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), byte => byte.toString(16).padStart(2, "0")).join("");
}

const named = /^#oyente=([0-9a-f]{32})$/.exec(location.hash)?.[1];
const listener = named ?? stored(last) ?? randomToken(), place = `${last}-${listener}`;
const state = stored(place) ?? {listener, row: null, form: {}, formWaits: false, answers: {}, waiting: [], revision: 0, stage: "welcome"};
let keeps = true;  // whether this browser remembers

function save() {
  const other = stored(place);  // another window of the same listener may have gone on
  if (other) mergeAnswers(other.answers);
  try {
    localStorage.setItem(place, JSON.stringify(state));
    localStorage.setItem(last, JSON.stringify(listener));
    keeps = true;
  } catch { keeps = false; }
}

function mergeAnswers(answers) {
  for (const [trial, answer] of Object.entries(answers))
    if (!(trial in state.answers) || state.answers[trial].revision < answer.revision) {
      state.answers[trial] = answer;
      state.revision = Math.max(state.revision, answer.revision);
    }
}

// The server, where there is one ---------------------------------------------------------------------------------------

let served = /^https?:$/.test(location.protocol), delivering = false, away = false, wait = 1000, refused = "", timer = null;

async function put(path, content) {
  const response = await fetch(`api/listeners/${state.listener}${path}`, {method: "PUT",
    headers: {"Content-Type": "application/json"}, body: JSON.stringify({...content, test: test.test}),
    signal: AbortSignal.timeout?.(20000)});
  const told = await response.json().catch(() => null);
  if (response.ok && told) return told;
  const error = new Error(told?.error ?? `HTTP ${response.status}`);
  error.final = response.status >= 400 && response.status < 500;  // sending it again would change nothing
  error.nobody = told === null && error.final;  // a server that only hands out files
  throw error;
}

async function enter() {
  const known = await put("", {});
  state.row = known.row;
  if (known.form.consent && !state.form.consent) state.form = known.form;
  mergeAnswers(known.answers);
  // What this device has and the server has not.
  state.waiting = Object.keys(state.answers).filter(trial => known.answers[trial]?.revision !== state.answers[trial].revision);
  save();
}

async function deliver() {
  if (!served || state.row === null || delivering || refused) return;
  delivering = true;
  clearTimeout(timer);
  try {
    if (state.formWaits) {
      await put("/form", state.form);
      state.formWaits = false;
      save();
    }
    while (state.waiting.length) {
      const trial = state.waiting[0], answer = state.answers[trial];
      await put(`/answers/${trial}`, answer);
      if (state.answers[trial].revision === answer.revision) state.waiting = state.waiting.filter(name => name !== trial);
      save();
    }
    wait = 1000;
    away = false;
  } catch (error) {
    away = !error.final;
    if (error.final) refused = error.message;
    else { timer = setTimeout(deliver, wait); wait = Math.min(2 * wait, 30000); }
  }
  delivering = false;
  showStatus();
  if (state.stage === "end") showDelivery();
}
addEventListener("online", () => { wait = 1000; deliver(); });

function showStatus() {
  const count = state.waiting.length;
  statusLine.classList.toggle("bad", Boolean(refused) || !keeps || (served && count > 2));
  const here = count === 1 ? "1 respuesta espera" : `${count} respuestas esperan`;
  statusLine.textContent = refused ? `El servidor no acepta las respuestas (${refused}). Siga: al final podrá descargarlas.`
    : !keeps ? "Este navegador no guarda nada: no cierre ni recargue la página hasta el final."
    : !served ? (state.stage === "welcome" ? "" : "Sus respuestas se guardan en este aparato.")
    : away && count ? `Sin conexión con el servidor: ${here} en este aparato y se enviarán solas. Puede seguir.`
    : count ? "Guardando…"
    : Object.keys(state.answers).length ? "Todas sus respuestas están guardadas." : "";
}
