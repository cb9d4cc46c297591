// Sounds: one at a time, each from its beginning -----------------------------------------------------------------------

const audio = new Audio();
let playing = null;
audio.addEventListener("ended", () => playing?.finish());
audio.addEventListener("timeupdate", () => { if (playing && audio.duration) playing.bar.value = audio.currentTime / audio.duration; });
audio.addEventListener("error", () => playing?.fail());

function blobOf(id) {
  const bytes = Uint8Array.from(atob(sounds.data[id]), letter => letter.charCodeAt(0));
  return URL.createObjectURL(new Blob([bytes], {type: sounds.kind}));
}

class Player {
  constructor(id, name, onHeard) {
    Object.assign(this, {id, name, onHeard, heard: false, plays: 0, tried: false});
    this.button = make("button", {type: "button"});
    this.bar = make("progress", {max: 1, value: 0, ariaLabel: `Parte oída de ${name}`});
    this.mark = make("span", {className: "heard"});
    this.fault = make("p", {className: "fault", hidden: true});
    this.element = make("div", {className: "sound"}, this.button, this.bar, this.mark, this.fault);
    this.button.addEventListener("click", () => playing === this ? this.stop() : this.play());
    this.show("▶ Escuchar");
  }
  show(action) {
    this.button.textContent = this.short ?? `${action} ${this.name}`;
  }
  play() {
    playing?.stop();
    playing = this;
    this.plays += 1;
    this.bar.value = 0;
    this.show("■ Parar");
    this.start(`data:${sounds.kind};base64,${sounds.data[this.id]}`);
  }
  start(source) {
    audio.src = source;
    audio.play().catch(error => { if (playing === this && error.name === "NotAllowedError") this.stop(); });
  }
  stop() {
    playing = null;
    audio.pause();
    this.bar.value = 0;
    this.show("▶ Escuchar");
  }
  finish() {
    this.stop();
    this.bar.value = 1;
    this.heard = true;
    this.mark.textContent = "✓ oído entero";
    this.onHeard(this);
  }
  fail() {
    if (!this.tried) {  // some browsers take a blob where they refuse a data address
      this.tried = true;
      this.start(blobOf(this.id));
      return;
    }
    this.stop();
    this.fault.hidden = false;
    this.fault.textContent = "Este navegador no puede reproducir el sonido. Pruebe con Chrome, Firefox o Safari actualizados.";
  }
}
