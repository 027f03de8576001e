// The page shows what /api/events sends. If that connection fails, as when the box takes no more
// viewers, the page asks /api/health and /api/mood, and then tries to connect again.

import { watchCamera } from "./preview.js";

const EMOTIONS = ["angry", "disgust", "fear", "happy", "neutral", "sad", "surprise"];
const NAMES = {
  uncertain: "Uncertain", no_face: "Nobody in view", paused: "Paused", no_camera: "No camera",
};
const ORDER = [...EMOTIONS, ...Object.keys(NAMES)];
const STAGES = ["capture", "find", "classify", "total"];
const AGAIN = 2000; // milliseconds between attempts to reach the box
const HISTORY_LAG = 5000; // milliseconds from a change of mood to a fresh timeline
const PATIENCE = 10000; // milliseconds to wait for an answer
const SILENT = 10000; // milliseconds without an event, with health every two seconds, until the connection is dead

const element = (id) => document.getElementById(id);
const name = (mood) => NAMES[mood] ?? mood.charAt(0).toUpperCase() + mood.slice(1);

let mood = null; // the latest mood message
let health = null;
let link = "wait"; // wait, live, gone
let heard = 0; // when the box was last heard, by performance.now()
let since = 0; // when the mood began, on the same clock
let dated = true; // whether the mood's message may be a minute old, as on connecting
let asked = null; // the state that the button asked for, and until when to wait for it
let refused = ""; // the notice if the box did not do what the button last asked for
let stream = null;
let retry = null; // connects again a little later
let historyTimer = null; // fetches the timeline a little later
let preview = null; // the AbortController of this page's live preview, while that is on
let previewEnd = ""; // how the last one ended

function put(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function make(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [key, value] of Object.entries(properties)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function duration(seconds) {
  const whole = Math.max(0, Math.round(seconds)); // rounded first: 59.7 seconds are a minute, not 60 s
  const minutes = Math.floor(whole / 60);
  if (minutes < 1) return `${whole} s`;
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} days`;
}

function clock(time) {
  return new Date(time).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
}

// --- showing -----------------------------------------------------------------------------------

function showLink() {
  const texts = { wait: "Connecting …", live: "Live", gone: "Not connected" };
  element("link").dataset.state = link;
  put(element("link"), texts[link]);
  element("now").classList.toggle("old", link !== "live");
}

function showMood() {
  if (!mood) return;
  put(element("device"), mood.device);
  put(element("mood"), name(mood.mood));
  element("swatch").dataset.mood = mood.mood;
  for (const emotion of EMOTIONS) {
    const share = mood.scores[emotion] ?? 0;
    const row = element(`score-${emotion}`);
    row.querySelector(".fill").style.transform = `scaleX(${share})`;
    put(row.lastElementChild, `${Math.round(100 * share)} %`);
  }
  showDetail();
  showButton();
}

function showDetail() {
  if (!mood) return;
  if (link !== "live") { // also while it connects again: a phone may have slept for hours
    put(element("detail"), "the last that is known");
    return;
  }
  const parts = [];
  if (mood.state === "paused") parts.push("the camera is closed");
  else if (mood.state === "no_camera") parts.push("waiting for one");
  else if (mood.mood === "uncertain") parts.push("no expression is clear");
  else if (mood.mood !== "no_face") parts.push(`${Math.round(100 * mood.confidence)} % sure`);
  if (mood.face_count > 1) parts.push(`${mood.face_count} faces`);
  const age = (performance.now() - since) / 1000;
  parts.push(`for ${duration(age < 60 ? 5 * Math.floor(age / 5) : age)}`);
  put(element("detail"), parts.join(" · "));
}

function showButton() {
  const button = element("pause");
  const paused = mood?.state === "paused";
  if (asked?.paused === paused) asked = null;
  else if (asked && performance.now() > asked.until) {
    refused = asked.paused
      ? "The camera is still not closed. To be sure, stop the service."
      : "The camera is still not opened. Try again.";
    asked = null;
  }
  const text = asked ? (asked.paused ? "Closing the camera …" : "Opening the camera …") : paused ? "Resume" : "Pause";
  put(button, text);
  disable(button, Boolean(asked) || link !== "live" || !mood);
  put(element("pause-hint"), paused ? "The camera is closed." : "Closes the camera until you resume, even after a restart.");
}

// Not with `disabled`, which would take the focus away from keyboard users.
function disable(button, unusable) {
  button.setAttribute("aria-disabled", String(unusable));
}

const canPreview = () => link === "live" && mood?.state === "sensing";

function showPreview() {
  const button = element("preview");
  element("camera").hidden = !health?.preview_allowed;
  put(button, preview ? "End the live preview" : "Show the live preview");
  disable(button, !preview && !canPreview());
  const rule = "For this visit only, five minutes at most, and kept nowhere. Everybody who opens this page sees that it is on.";
  put(element("preview-hint"), !preview && previewEnd ? previewEnd : rule);
}

function notices() {
  if (link === "gone") return [["bad", "The box does not answer. This page tries again by itself."]];
  const found = refused ? [["bad", refused]] : [];
  if (health?.previews) {
    const whose = preview && health.previews === 1 ? "this page shows" : "somebody watches";
    found.push(["", `The live preview is on: ${whose} what the camera sees.`]);
  }
  if (health?.hangs) found.push(["bad", "The box has said nothing new for minutes: its service hangs."]);
  if (mood?.state === "paused") {
    found.push(["", "Paused: the camera is closed."]);
    if (health?.problem) found.push(["bad", `But ${health.problem}.`]);
  }
  if (mood?.state === "no_camera") {
    const why = health?.problem ? ` (${health.problem})` : "";
    found.push(["bad", `The camera is lost or not there yet${why}. The box keeps trying to open it.`]);
  }
  for (const [output, state] of Object.entries(health?.outputs ?? {})) {
    const label = output === "mqtt" ? "The MQTT broker is not connected" : `The output ${output} does not work`;
    if (!state.connected) found.push(["bad", `${label}${state.problem ? `: ${state.problem}` : "."}`]);
  }
  if (health?.throttled) found.push(["", "Heat or low voltage slows the processor down."]);
  return found;
}

function showNotices() {
  const wanted = notices();
  const region = element("notices");
  const now = [...region.children].map((each) => each.textContent);
  if (JSON.stringify(now) === JSON.stringify(wanted.map(([, text]) => text))) return;
  region.replaceChildren(...wanted.map(([kind, text]) => make("p", { class: `notice ${kind}` }, text)));
}

function showHealth() {
  if (!health) return;
  const broker = health.outputs.mqtt;
  const rows = [
    ["Camera", health.camera || "none"],
    ["Frames per second", health.fps.toFixed(1)],
    ["Temperature", health.temperature_c === null ? "unknown" : `${health.temperature_c.toFixed(1)} °C`],
    ["Throttled", health.throttled === null ? "unknown" : health.throttled ? "yes" : "no"],
    ["Memory", `${health.memory_mb.toFixed(0)} MB`],
    ["MQTT broker", !broker ? "not used" : broker.connected ? "connected" : "not connected"],
    ["Running for", duration(health.uptime)],
    ["Version", health.version],
  ];
  const list = element("health");
  if (!list.children.length) {
    for (const [label] of rows) list.append(make("dt", {}, label), make("dd"));
  }
  rows.forEach(([, value], index) => put(list.children[2 * index + 1], value));
  const stages = STAGES.filter((stage) => health.latency_ms[stage]).map((stage) => {
    const { p50, p95 } = health.latency_ms[stage];
    return [stage, p50, p95];
  });
  element("latency").replaceChildren(...stages.map(([stage, ...values]) => make(
    "tr", {}, make("th", { scope: "row" }, stage), ...values.map((value) => make("td", {}, value.toFixed(1))),
  )));
}

function showHistory(history) {
  const sums = {};
  const rows = []; // the columns as text, for those who have no mouse or cannot see them
  const columns = history.steps.map(({ time, seconds }) => {
    const known = ORDER.filter((each) => seconds[each]);
    const said = known.map((each) => `${name(each)} ${duration(seconds[each])}`).join(", ");
    const column = make("div", { title: `${clock(time)}: ${said || "nothing known"}` });
    if (said) rows.unshift(make("tr", {}, make("th", { scope: "row" }, clock(time)), make("td", {}, said)));
    // The sum is more than the step if somebody set the clock back.
    const whole = Math.max(60 * history.step_minutes, Object.values(seconds).reduce((a, b) => a + b, 0));
    for (const label of known) {
      const part = make("span", { "data-mood": label });
      part.style.height = `${(100 * seconds[label]) / whole}%`;
      column.append(part);
      sums[label] = (sums[label] ?? 0) + seconds[label];
    }
    return column;
  });
  element(history.period).replaceChildren(...columns);
  element(`${history.period}-rows`).replaceChildren(...rows);
  const marks = [0, history.steps.length / 2].map((index) => clock(history.steps[index].time));
  element(`${history.period}-axis`).replaceChildren(...[...marks, "now"].map((mark) => make("span", {}, mark)));
  const items = ORDER.filter((label) => sums[label]).map((label) => make(
    "li", {}, make("i", { "data-mood": label, "aria-hidden": "true" }), `${name(label)} ${duration(sums[label])}`,
  ));
  put(element("kept"), history.kept_days === null
    ? "Kept in memory only."
    : `A summary per minute is kept on the box for ${history.kept_days === 1 ? "1 day" : `${history.kept_days} days`}.`);
  element(`${history.period}-list`).replaceChildren(...(items.length ? items : [make("li", {}, "Nothing known yet")]));
}

function show() {
  showLink();
  showMood();
  showHealth();
  showPreview();
  showNotices();
}

// --- hearing -----------------------------------------------------------------------------------

function hear(kind, message) {
  heard = performance.now();
  link = "live";
  if (kind === "mood") {
    if (message.since !== mood?.since) historyTimer ??= setTimeout(refreshHistory, HISTORY_LAG);
    if (message.state !== mood?.state) refused = "";
    mood = message;
    measureSince(message.time);
  } else {
    health = message;
    // Only once: if the box's clock is set, the mood's times are wrong until its next message.
    if (dated && mood) measureSince(message.time);
    dated = false;
  }
  show();
}

// Both times are from the box's clock: their difference is right, whatever this machine's says.
function measureSince(now) {
  since = heard - Math.max(0, Date.parse(now) - Date.parse(mood.since));
}

async function ask(path, method = "GET") {
  const answer = await fetch(path, {
    method, headers: { Accept: "application/json" }, cache: "no-store", signal: AbortSignal.timeout(PATIENCE),
  }).catch(() => { throw new Error("the box does not answer"); });
  if (answer.status === 401) location.assign("/login");
  if (!answer.ok) throw new Error((await answer.json().catch(() => ({}))).error ?? `answer ${answer.status}`);
  return answer.json();
}

async function refreshHistory() {
  clearTimeout(historyTimer);
  historyTimer = null;
  if (document.hidden) return;
  try {
    for (const period of ["hour", "day"]) showHistory(await ask(`/api/history?period=${period}`));
  } catch {
    // The connection's state is shown anyway; the timeline is fetched again within a minute.
  }
}

// A hidden page holds no connection: a browser allows six to one box, for all pages together.
function connect() {
  clearTimeout(retry);
  if (stream || document.hidden) return;
  heard = performance.now();
  dated = true;
  stream = new EventSource("/api/events");
  stream.addEventListener("open", refreshHistory);
  for (const kind of ["mood", "health"]) {
    stream.addEventListener(kind, (event) => hear(kind, JSON.parse(event.data)));
  }
  stream.addEventListener("error", lose);
}

function disconnect() {
  stream?.close();
  stream = null;
}

async function lose() {
  disconnect();
  try {
    const message = await ask("/api/mood");
    const report = await ask("/api/health");
    dated = true;
    hear("mood", message);
    hear("health", report);
  } catch {
    if (stream) return; // the page was hidden and shown meanwhile, and has connected again
    link = "gone";
    refused = "";
    if (preview) endPreview("The live preview has ended because the box does not answer.");
    show();
  }
  clearTimeout(retry);
  retry = setTimeout(connect, AGAIN);
}

async function press() {
  if (!mood || asked || link !== "live") return;
  const pause = mood.state !== "paused";
  const wish = { paused: pause, until: performance.now() + 15000 };
  asked = wish;
  refused = "";
  show();
  try {
    await ask(pause ? "/api/pause" : "/api/resume", "POST");
  } catch (error) {
    if (asked !== wish) return; // only the answer was lost: the box has done it
    asked = null;
    refused = `The camera was not ${pause ? "closed" : "opened"}: ${error.message}. Try again.`;
    show();
  }
}

async function pressPreview() {
  if (preview) {
    endPreview("");
    return;
  }
  if (!canPreview()) return;
  const control = new AbortController();
  preview = control;
  show();
  let end = "The live preview has ended.";
  try {
    await watchCamera(element("picture"), control.signal);
  } catch (error) {
    end = `The live preview has ended: ${error.message}`;
  }
  if (preview === control) endPreview(end);
}

function endPreview(sentence) {
  preview?.abort();
  preview = null;
  previewEnd = sentence;
  show();
}

function watch() {
  if (stream && performance.now() - heard > SILENT) lose();
  showDetail();
  showButton();
  showNotices();
}

element("scores").replaceChildren(...EMOTIONS.map((emotion) => make(
  "li", { id: `score-${emotion}` }, make("b", {}, name(emotion)),
  make("span", { class: "track", "aria-hidden": "true" }, make("span", { class: "fill", "data-mood": emotion })),
  make("span", {}, "0 %"),
)));
element("pause").addEventListener("click", press);
element("preview").addEventListener("click", pressPreview);
setInterval(watch, 1000);
setInterval(refreshHistory, 60000);
document.addEventListener("visibilitychange", () => {
  if (preview && document.hidden) endPreview("The live preview has ended because the page was hidden.");
  if (document.hidden) {
    disconnect();
    link = "wait";
    show();
  } else connect();
});
addEventListener("pagehide", () => { if (preview) endPreview(""); });
addEventListener("pageshow", connect); // also when the browser restores the page from its back/forward cache
connect();
