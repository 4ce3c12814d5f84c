// The page in the consulting room: shows what the station says twice a second and turns keys into commands.
const STATE_MS = 500, LEVELS_MS = 150, LOST_MS = 4000;
const one = (selector, within = document) => within.querySelector(selector);
const every = (selector, within = document) => [...within.querySelectorAll(selector)];
const say = (element, text) => { if (element.textContent !== text) element.textContent = text; };

let latest = null;
let chosen = null;
let answeredAt = Date.now();
const underWay = new Set();

async function send(path, body = {}) {
  // A key that is hit twice is one wish; another key never waits for it, least of all the privacy pause.
  if (underWay.has(path)) return null;
  underWay.add(path);
  document.body.classList.add("busy");
  try {
    const answer = await fetch(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
    const told = await answer.json();
    if (!answer.ok) return { ok: false, ...told };
    return { ok: true, ...told };
  } catch {
    return { ok: false, lost: true };
  } finally {
    underWay.delete(path);
    document.body.classList.toggle("busy", underWay.size > 0);
    refresh();
  }
}

function tell(answer) {
  if (answer === null || answer.ok || answer.lost) return;
  say(one("[data-told-what]"), answer.detail);
  say(one("[data-told-next]"), answer.next ?? "");
  one("[data-dialog=told]").showModal();
}

async function start(override = "") {
  if (chosen === null) return;
  const answer = await send("/start", { consultation: chosen, override });
  if (answer && !answer.ok && answer.doubts?.length && answer.reason !== "busy" && !override) {
    one("[data-doubts]").replaceChildren(...answer.doubts.map((text) => Object.assign(document.createElement("li"), { textContent: text })));
    return one("[data-dialog=doubt]").showModal();
  }
  tell(answer);
}

const session = () => latest?.session ?? null;
const commands = {
  start: () => start(),
  pause: async () => session() && tell(await send(session().paused ? "/resume" : "/pause")),
  stop: () => session() && one("[data-dialog=stop]").showModal(),
  paper: async () => session() && tell(await send("/paper", { in_view: !session().paper })),
  light: async () => tell(await send("/light")),
  roles: async () => tell(await send("/roles")),
  "end-roles": async () => tell(await send("/roles/end")),
};
const chapter = async (name) => session() && tell(await send("/chapter", { chapter: name }));

function clock(seconds) {
  const whole = Math.floor(seconds), pad = (n) => String(n).padStart(2, "0");
  const hours = Math.floor(whole / 3600), minutes = Math.floor(whole / 60) % 60;
  return hours ? `${hours}:${pad(minutes)}:${pad(whole % 60)}` : `${minutes}:${pad(whole % 60)}`;
}

function showVisits(told) {
  const list = one("[data-visits]");
  const running = told.session?.consultation;
  one("[data-no-visits]").hidden = told.today.length > 0;
  if (running) chosen = running;
  else if (!told.today.some((visit) => visit.id === chosen)) chosen = told.today.find((visit) => visit.may_record)?.id ?? null;
  const shown = JSON.stringify([told.today, told.words.today, chosen, running]);
  if (list.dataset.shown === shown) return;
  list.dataset.shown = shown;
  const focused = document.activeElement?.dataset?.visit;
  list.replaceChildren(...told.today.map((visit) => {
    const item = one("[data-template=visit]").content.cloneNode(true);
    const words = told.words.today[visit.id], button = one(".visit", item), withdraw = one(".visit-withdraw", item), sign = one(".visit-sign", item);
    say(one(".visit-time", item), words.time);
    say(one(".visit-title", item), visit.title);
    say(one(".visit-who", item), `${visit.patient} · ${visit.expert} · ${words.kind}`);
    say(one(".visit-consent", item), words.consent);
    button.dataset.visit = visit.id;
    button.dataset.ready = visit.may_record;
    button.setAttribute("aria-pressed", String(visit.id === chosen));
    button.disabled = Boolean(running) && running !== visit.id;
    button.addEventListener("click", () => { chosen = visit.id; show(latest); });
    sign.hidden = visit.may_record;
    sign.href = words.sign_url;
    withdraw.hidden = !visit.may_record;
    withdraw.addEventListener("click", () => ask("withdraw", () => send("/withdraw", { consultation: visit.id })));
    return item;
  }));
  if (focused) one(`[data-visit="${CSS.escape(focused)}"]`)?.focus();
}

function ask(name, act) {
  const dialog = one(`[data-dialog=${name}]`);
  one("[data-yes]", dialog).onclick = async () => { dialog.close(); tell(await act()); };
  dialog.showModal();
}

function showInterrupted(told) {
  const place = one("[data-interrupted]"), sign = JSON.stringify([told.interrupted, told.words.interrupted, Boolean(told.session)]);
  if (place.dataset.sign === sign) return;
  place.dataset.sign = sign;
  place.replaceChildren(...told.interrupted.map(({ local }, number) => {
    const card = one("[data-template=interrupted]").content.cloneNode(true);
    say(one("p", card), told.words.interrupted[number]);
    const keep = one("[data-continue]", card);
    keep.disabled = Boolean(told.session);
    keep.addEventListener("click", async () => tell(await send(`/interrupted/${local}/continue`)));
    one("[data-close]", card).addEventListener("click", async () => tell(await send(`/interrupted/${local}/close`)));
    return card;
  }));
}

function showCameras(told) {
  for (const figure of every("[data-camera]")) {
    const name = figure.dataset.camera, picture = one("img", figure), number = told.pictures[name] ?? 0;
    const live = number > 0 && !told.session?.paused && told.inputs[name]?.state !== "restarting";
    say(one("[data-input]", figure), told.words.inputs[name] ?? "");
    figure.dataset.state = told.inputs[name]?.state ?? "";
    if (live && picture.dataset.number !== String(number)) {
      picture.dataset.number = number;
      picture.src = `/preview/${name}?n=${number}`;
    }
    picture.hidden = !live;
    one("[data-no-picture]", figure).hidden = live;
  }
}

function showLight(told) {
  const verdict = told.light?.verdict ?? "none", badge = one("[data-light-verdict]");
  badge.dataset.verdict = verdict;
  say(badge, told.words.light_verdict);
  one("[data-light]").replaceChildren(...told.words.light.map((row) => {
    const line = document.createElement("tr");
    line.dataset.verdict = row.verdict;
    line.title = row.reason;
    for (const text of [row.name, row.value, row.verdict_text]) line.append(Object.assign(document.createElement("td"), { textContent: text }));
    return line;
  }));
  one("[data-advice]").replaceChildren(...told.words.advice.map((text) => Object.assign(document.createElement("li"), { textContent: text })));
  const lux = told.light_trend.map((check) => check.lux).filter((value) => value !== null), top = Math.max(1200, ...lux);
  one("[data-trend]").setAttribute("points", lux.map((value, n) => `${lux.length > 1 ? (120 * n) / (lux.length - 1) : 60},${30 - (30 * value) / top}`).join(" "));
}

function show(told) {
  latest = told;
  const running = told.session !== null;
  document.body.dataset.state = told.state;
  const health = one("[data-health]");
  health.dataset.level = told.health.level;
  say(health, told.words.health);
  say(one("[data-now]"), told.words.now);
  say(one("[data-told-at]"), told.words.told_at_text);
  say(one("[data-state-text]"), told.words.state);
  say(one("[data-at]"), clock(told.session?.at_s ?? 0));
  say(one("[data-planned]"), running ? `/ ${clock(told.session.planned_s)}` : "");
  say(one("[data-space]"), told.words.space);
  say(one("[data-queue]"), told.words.queue);
  showVisits(told);
  showInterrupted(told);
  showCameras(told);
  showLight(told);
  one("[data-alarms]").replaceChildren(...told.words.alarms.map((text) => Object.assign(document.createElement("li"), { textContent: text })));
  const selected = told.today.find((visit) => visit.id === chosen);
  one("[data-do=start]").disabled = running || !selected?.may_record;
  for (const key of ["pause", "stop", "paper"]) one(`[data-do=${key}]`).disabled = !running;
  for (const key of every("[data-chapter]")) {
    key.disabled = !running;
    key.classList.toggle("current", told.session?.chapters.at(-1)?.chapter === key.dataset.chapter);
  }
  one("[data-do=roles]").disabled = running;
  say(one("[data-role-check]"), told.words.role_check);
  one("[data-role-check]").dataset.answer = told.role_check?.answer ?? "";
  one("[data-do=end-roles]").hidden = told.role_check === null;
  const paused = Boolean(told.session?.paused), text = one("[data-pause-text]");
  one("[data-do=pause]").setAttribute("aria-pressed", String(paused));
  say(text, paused ? text.dataset.on : text.dataset.off);
  one("[data-do=paper]").setAttribute("aria-pressed", String(Boolean(told.session?.paper)));
  one("[data-shade]").hidden = !paused;
  if (told.problem) one("[data-health]").title = told.problem.code;
}

async function refresh() {
  try {
    const answer = await fetch("/state");
    if (answer.status === 401) return location.reload();
    if (!answer.ok) return;
    answeredAt = Date.now();
    document.body.classList.remove("lost");
    show(await answer.json());
  } catch {
    // The page's own program is gone: what is on the screen is no longer true.
    document.body.classList.toggle("lost", Date.now() - answeredAt > LOST_MS);
  }
}

async function levels() {
  try {
    const told = await (await fetch("/levels")).json();
    for (const item of every("[data-microphone]")) {
      const state = told[item.dataset.microphone], level = state?.level_dbfs ?? -60;
      one("meter", item).value = Math.max(-60, level);
      say(one("[data-db]", item), state ? `${level.toFixed(0)} dB` : "");
      item.dataset.verdict = state?.verdict ?? "";
    }
  } catch { /* refresh() says that the station is gone */ }
}

const loop = async (work, pause) => { if (!document.hidden) await work(); setTimeout(() => loop(work, pause), pause); };

for (const button of every("[data-do]")) button.addEventListener("click", () => commands[button.dataset.do]());
for (const button of every("[data-chapter]")) button.addEventListener("click", () => chapter(button.dataset.chapter));
for (const button of every("[data-cancel]")) button.addEventListener("click", () => button.closest("dialog").close());
one("[data-dialog=stop] [data-yes]").addEventListener("click", async () => { one("[data-dialog=stop]").close(); tell(await send("/stop")); });
for (const button of every("[data-reason]")) button.addEventListener("click", () => { one("#other-reason").value = button.dataset.reason; });
one("[data-start-anyway]").addEventListener("click", () => {
  const reason = one("#other-reason").value.trim();
  if (!reason) return one("#other-reason").focus();
  one("[data-dialog=doubt]").close();
  start(reason);
});
one("[data-health]").addEventListener("click", async () => latest?.problem && tell(await send("/acknowledge")));
document.addEventListener("keydown", (event) => {
  if (event.repeat || event.ctrlKey || event.altKey || event.metaKey || event.target.matches("input, textarea")) return;
  const key = event.key.toLowerCase(), keys = { r: "start", p: "pause", s: "stop", d: "paper" };
  // A question that stands open may not keep anybody from the privacy pause.
  if (key !== "p" && one("dialog[open]")) return;
  if (keys[key] && !one(`[data-do=${keys[key]}]`).disabled) { event.preventDefault(); commands[keys[key]](); }
  const mark = every("[data-chapter]")[Number(key) - 1];
  if (mark && !mark.disabled) chapter(mark.dataset.chapter);
});
loop(refresh, STATE_MS);
loop(levels, LEVELS_MS);
