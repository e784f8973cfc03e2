"use strict";
// Asking by hand. What models say goes into text nodes while it comes; the server makes safe HTML of it at the end.
const MOST_BYTES = 5_000_000; // of all files together
const form = document.querySelector("[data-playground]"), field = form.elements;
const at = (id) => document.getElementById(id);
const json = { "Content-Type": "application/json" };
const usd = (n) => (n == null ? "unknown" : `$${n < 0.01 ? n.toPrecision(2) : n.toFixed(n < 1 ? 4 : 2)}`);
// Characters that turn or hide text are shown, as the server shows them.
const seen = (text) => text.replace(/[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g,
  (c) => `[U+${c.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}]`).replace(/\u001b/g, "\u241b");
let running, timer, last, files = [];

async function part(file) {
  if (file.type.startsWith("image/")) {
    const url = await new Promise((done) => {
      const reader = new FileReader();
      reader.onload = () => done(reader.result);
      reader.readAsDataURL(file);
    });
    return { type: "image_url", image_url: { url } };
  }
  const text = new TextDecoder("utf-8", { fatal: true }).decode(await file.arrayBuffer());
  const fence = "`".repeat(Math.max(3, ...(text.match(/`+/g) ?? []).map((run) => run.length + 1)));
  return { type: "text", text: `${file.name}\n${fence}\n${text}\n${fence}` };
}

async function take() {
  const chosen = [...field.files.files];
  files = [];
  try {
    if (chosen.reduce((sum, file) => sum + file.size, 0) > MOST_BYTES) throw new Error("more than 5 MB");
    files = await Promise.all(chosen.map(part));
    field.files.setCustomValidity("");
  } catch (error) {
    field.files.setCustomValidity(`These files cannot be sent: ${error instanceof TypeError ? "one is neither text nor a picture" : error.message}.`);
    field.files.reportValidity();
  }
  preview();
}

function body(stream) {
  const data = new FormData(form), options = { trace: "compact" };
  const [kind, way] = data.get("way").split(":");
  if (kind) options[kind] = way;
  for (const name of ["judge", "aggregator"]) if (data.get(name)) options[name] = data.get(name);
  if (data.getAll("panel").length) options.panel = data.getAll("panel");
  if (data.get("analysis")) options.analysis = true;
  if (data.getAll("tools").length) options.tools = Object.fromEntries(data.getAll("tools").map((tool) => [tool, true]));
  if (data.get("max_usd")) options.max_usd = Number(data.get("max_usd"));
  const prompt = data.get("prompt"), content = files.length ? [{ type: "text", text: prompt }, ...files] : prompt;
  return JSON.stringify({ model: data.get("model"), stream, openfusion: options, messages: [{ role: "user", content }] });
}

async function problem(answer) {
  if (!answer.headers.get("Content-Type")?.includes("json")) return `The server says ${answer.status}; load the page again.`;
  return (await answer.json()).error.message;
}

function preview() {
  clearTimeout(timer);
  timer = setTimeout(async () => {
    const say = (text) => { at("estimate").textContent = text; };
    if (!field.prompt.value.trim()) return say("What it will cost stands here as soon as there is a question.");
    try {
      const answer = await fetch("/ui/playground/estimate", { method: "POST", headers: json, body: body(false) });
      if (!answer.ok) return say(await problem(answer));
      const told = await answer.json(), calls = told.steps.length;
      const left = told.usd.left == null ? "" : `, ${usd(told.usd.left)} left of the budget`;
      say(`${told.mode}, ${told.candidate} first, ${calls} ${calls === 1 ? "call" : "calls"}: about ${usd(told.usd.expected)}, at worst ${usd(told.usd.worst_case)}${left}${told.dry_run ? ". A dry run: nothing is spent" : ""}.`);
    } catch { say("No connection to the server."); }
  }, 300);
}

async function* lines(stream) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  for (let rest = "", got; !(got = await reader.read()).done;) {
    const found = (rest + got.value).split("\n");
    rest = found.pop();
    yield* found;
  }
}

function report(told) {
  last = told;
  at("state").textContent = `${told.mode ?? "deciding"}: ${told.calls.filter((c) => c.status !== "running").length} of ${Math.max(told.plan.length, told.calls.length)} calls done`;
  at("calls").replaceChildren(...told.calls.map((call) => {
    const line = document.createElement("li");
    line.className = call.status;
    line.textContent = [call.candidate, call.phase, call.status, call.ms && `${Math.round(call.ms)} ms`].filter(Boolean).join(" · ");
    return line;
  }));
}

function analysed(found) {
  at("analysis").replaceChildren(...Object.entries(found ?? {}).filter(([, rows]) => rows.length).map(([name, rows]) => {
    const box = document.createElement("div"), head = document.createElement("h3"), list = document.createElement("ul");
    head.textContent = name.replaceAll("_", " ");
    list.append(...rows.map((row) => {
      const item = document.createElement("li");
      const flat = (v) => (typeof v === "string" ? v : Object.values(v).map(flat).join(" · "));
      item.textContent = seen(flat(row));
      return item;
    }));
    box.append(head, list);
    return box;
  }));
}

function ended(text, trace, told) {
  const link = document.createElement("a");
  link.href = `/ui/traces/${encodeURIComponent(trace ?? "")}`;
  link.textContent = "the whole trace";
  at("end").replaceChildren(...(told ? [`${told.why} · ${told.dry_run ? "nothing paid" : usd(told.usd)} · `] : []), ...(trace ? [link] : []));
  at("state").textContent = seen(text);
}

async function ask() {
  running = new AbortController();
  field.send.disabled = !(field.stop.disabled = false);
  at("run").hidden = false;
  at("calls").replaceChildren();
  at("answer").replaceChildren();
  at("analysis").replaceChildren();
  ended("Asking");
  last = null;
  const out = at("answer").appendChild(document.createElement("pre"));
  let text = "", trace, told, wrong = "";
  try {
    const answer = await fetch("/ui/playground/ask", {
      method: "POST", headers: { ...json, "X-OpenFusion-Progress": "comments" }, body: body(true), signal: running.signal,
    });
    trace = answer.headers.get("x-openfusion-trace-id");
    if (!answer.ok) throw new Error(await problem(answer));
    for await (const line of lines(answer.body)) {
      if (line.startsWith(": openfusion ")) { report(JSON.parse(line.slice(13))); continue; }
      if (!line.startsWith("data: {")) continue;
      const event = JSON.parse(line.slice(6)), piece = event.choices?.[0]?.delta?.content;
      if (event.error) wrong = event.error.message;
      if (event.openfusion) { told = event.openfusion; report({ plan: [], calls: told.attempts.map((call, i) => ({ ...last?.calls[i], ...call })) }); }
      if (piece) { if (!text) at("state").textContent = "Answering"; text += piece; out.append(seen(piece)); }
    }
    ended(wrong || "Answered", trace, told);
    analysed(told?.analysis);
  } catch (error) {
    ended(error.name === "AbortError" ? "Stopped: the calls were cut" : error.message, trace);
  }
  field.stop.disabled = !(field.send.disabled = false);
  if (!text) return;
  const safe = await fetch("/ui/playground/markdown", { method: "POST", headers: json, body: JSON.stringify({ text }) });
  if (safe.ok) at("answer").replaceChildren(...new DOMParser().parseFromString(await safe.text(), "text/html").body.childNodes);
}

form.addEventListener("submit", (event) => { event.preventDefault(); if (!field.send.disabled) ask(); });
form.addEventListener("input", (event) => (event.target === field.files ? take() : preview()));
field.stop.addEventListener("click", () => running.abort());
document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  if (event.key === "Escape" && !field.stop.disabled) running.abort();
});
if (field.prompt.value) preview();
