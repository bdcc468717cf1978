// The page to try a server with: a card for each photograph, best first.

const AT_ONCE = 2;
const ATTEMPTS = 10;

const find = (id) => document.getElementById(id);
const [files, drop, model, tta, keyField, key, status, cards] =
  ["files", "drop", "model", "tta", "key-field", "key", "status", "cards"].map(find);
const waiting = [];
const binsOf = new Map();
let running = 0;

const pause = (seconds) => new Promise((resolve) => setTimeout(resolve, 1000 * seconds));

// A request with the key, where there is one; a busy server is asked again when it said so.
async function ask(path, options = {}) {
  const headers = key.value ? { Authorization: `Bearer ${key.value}` } : {};
  for (let attempt = 1; ; attempt += 1) {
    const response = await fetch(path, { ...options, headers });
    if (response.status === 401) keyField.hidden = false;
    const isBusy = response.status === 503 || response.status === 429;
    if (!isBusy || attempt === ATTEMPTS) return response;
    await pause(Math.min(Number(response.headers.get("Retry-After")) || 1, 30));
  }
}

async function listModels() {
  const response = await ask("models");
  const answer = await response.json();
  if (!response.ok) {
    status.textContent = answer.detail;
    return;
  }
  const options = answer.map(({ name, ready, bins }) => {
    binsOf.set(name, bins);
    const option = new Option(ready ? name : `${name} (not ready)`, name);
    option.disabled = !ready;
    return option;
  });
  model.replaceChildren(...options);
  status.textContent = "";
}

function addCard(file) {
  const card = find("card").content.firstElementChild.cloneNode(true);
  const image = card.querySelector("img");
  image.addEventListener("load", () => URL.revokeObjectURL(image.src), { once: true });
  image.addEventListener("error", () => image.replaceWith("no picture"));
  image.src = URL.createObjectURL(file);
  image.alt = file.name;
  card.classList.add("waiting");
  card.querySelector(".score strong").textContent = "waiting";
  card.querySelector(".name").textContent = file.name;
  cards.append(card);
  waiting.push({ card, file });
}

async function work() {
  if (running === AT_ONCE || waiting.length === 0) return;
  running += 1;
  const { card, file } = waiting.shift();
  try {
    show(card, await score(file));
  } catch {
    show(card, { error: "The server cannot be reached." });
  }
  running -= 1;
  report();
  work();
}

async function score(file) {
  const form = new FormData();
  form.append("image", file);
  const query = new URLSearchParams({ tta: tta.value });
  if (model.value) query.set("model", model.value);
  const response = await ask(`predict?${query}`, { method: "POST", body: form });
  const answer = await response.json();
  if (response.ok) return { ...answer[0], bins: binsOf.get(model.value) };
  return answer.records?.[0] ?? { error: answer.detail };
}

function show(card, record) {
  card.classList.remove("waiting");
  if (record.error) {
    card.querySelector(".score strong").textContent = "no score";
    reveal(card, ".problem").textContent = record.error;
    return;
  }
  card.dataset.mean = record.mean_score_prediction;
  card.querySelector(".score strong").textContent = record.mean_score_prediction.toFixed(2);
  if (record.sd_score_prediction !== null) {
    card.querySelector(".sd").textContent = `\u00b1 ${record.sd_score_prediction.toFixed(2)}`;
  }
  if (record.percentile !== undefined) {
    const rank = reveal(card, ".rank");
    rank.querySelector("i").style.width = `${record.percentile}%`;
    rank.querySelector("span").textContent = `percentile ${record.percentile.toFixed(0)}`;
  }
  if (record.predictions.length) drawRatings(reveal(card, ".ratings"), record);
  const below = [...cards.children].find((other) => !(Number(other.dataset.mean) >= record.mean_score_prediction));
  cards.insertBefore(card, below ?? null);
}

function reveal(card, selector) {
  const part = card.querySelector(selector);
  part.hidden = false;
  return part;
}

function drawRatings(part, { predictions, bins }) {
  const highest = Math.max(...predictions);
  const width = 100 / predictions.length;
  const bars = predictions.map((share, index) => {
    const bar = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    const height = (30 * share) / highest;
    const shape = { x: (index + 0.1) * width, y: 30 - height, width: 0.8 * width, height };
    for (const [name, value] of Object.entries(shape)) bar.setAttribute(name, value.toFixed(2));
    return bar;
  });
  part.querySelector("svg").replaceChildren(...bars);
  const [low, high] = part.querySelectorAll("span");
  low.textContent = bins?.[0] ?? "";
  high.textContent = bins?.at(-1) ?? "";
}

function report() {
  const left = waiting.length + running;
  status.textContent = left ? `${left} left` : "";
}

function take(list) {
  for (const file of list) addCard(file);
  report();
  for (let i = 0; i < AT_ONCE; i += 1) work();
}

files.addEventListener("change", () => {
  take(files.files);
  files.value = "";
});
for (const name of ["dragenter", "dragover", "dragleave", "drop"]) {
  drop.addEventListener(name, (event) => {
    event.preventDefault();
    drop.classList.toggle("over", name === "dragenter" || name === "dragover");
  });
}
drop.addEventListener("drop", (event) => take(event.dataTransfer.files));
for (const name of ["dragover", "drop"]) window.addEventListener(name, (event) => event.preventDefault());
key.addEventListener("change", listModels);
find("form").addEventListener("submit", (event) => event.preventDefault());
find("address").textContent = new URL("predict", location.href);
listModels();
