// The transcript beside the player: made from the captions, so that both always say the same.
import { clock } from "./clock.js";

const player = document.getElementById("player");
const captions = document.getElementById("captions");
const list = document.getElementById("transcript");
let lines = [];

function speakerOf(cue) {
  return /^<v(?:\.[^\s>]*)?\s+([^>]+)>/.exec(cue.text)?.[1] ?? list.dataset.unknown;
}

function lineOf(cue) {
  const button = document.createElement("button");
  button.className = "line";
  button.type = "button";
  const at = document.createElement("span");
  at.className = "at";
  at.textContent = clock(cue.startTime);
  const words = document.createElement("span");
  words.textContent = cue.getCueAsHTML().textContent.replaceAll("\n", "");
  button.append(at, words);
  button.addEventListener("click", () => {
    player.currentTime = cue.startTime + 0.01;
    player.play();
  });
  return { button, start: cue.startTime, end: cue.endTime };
}

function write() {
  const cues = [...(captions.track.cues ?? [])];
  let speaker = null;
  lines = [];
  list.replaceChildren();
  for (const cue of cues) {
    if (speakerOf(cue) !== speaker) {
      speaker = speakerOf(cue);
      const name = document.createElement("h3");
      name.textContent = speaker;
      list.append(name);
    }
    const line = lineOf(cue);
    lines.push(line);
    list.append(line.button);
  }
  if (!lines.length) list.textContent = list.dataset.empty;
  follow();
}

function follow() {
  const now = player.currentTime;
  for (const line of lines) {
    const current = line.start <= now && now < line.end;
    if (current === line.button.hasAttribute("aria-current")) continue;
    line.button.toggleAttribute("aria-current", current);
    if (current && !player.paused) show(line.button);
  }
}

// Only the list scrolls; the page stays where its reader left it.
function show(button) {
  const top = button.offsetTop - list.clientHeight / 2;
  list.scrollTo({ top, behavior: "smooth" });
}

// Links that name a moment of the recording play it.
document.addEventListener("click", (event) => {
  const link = event.target.closest("[data-seek]");
  if (!link) return;
  event.preventDefault();
  player.currentTime = Math.max(0, Number(link.dataset.seek) - 1);
  player.scrollIntoView({ block: "center" });
  player.play();
});

captions.addEventListener("load", write);
captions.addEventListener("error", write);
if (captions.readyState >= 2) write();
player.addEventListener("timeupdate", follow);
player.addEventListener("seeked", follow);
player.querySelector("source:last-of-type").addEventListener("error", () => {
  document.getElementById("player-trouble").hidden = false;
});
