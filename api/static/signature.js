// The consent page: signing with finger, pen or mouse, sending it so that nothing is lost or kept twice, and printing.
const one = (id) => document.getElementById(id);
const form = one("consent"), pad = one("pad");

one("print")?.addEventListener("click", () => print());
// A page that the browser took out of its memory would send an old form.
addEventListener("pageshow", (event) => event.persisted && location.reload());

if (form) sign();

function sign() {
  const pen = pad.getContext("2d");
  const strokes = [];
  let stroke = null, sending = false;
  fitPad();
  redraw();

  // The picture has the shape of the pad as it is first shown; turning the tablet later scales it and loses nothing.
  function fitPad() {
    const box = pad.getBoundingClientRect();
    if (box.width > 0) pad.height = Math.round((pad.width * box.height) / box.width);
  }

  function at(event) {
    const box = pad.getBoundingClientRect();
    return [((event.clientX - box.left) * pad.width) / box.width, ((event.clientY - box.top) * pad.height) / box.height];
  }

  function redraw() {
    pen.fillStyle = "#fff";
    pen.fillRect(0, 0, pad.width, pad.height);
    for (const points of strokes) draw(points);
  }

  function draw(points) {
    pen.strokeStyle = pen.fillStyle = "#10201c";
    pen.lineWidth = 7;
    pen.lineCap = pen.lineJoin = "round";
    pen.beginPath();
    pen.moveTo(...points[0]);
    points.forEach(([x, y], i) => {
      const [nextX, nextY] = points[i + 1] ?? [x, y];
      pen.quadraticCurveTo(x, y, (x + nextX) / 2, (y + nextY) / 2);
    });
    pen.stroke();
  }

  pad.addEventListener("pointerdown", (event) => {
    if (stroke || event.button > 0) return;
    event.preventDefault();
    pad.setPointerCapture(event.pointerId);
    stroke = { id: event.pointerId, points: [at(event)] };
    strokes.push(stroke.points);
    redraw();
  });
  pad.addEventListener("pointermove", (event) => {
    if (event.pointerId !== stroke?.id) return;
    const moves = event.getCoalescedEvents?.() ?? [];
    for (const move of moves.length ? moves : [event]) stroke.points.push(at(move));
    redraw();
  });
  for (const end of ["pointerup", "pointercancel"]) {
    pad.addEventListener(end, (event) => { if (event.pointerId === stroke?.id) stroke = null; });
  }
  // Or a quick stroke counts as a swipe, and the browser swallows the next tap.
  pad.addEventListener("touchstart", (event) => event.preventDefault(), { passive: false });
  one("undo").addEventListener("click", () => { strokes.pop(); redraw(); });
  one("clear").addEventListener("click", () => { strokes.length = 0; redraw(); });

  const way = () => form.elements.way.value;
  function showWay() {
    for (const part of form.querySelectorAll("[data-way]")) part.hidden = part.dataset.way !== way();
    say("");
  }
  for (const choice of form.elements.way) choice.addEventListener("change", showWay);
  showWay();

  function say(text) {
    one("problem").textContent = text;
    one("problem").hidden = !text;
    one("again").hidden = one("newer").hidden = true;
  }

  // The core looks for itself; this only says it sooner.
  function signed() {
    const points = strokes.flat();
    if (points.length < 3) return false;
    const spread = (axis) => Math.max(...points.map((p) => p[axis])) - Math.min(...points.map((p) => p[axis]));
    return spread(0) >= 0.06 * pad.width || spread(1) >= 0.15 * pad.height;
  }

  async function filled() {
    const told = new FormData(form);
    if (way() === "drawn") told.append("signature", await new Promise((done) => pad.toBlob(done, "image/png")), "signature.png");
    else told.append("signature", one("scan").files[0]);
    return told;
  }

  function missing() {
    if (!form.querySelector("[name=purposes]:checked")) return form.dataset.noPurpose;
    if (way() === "drawn" && !signed()) return form.dataset.noSignature;
    if (way() === "scanned" && !one("scan").files.length) return form.dataset.noFile;
    return "";
  }

  async function send() {
    let answer;
    try {
      answer = await fetch(form.action, { method: "POST", body: await filled(), signal: AbortSignal.timeout(60_000) });
    } catch {
      return say(form.dataset.offline);
    }
    if (answer.ok) return location.replace(form.dataset.done);
    const problem = await answer.json().catch(() => ({}));
    // A gateway that answers for a core that is away is the network's fault too.
    if (!problem.code || answer.status >= 500) return say(form.dataset.offline);
    say(answer.status === 401 ? form.dataset.loggedOut : `${problem.detail} ${problem.next}`);
    one("again").hidden = answer.status !== 401;
    one("newer").hidden = answer.status !== 409;
  }

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (sending) return;
    const lack = missing();
    say(lack);
    if (lack) return;
    sending = true;
    const button = one("sign"), words = button.textContent;
    button.textContent = form.dataset.sending;
    button.setAttribute("aria-disabled", "true");
    await send();
    button.textContent = words;
    button.removeAttribute("aria-disabled");
    sending = false;
  });
}
