// The rooms as they are now: the page is fetched again and its middle part exchanged, so that every word stays the
// server's. What a person has unfolded stays unfolded, and the keyboard's focus stays where it was.
const PAUSE_MS = 5000;
const offline = document.getElementById("rooms-offline");

function unfolded(place) {
  return [...place.querySelectorAll("[data-room]:has(details[open])")].map((room) => room.dataset.room);
}

const CONTROLS = "a, summary";

function focused(place) {
  const room = place.contains(document.activeElement) && document.activeElement.closest("[data-room]");
  return room ? [room.dataset.room, [...room.querySelectorAll(CONTROLS)].indexOf(document.activeElement)] : null;
}

async function refresh() {
  const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
  if (answer.redirected) return location.reload();
  if (!answer.ok) throw new Error(String(answer.status));
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("rooms");
  const place = document.getElementById("rooms");
  for (const room of unfolded(place)) {
    const details = fresh.querySelector(`[data-room="${room}"] details`);
    if (details) details.open = true;
  }
  const focus = focused(place);
  const shown = document.importNode(fresh, true);
  place.replaceWith(shown);
  if (focus) shown.querySelector(`[data-room="${focus[0]}"]`)?.querySelectorAll(CONTROLS)[focus[1]]?.focus();
}

async function loop() {
  if (!document.hidden) {
    try {
      await refresh();
      offline.hidden = true;
    } catch {
      offline.hidden = false;
    }
  }
  setTimeout(loop, PAUSE_MS);
}

setTimeout(loop, PAUSE_MS);
