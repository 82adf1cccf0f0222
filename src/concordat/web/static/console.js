// Live notices and swapped regions. A page never changes under its reader: it offers a button.

const region = document.querySelector("[data-region]");
const notice = document.getElementById("notice");
const live = document.getElementById("live");
const pause = document.getElementById("pause");
const stream = document.querySelector("script[data-stream]")?.dataset.stream;
const EVERY = 2000;
let paused = sessionStorage.getItem("paused") === "yes";
let wanted = false;
let busy = false;
let last = 0;

const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
if (zone) document.cookie = `concordat_zone=${encodeURIComponent(zone).replaceAll("%2F", "/")}; path=/; max-age=31536000; samesite=strict`;

function marks(root) {
  const rows = root.matches("[data-row]") ? [root, ...root.querySelectorAll("[data-row]")] : [...root.querySelectorAll("[data-row]")];
  return new Map(rows.map((row) => [row.dataset.row, row.dataset.mark]));
}

function difference(before, after) {
  let fresh = 0, changed = 0;
  for (const [key, mark] of after) {
    if (!before.has(key)) fresh += 1;
    else if (before.get(key) !== mark) changed += 1;
  }
  const gone = [...before.keys()].filter((key) => !after.has(key)).length;
  return { fresh, changed: changed + gone };
}

async function look() {
  if (busy || paused || document.hidden || !region) return;
  busy = true;
  wanted = false;
  last = Date.now();
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" }, credentials: "same-origin" });
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const other = page.querySelector(`[data-region="${CSS.escape(region.dataset.region)}"]`);
    if (other) offer(other);
  } catch {
    state("off", "not connected");
  } finally {
    busy = false;
    if (wanted) later();
  }
}

function offer(other) {
  const { fresh, changed } = difference(marks(region), marks(other));
  const silent = fresh + changed === 0 && region.dataset.region !== "overview";
  if (silent || other.textContent.replace(/\s+/g, " ") === region.textContent.replace(/\s+/g, " ")) return;
  const parts = [fresh && `${fresh} new`, changed && `${changed} changed`].filter(Boolean);
  const words = document.createElement("span");
  words.textContent = parts.join(", ") || "Something changed";
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "Show";
  button.addEventListener("click", () => swap(other));
  if (notice.firstChild?.textContent === words.textContent) notice.lastChild.replaceWith(button);
  else notice.replaceChildren(words, button);
}

function swap(other) {
  const focused = document.activeElement?.closest?.("[data-row]")?.dataset.row;
  region.replaceChildren(...other.childNodes);
  for (const { name, value } of other.attributes) region.setAttribute(name, value);
  notice.replaceChildren();
  const again = focused && region.querySelector(`[data-row="${CSS.escape(focused)}"] a`);
  (again || document.getElementById("main")).focus({ preventScroll: Boolean(again) });
}

function later() {
  wanted = true;
  setTimeout(() => { if (wanted) look(); }, Math.max(100, last + EVERY - Date.now()));
}

function state(kind, word) {
  live.hidden = false;
  live.className = `live ${kind}`;
  live.querySelector(".live-word").textContent = word;
}

function show() {
  pause.hidden = false;
  pause.setAttribute("aria-pressed", String(paused));
  state(paused ? "off" : "", paused ? "paused" : "live");
}

pause.addEventListener("click", () => {
  paused = !paused;
  sessionStorage.setItem("paused", paused ? "yes" : "no");
  show();
  if (!paused) later();
});
document.addEventListener("visibilitychange", () => { if (!document.hidden && wanted) later(); });

// One stream for the whole browser through a SharedWorker; where there is none, a stream or a clock of the page's own.
function listen(address, { open, moved, lost }) {
  const hear = (word) => ({ open, moved, lost })[word]?.();
  if (window.SharedWorker && address) {
    const worker = new SharedWorker(address, { type: "module", name: "concordat" });
    worker.port.onmessage = (event) => hear(event.data);
    worker.onerror = () => own(hear);
    worker.port.start();
    window.addEventListener("pagehide", (event) => { if (!event.persisted) worker.port.postMessage("bye"); });
  } else {
    own(hear);
  }
}

function own(hear) {
  if (!window.EventSource) {
    hear("open");
    setInterval(() => hear("moved"), 15000);
    return;
  }
  const source = new EventSource("/live");
  source.onopen = () => hear("open");
  source.onerror = () => hear("lost");
  source.addEventListener("moved", () => hear("moved"));
}

listen(stream, {
  open: show,
  moved: later,
  lost: () => { if (!paused) state("off", "not connected"); },
});
