// Live progress of cases that are being uploaded or processed. A change of state reloads the page: what may be
// done with the case has changed with it.
const PAUSE_MS = 2000;
const places = [...document.querySelectorAll("[data-progress]")];

async function refresh(place) {
  const answer = await fetch(place.dataset.progress, { headers: { Accept: "application/json" } });
  if (!answer.ok) return;
  const { state, share, steps } = await answer.json();
  if (state !== place.dataset.state) return location.reload();
  if (share === null) return;
  place.querySelector("progress").value = share;
  place.querySelector("[data-percent]").textContent = `${Math.round(share * 100)} %`;
  for (const { step, progress, done } of steps) {
    const item = place.querySelector(`[data-step="${step}"]`);
    if (item) item.className = done ? "done" : progress > 0 ? "doing" : "";
  }
}

async function loop() {
  if (!document.hidden) await Promise.allSettled(places.map(refresh));
  setTimeout(loop, PAUSE_MS);
}

if (places.length) setTimeout(loop, PAUSE_MS);
