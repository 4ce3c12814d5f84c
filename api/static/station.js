// The page in the consulting room: shows what the station says twice a second and turns keys into commands.
const STATE_MS = 500, LEVELS_MS = 150, LOST_MS = 4000;
const one = (selector, within = document) => within.querySelector(selector);
const every = (selector, within = document) => [...within.querySelectorAll(selector)];
const say = (element, text) => { if (element.textContent !== text) element.textContent = text; };

// A key that is tapped twice in fright still means one pause.
const DOUBLE_TAP_MS = 1000;

let latest = null;
let mayResumeAt = 0;
let chosen = null;
let isChosenByHand = false;
let recorded = null;
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
  if (answer && !answer.ok && answer.doubts?.length && !override) {
    one("#other-reason").value = "";
    giveReason("");
    one("[data-doubts]").replaceChildren(...answer.doubts.map((text) => Object.assign(document.createElement("li"), { textContent: text })));
    return one("[data-dialog=doubt]").showModal();
  }
  // Another page was quicker; this one shows it at once.
  if (answer?.reason !== "busy") tell(answer);
}

function giveReason(text) {
  if (text) one("#other-reason").value = text;
  for (const button of every("[data-reason]")) button.setAttribute("aria-pressed", String(button.dataset.reason === text));
  one("[data-no-reason]").hidden = true;
}

function choose(visit) {
  chosen = visit;
  isChosenByHand = true;
  show(latest);
  one("[data-visits] [aria-pressed=true]")?.scrollIntoView({ block: "nearest" });
  // Somebody may just have signed at the desk.
  if (!latest.today.find((each) => each.id === visit)?.may_record) send("/today");
}

function chooseNext(step) {
  const visits = latest?.today ?? [];
  if (latest?.session || !visits.length) return;
  const at = visits.findIndex((visit) => visit.id === chosen);
  choose(visits[Math.min(Math.max(at + step, 0), visits.length - 1)].id);
}

const session = () => latest?.session ?? null;
const commands = {
  start: () => start(),
  pause: async () => {
    if (!session()) return;
    if (session().paused) return tell(await send("/resume"));
    const answer = await send("/pause");
    mayResumeAt = Date.now() + DOUBLE_TAP_MS;
    tell(answer);
  },
  stop: () => session() && ask("stop", () => send("/stop")),
  today: () => send("/today"),
  acknowledge: () => send("/acknowledge"),
  login: () => {
    one("[data-login-problem]").hidden = true;
    one("[data-logout]").hidden = !latest?.login.name;
    one("[data-dialog=login]").showModal();
  },
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
  // Whose consultation it is, a person says; only where there is nobody else is there nothing to choose.
  const ready = told.today.filter((visit) => visit.may_record && !visit.recorded);
  // Whoever comes after a recording is somebody else.
  if (!running && recorded) isChosenByHand = false;
  recorded = running;
  isChosenByHand &&= told.today.some((visit) => visit.id === chosen);
  if (running) chosen = running;
  else if (!isChosenByHand) chosen = ready.length === 1 ? ready[0].id : null;
  const shown = JSON.stringify([told.today, told.words.today, chosen, running]);
  if (list.dataset.shown === shown) return;
  const isNew = list.dataset.chosen !== String(chosen);
  list.dataset.shown = shown;
  list.dataset.chosen = chosen;
  const focused = document.activeElement?.dataset?.visit;
  list.replaceChildren(...told.today.map((visit) => {
    const item = one("[data-template=visit]").content.cloneNode(true);
    const words = told.words.today[visit.id], button = one(".visit", item), withdraw = one(".visit-withdraw", item), sign = one(".visit-sign", item);
    say(one(".visit-time", item), words.time);
    say(one(".visit-title", item), visit.title);
    say(one(".visit-who", item), `${visit.patient} · ${visit.expert} · ${words.kind}`);
    say(one(".visit-consent", item), words.consent);
    say(one(".visit-override", item), words.override);
    one(".visit-override", item).hidden = !words.override;
    button.dataset.visit = visit.id;
    button.dataset.ready = visit.may_record;
    button.setAttribute("aria-pressed", String(visit.id === chosen));
    button.disabled = Boolean(running) && running !== visit.id;
    button.addEventListener("click", () => choose(visit.id));
    const isSigned = visit.consent === "signed";
    button.dataset.recorded = isSigned && (visit.recorded || !visit.may_record);
    sign.hidden = isSigned;
    sign.href = words.sign_url;
    withdraw.hidden = !isSigned;
    withdraw.addEventListener("click", () => ask("withdraw", () => send("/withdraw", { consultation: visit.id }), `${visit.title} · ${visit.patient}`));
    return item;
  }));
  if (isNew) one("[aria-pressed=true]", list)?.scrollIntoView({ block: "nearest" });
  if (focused) one(`[data-visit="${CSS.escape(focused)}"]`)?.focus();
}

function ask(name, act, about = "") {
  const dialog = one(`[data-dialog=${name}]`), place = one("[data-about]", dialog);
  if (place) say(place, about);
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
    one("[data-close]", card).addEventListener("click", () => ask("close", () => send(`/interrupted/${local}/close`), told.words.interrupted[number]));
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
  one(".trend").toggleAttribute("hidden", lux.length === 0);
  one("[data-do=light]").hidden = !told.measures_light;
  one("[data-trend]").setAttribute("points", lux.map((value, n) => `${lux.length > 1 ? (120 * n) / (lux.length - 1) : 60},${30 - (30 * value) / top}`).join(" "));
}

function show(told) {
  latest = told;
  const running = told.session !== null;
  document.body.dataset.state = told.state;
  document.body.dataset.condition = told.health.code;
  const health = one("[data-health]");
  health.dataset.level = told.health.level;
  say(health, told.words.health);
  say(one("[data-now]"), told.words.now);
  say(one("[data-told-at]"), told.words.told_at_text);
  say(one("[data-state-text]"), told.words.state);
  say(one("[data-at]"), clock(told.session?.at_s ?? 0));
  const planned = one("[data-planned]"), over_s = running ? told.session.at_s - told.session.planned_s : 0;
  planned.classList.toggle("over", over_s > 0);
  say(planned, !running ? "" : over_s > 0 ? planned.dataset.over.replace("{time}", clock(over_s)) : `/ ${clock(told.session.planned_s)}`);
  say(one("[data-space]"), told.words.space);
  say(one("[data-queue]"), told.words.queue);
  showVisits(told);
  showInterrupted(told);
  showCameras(told);
  showLight(told);
  say(one("[data-do=login]"), told.words.login);
  one("[data-do=login]").classList.toggle("needed", told.login.needed);
  one("[data-alarms]").replaceChildren(...told.words.alarms.map((text) => Object.assign(document.createElement("li"), { textContent: text })));
  const selected = told.today.find((visit) => visit.id === chosen);
  const who = one("[data-who]");
  say(who, selected ? `${selected.title} · ${selected.patient}` : told.today.length ? who.dataset.none : "");
  one("[data-do=start]").disabled = running || !selected?.may_record;
  for (const key of ["pause", "stop", "paper"]) one(`[data-do=${key}]`).disabled = !running;
  if (told.session?.paused && Date.now() < mayResumeAt) one("[data-do=pause]").disabled = true;
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
  one("[data-do=acknowledge]").hidden = !told.problem;
}

function showLost() {
  const health = one("[data-health]");
  document.body.classList.add("lost");
  health.dataset.level = "bad";
  say(health, health.dataset.lost);
  one("[data-shade]").hidden = true;
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
    if (Date.now() - answeredAt > LOST_MS) showLost();
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
for (const button of every("[data-reason]")) button.addEventListener("click", () => giveReason(button.dataset.reason));
one("#other-reason").addEventListener("input", () => giveReason(""));
one("[data-start-anyway]").addEventListener("click", () => {
  const reason = one("#other-reason").value.trim();
  if (!reason) { one("[data-no-reason]").hidden = false; return one("#other-reason").focus(); }
  one("[data-dialog=doubt]").close();
  start(reason);
});
one("[data-login-form]").addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.target, problem = one("[data-login-problem]");
  const answer = await send("/login", { username: form.username.value, password: form.password.value });
  if (answer === null) return;
  form.password.value = "";
  problem.hidden = answer.ok;
  if (answer.ok) return one("[data-dialog=login]").close();
  const own = { forbidden: problem.dataset.role, "not-ready": problem.dataset.here }[answer.code];
  say(problem, answer.lost ? one("[data-health]").dataset.lost : own ?? `${answer.detail} ${answer.next ?? ""}`);
});
one("[data-logout]").addEventListener("click", async () => { one("[data-dialog=login]").close(); tell(await send("/logout")); });
document.addEventListener("visibilitychange", () => { if (!document.hidden && latest && !latest.session) send("/today"); });
document.addEventListener("keydown", (event) => {
  if (event.repeat || event.ctrlKey || event.altKey || event.metaKey || event.target.matches("input, textarea")) return;
  const key = event.key.toLowerCase(), keys = { r: "start", p: "pause", s: "stop", d: "paper" };
  // A question that stands open may not keep anybody from the privacy pause.
  if (key !== "p" && one("dialog[open]")) return;
  if (keys[key] && !one(`[data-do=${keys[key]}]`).disabled) { event.preventDefault(); commands[keys[key]](); }
  if (key === "arrowdown" || key === "arrowup") { event.preventDefault(); chooseNext(key === "arrowdown" ? 1 : -1); }
  const mark = every("[data-chapter]")[Number(key) - 1];
  if (mark && !mark.disabled) chapter(mark.dataset.chapter);
});
loop(refresh, STATE_MS);
loop(levels, LEVELS_MS);
