// The page to upload pictures: offers the chosen files, sends the wanted ones in parts, and unpacks zip files.

import { Api, Refused, Unreachable } from "./api.js";

const RETRY_MS = 3000;
const BUSY = 503;
const MOST_LISTED = 200;
const page = document.getElementById("upload").dataset;
const api = new Api(page.session);
const [drop, progress, status, bar, problem, refused, ready] = [
  "drop", "progress", "status", "bar", "problem", "refused", "ready",
].map((id) => document.getElementById(id));

// bytes: sent of total; placed: pictures that are in the collection; known: those that were before.
const state = { sent: 0, total: 0, placed: 0, known: 0, refused: [], busy: false };

for (const id of ["files", "folder"]) {
  const input = document.getElementById(id);
  input.addEventListener("change", () => {
    start([...input.files].map((file) => ({ file, name: file.webkitRelativePath || file.name })));
    input.value = "";
  });
}
for (const kind of ["dragenter", "dragover"]) {
  drop.addEventListener(kind, (event) => {
    event.preventDefault();
    drop.classList.add("over");
  });
}
drop.addEventListener("dragleave", () => drop.classList.remove("over"));
drop.addEventListener("drop", async (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry()).filter(Boolean);
  const found = [];
  for (const entry of entries) await walk(entry, found);
  start(found);
});
addEventListener("beforeunload", (event) => {
  if (state.busy) event.preventDefault();
});

// Collect the files of a dropped folder, with their paths.
async function walk(entry, found) {
  if (entry.isFile) {
    const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
    found.push({ file, name: entry.fullPath.replace(/^\//, "") });
    return;
  }
  const reader = entry.createReader();
  // A reader gives a hundred entries at a time.
  for (;;) {
    const entries = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!entries.length) return;
    for (const inner of entries) await walk(inner, found);
  }
}

async function start(files) {
  if (state.busy || !files.length) return;
  Object.assign(state, { sent: 0, total: 0, placed: 0, known: 0, refused: [], busy: true });
  progress.hidden = false;
  problem.hidden = ready.hidden = refused.hidden = true;
  try {
    for (const job of await offer(files)) await send(job);
    await retried(() => api.post(page.end, {}));
    say(`Done: ${summary()}.`);
    bar.value = 1;
    ready.hidden = state.placed + state.known === 0;
  } catch (error) {
    say(`Stopped: ${summary()}.`);
    complain(error.message);
  }
  state.busy = false;
}

// Ask which files are wanted; return those, with where each continues.
async function offer(files) {
  const jobs = [];
  say(`Comparing ${count(files.length, "file")} with those that are there…`);
  for (let first = 0; first < files.length; first += Number(page.most)) {
    const some = files.slice(first, first + Number(page.most));
    const answer = await retried(() => api.post(page.offer, { files: some.map(({ file, name }) => [name, file.size]) }));
    answer.files.forEach((known, place) => {
      const { file, name } = some[place];
      if (known.state === "refused") refuse(name, known.reason);
      else if (known.state === "there") state.known += 1;
      else jobs.push({ file, name, offset: known.offset, isZip: known.state === "zip" });
    });
  }
  state.total = jobs.reduce((sum, { file }) => sum + file.size, 0);
  return jobs;
}

async function send(job) {
  const { file, name } = job;
  const before = state.sent;
  while (!job.isZip) {
    state.sent = before + job.offset;
    show(name);
    const query = new URLSearchParams({ name, size: file.size, offset: job.offset });
    const content = file.slice(job.offset, job.offset + Number(page.part));
    const answer = await retried(() => post(`${page.partUrl}?${query}`, content));
    if (answer.state === "wanted") job.offset = answer.offset;
    else if (answer.state === "zip") job.isZip = true;
    else {
      if (answer.state === "refused") refuse(name, answer.reason);
      else state.placed += 1;
      break;
    }
  }
  state.sent = before + file.size;
  if (job.isZip) await unpack(file, name);
  show(name);
}

async function unpack(file, name) {
  let start = 0;
  for (;;) {
    let answer;
    try {
      answer = await retried(() => api.post(page.unpack, { name, size: file.size, start }));
    } catch (error) {
      if (!(error instanceof Refused) || error.status === 413) throw error;
      refuse(name, error.message);
      return;
    }
    state.placed += answer.placed;
    for (const [entry, reason] of answer.refused) refuse(`${name}: ${entry}`, reason);
    start = answer.done;
    if (answer.done >= answer.total) return;
    say(`Unpacking ${name}: ${answer.done.toLocaleString()} of ${count(answer.total, "file")}. ${summary()}.`);
  }
}

// Send a part; the answer to one that does not fit says where the file continues.
async function post(url, content) {
  let answer;
  let body;
  try {
    const headers = { "Content-Type": "application/octet-stream", "X-CSRFToken": api.token, Accept: "application/json" };
    answer = await fetch(url, { method: "POST", body: content, headers, credentials: "same-origin" });
    body = await answer.json();
  } catch (error) {
    throw new Unreachable(String(error));
  }
  if (answer.ok) return body;
  if (answer.status === 409 && body.offset !== undefined) return { state: "wanted", offset: body.offset };
  if (body.csrf === true) api.token = (await api.get(page.session)).csrf;
  if (body.csrf === true) throw new Unreachable(body.reason);
  throw new Refused(answer.status, body.reason || answer.statusText);
}

// Try again until the server answers.
async function retried(call) {
  for (;;) {
    try {
      const answer = await call();
      problem.hidden = true;
      return answer;
    } catch (error) {
      if (!(error instanceof Unreachable) && error.status !== BUSY) throw error;
      complain("The app does not answer. The upload continues when it does.");
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }
}

function refuse(name, reason) {
  state.refused.push(name);
  refused.hidden = false;
  refused.querySelector("summary").textContent = `${count(state.refused.length, "file")} refused`;
  if (state.refused.length > MOST_LISTED) return;
  const line = document.createElement("li");
  line.textContent = `${name}: ${reason}`;
  refused.querySelector("ul").append(line);
}

function show(name) {
  bar.value = state.total ? state.sent / state.total : 1;
  say(`${name} · ${megabytes(state.sent)} of ${megabytes(state.total)} MB. ${summary()}.`);
}

function say(text) {
  status.textContent = text;
}

function complain(text) {
  problem.textContent = text;
  problem.hidden = false;
}

function summary() {
  const parts = [`${count(state.placed, "picture")} added`];
  if (state.known) parts.push(`${state.known.toLocaleString()} there already`);
  if (state.refused.length) parts.push(`${state.refused.length.toLocaleString()} refused`);
  return parts.join(", ");
}

function megabytes(bytes) {
  return (bytes / 1048576).toLocaleString(undefined, { maximumFractionDigits: 0 });
}

function count(number, noun) {
  return `${number.toLocaleString()} ${noun}${number === 1 ? "" : "s"}`;
}
