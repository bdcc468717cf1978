// "Why this score": requests the explanation, and polls until it is ready.

import { Api } from "./api.js";
import { _ } from "./texts.js";

const WAIT_MS = 1500;
const TEXTS = {
  working: _("Computing the explanation. This takes a few seconds."),
  busy: _("Another picture is being explained. This one is next."),
};

const panel = document.getElementById("why");
const button = panel.querySelector("button");
const status = panel.querySelector("[role=status]");
const api = new Api(panel.dataset.session);

button.addEventListener("click", async () => {
  button.disabled = true;
  try {
    await follow(await api.post(panel.dataset.url, {}));
  } catch (error) {
    tell(_("The explanation failed: %(reason)s", { reason: error.message }));
  }
  button.disabled = false;
});

async function follow(answer) {
  while (answer.state === "working" || answer.state === "busy") {
    tell(TEXTS[answer.state]);
    await new Promise((done) => setTimeout(done, WAIT_MS));
    // The server keeps no queue: while it is busy with another picture, ask again.
    answer = answer.state === "busy" ? await api.post(panel.dataset.url, {}) : await api.get(panel.dataset.url);
  }
  if (answer.state === "ready") show(answer.picture);
  else tell(answer.reason || _("The explanation failed. Try again."));
}

function show(address) {
  tell("");
  button.hidden = true;
  const link = document.createElement("a");
  link.href = address;
  const picture = document.createElement("img");
  picture.src = address;
  picture.alt = panel.dataset.alt;
  link.append(picture);
  panel.append(link);
}

function tell(text) {
  status.textContent = text;
}
