"use strict";

const at = (id) => document.getElementById(id);

function row(label, value, total) {
  const line = document.createElement("tr");
  const name = document.createElement("th");
  name.scope = "row";
  name.textContent = label;
  const meter = document.createElement("meter");
  meter.max = total;
  meter.value = value;
  const bar = document.createElement("td");
  bar.append(meter);
  const number = document.createElement("td");
  number.textContent = `${((100 * value) / total).toFixed(1)} %`;
  line.append(name, bar, number);
  return line;
}

function showScores(answer) {
  const scores = answer.faces ? answer.faces[0]?.scores : answer;
  const values = Object.entries(scores ?? {}).filter(([, value]) => typeof value === "number");
  const total = values.reduce((sum, [, value]) => sum + value, 0);
  at("scores").tBodies[0].replaceChildren(...values.map(([name, value]) => row(name, value, total)));
  at("scores").hidden = values.length === 0;
}

async function send(event) {
  event.preventDefault();
  const [file] = at("picture").files;
  const form = new FormData();
  form.append("file", file);
  forget();
  at("status").textContent = "Sending …";
  try {
    const reply = await fetch(at("address").value.slice(1), { method: "POST", body: form });
    const answer = await reply.json();
    if (file !== at("picture").files[0]) return; /* another one was chosen meanwhile */
    at("status").textContent = reply.ok ? `Answer ${reply.status}` : `${reply.status}: ${answer.message}`;
    at("answer").textContent = JSON.stringify(answer, null, 2);
    at("answer").hidden = false;
    if (reply.ok) showScores(answer);
  } catch {
    at("status").textContent = "The server does not answer: try again in a moment.";
  }
}

/** Show no answer any more: it was to another picture. */
function forget() {
  at("status").textContent = "";
  at("scores").hidden = true;
  at("answer").hidden = true;
}

function preview() {
  forget();
  const [file] = at("picture").files;
  const image = at("preview");
  URL.revokeObjectURL(image.src);
  image.hidden = !file;
  if (file) image.src = URL.createObjectURL(file);
}

async function describe() {
  const document_ = await (await fetch("openapi.json")).json();
  for (const [path, methods] of Object.entries(document_.paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      const term = document.createElement("dt");
      term.textContent = `${method.toUpperCase()} ${path}`;
      const meaning = document.createElement("dd");
      const codes = Object.keys(operation.responses).join(", ");
      meaning.textContent = `${operation.summary}. Answers: ${codes}.`;
      at("operations").append(term, meaning);
      if (operation.requestBody && path !== "/") at("address").append(new Option(path, path));
    }
  }
}

at("form").addEventListener("submit", send);
at("picture").addEventListener("change", preview);
describe();
