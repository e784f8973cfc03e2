"use strict";
// All that moves on the page. What the server sends is HTML that it escaped; text that comes alone goes into textContent.

// -- times: written by the server in UTC, shown as the reader's own clock shows them
function localTimes(root) {
  for (const time of root.querySelectorAll("time[datetime]")) {
    const at = new Date(time.dateTime);
    if (isNaN(at)) continue;
    time.title = time.dateTime;
    const today = at.toDateString() === new Date().toDateString();
    time.textContent = (today ? "" : at.toLocaleDateString("sv") + " ") + at.toLocaleTimeString("sv");
  }
}

// -- parts that the server renders again: <section data-poll="/ui/…" data-every="1000">
async function refresh(part) {
  const answer = await fetch(part.dataset.poll, { headers: { Accept: "text/html" } });
  if (answer.status === 401) location.reload();
  if (!answer.ok) throw new Error(answer.statusText);
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").body;
  localTimes(fresh);
  const focused = part.contains(document.activeElement) && document.activeElement.getAttribute("href");
  const top = part.querySelector(".scroll")?.scrollLeft;
  part.replaceChildren(...fresh.childNodes);
  if (top) part.querySelector(".scroll").scrollLeft = top;
  if (focused) part.querySelector(`[href="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
}

function poll(part) {
  const state = document.querySelector("[data-state]"), pause = document.querySelector("[data-pause]");
  const say = (text) => { if (state && state.textContent !== text) state.textContent = text; };
  let paused = false;
  if (pause) pause.hidden = false;
  pause?.addEventListener("click", () => {
    paused = !paused;
    pause.setAttribute("aria-pressed", String(paused));
    say(paused ? "paused" : "live");
  });
  const turn = async () => {
    if (!paused && !document.hidden) {
      try { await refresh(part); if (!paused) say("live"); }
      catch { say("no connection: trying again"); }
    }
    setTimeout(turn, Number(part.dataset.every));
  };
  setTimeout(turn, Number(part.dataset.every));
}

// -- a link to what is folded opens it
function unfold() {
  const aim = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (aim?.tagName === "DETAILS") aim.open = true;
}

localTimes(document);
unfold();
addEventListener("hashchange", unfold);
document.querySelectorAll("[data-poll]").forEach(poll);
