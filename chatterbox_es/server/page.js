"use strict";
const at = (id) => document.getElementById(id);
const formats = ["mp3", "wav", "opus", "flac", "aac"];
let url = "";

function headers() {
  const key = at("key").value;
  return { "Content-Type": "application/json", ...(key ? { Authorization: `Bearer ${key}` } : {}) };
}

function asked() {
  return { model: "tts-1", voice: at("voice").value, input: at("input").value, response_format: at("response_format").value,
           speed: Number(at("speed").value) };
}

function showCommand() {
  const quoted = JSON.stringify(asked()).replaceAll("'", "'\\''");
  at("curl").textContent = `curl ${location.origin}/v1/audio/speech -H 'Content-Type: application/json' -d '${quoted}' -o voz.${at("response_format").value}`;
}

async function reason(answer) {
  if (answer.status === 401) {
    at("key").parentElement.hidden = false;
    return "Este servidor pide una clave.";
  }
  try {
    return (await answer.json()).error.message;
  } catch {
    return `El servidor ha respondido ${answer.status}.`;
  }
}

async function listVoices() {
  const answer = await fetch("v1/audio/voices", { headers: headers() });
  if (!answer.ok) {
    at("message").textContent = await reason(answer);
    return;
  }
  at("voice").replaceChildren(...(await answer.json()).voices.map(({ id }) => new Option(id, id)));
  at("message").textContent = "";
  showCommand();
}

async function say(event) {
  event.preventDefault();
  at("say").disabled = true;
  at("message").textContent = "Un momento…";
  try {
    if (!at("voice").length) await listVoices();
    const answer = await fetch("v1/audio/speech", { method: "POST", headers: headers(), body: JSON.stringify(asked()) });
    if (!answer.ok) {
      at("message").textContent = await reason(answer);
      return;
    }
    URL.revokeObjectURL(url);
    url = URL.createObjectURL(await answer.blob());
    at("sound").src = at("file").href = url;
    at("file").download = `voz.${at("response_format").value}`;
    at("sound").hidden = at("file").hidden = false;
    at("message").textContent = "";
    await at("sound").play().catch(() => {});
  } catch (error) {
    at("message").textContent = `No se puede hablar con el servidor (${error.message}).`;
  } finally {
    at("say").disabled = false;
  }
}

at("response_format").replaceChildren(...formats.map((name) => new Option(name, name)));
at("speed").addEventListener("input", () => { at("speed_said").textContent = at("speed").value; });
at("form").addEventListener("input", showCommand);
at("form").addEventListener("submit", say);
at("key").addEventListener("change", listVoices);
listVoices().catch((error) => { at("message").textContent = `No se puede hablar con el servidor (${error.message}).`; });
