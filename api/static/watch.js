// Tells the archive which seconds have really been played. The browser keeps them itself (`played` leaves out what
// was skipped), and every report carries all of them: a report that was lost is made good by the next.
import { clock } from "./clock.js";

const REPORT_MS = 10_000;
const MOST_SPANS = 500;
const player = document.getElementById("player");
const place = document.getElementById("watch");
let told = null;
let counted = false;

function spans() {
  const found = [];
  for (let i = 0; i < player.played.length; i += 1) {
    const start = player.played.start(i);
    const end = player.played.end(i);
    if (end > start) found.push([start, end]);
  }
  return found.sort((a, b) => b[1] - b[0] - (a[1] - a[0])).slice(0, MOST_SPANS);
}

async function report() {
  const body = JSON.stringify({ spans: spans() });
  if (counted || body === told) return;
  try {
    const answer = await fetch(place.dataset.report, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body,
      keepalive: true,
    });
    if (answer.status >= 500) throw new Error(String(answer.status));
    told = body;
    if (answer.ok) show(await answer.json());
  } catch {
    place.textContent = place.dataset.offline;
  }
}

function show(answer) {
  counted = answer.counted;
  place.classList.toggle("counted", counted);
  const seen = place.dataset.seen.replace("{time}", clock(answer.watched_s));
  place.textContent = counted ? place.dataset.counted : seen;
}

// The first report, though empty, starts the archive's clock against which later ones are believed.
player.addEventListener("playing", () => told === null && report());
player.addEventListener("pause", report);
player.addEventListener("ended", report);
addEventListener("pagehide", report);
addEventListener("online", report);
setInterval(() => player.played.length && report(), REPORT_MS);
