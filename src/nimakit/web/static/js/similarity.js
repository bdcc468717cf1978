// Similarity pages: keys, broken pictures, uploads, and waiting for features.

import { Keys } from "./keys.js";
import { _, number } from "./texts.js";
import { announce } from "./toasts.js";

const POLL_MS = 3000;
const PREVIEW = 480;
const UNSENT = _("The picture could not be sent. Check the network connection and try again.");
const page = document.getElementById("similarity").dataset;
const keys = new Keys();

function go(link) {
  return () => link.click();
}

const another = document.getElementById("another");
if (another) keys.add(["n"], _("Another pair"), go(another));
keys.add(["u"], _("Upload your own picture"), () => {
  const input = document.querySelector("#upload input[type=file]");
  if (input) input.click();
  else location.assign(page.upload);
});
const left = document.getElementById("like-left");
if (left) {
  keys.add(["1"], _("Similar to the first picture"), go(left));
  keys.add(["2"], _("Similar to the second picture"), go(document.getElementById("like-right")));
}
bindMatches(document.querySelectorAll(".match-picture"));
if (document.querySelector(".matches, #upload")) keys.row(["1", "…", "9"], _("Choose one of the pictures found"));
keys.row([_("Backspace")], _("Back"));
keys.add(["Backspace"], null, () => history.back());

function bindMatches(links) {
  [...links].slice(0, 9).forEach((link, place) => keys.add([String(place + 1)], null, go(link)));
}

// Report a picture that the browser cannot show, so that nobody else gets it, and say so in its place.
function watch(image) {
  const gone = async () => {
    const box = document.createElement("span");
    box.className = `${image.className} tile-gone`;
    box.textContent = _("This picture cannot be shown");
    image.replaceWith(box);
    const token = document.querySelector("meta[name=csrf-token]").content;
    await fetch(image.dataset.problem, { method: "POST", headers: { "X-CSRFToken": token, Accept: "application/json" } });
  };
  if (image.complete && image.naturalWidth === 0 && image.src) gone();
  else image.addEventListener("error", gone, { once: true });
}
document.querySelectorAll("img[data-problem]").forEach(watch);

// The upload form: the server does not store the picture; the preview is drawn here.
const form = document.getElementById("upload");
if (form) {
  const input = form.querySelector("input[type=file]");
  const button = document.getElementById("find");
  const result = document.getElementById("result");

  const complain = (text) => {
    const notice = document.createElement("p");
    notice.className = "notice warn";
    notice.setAttribute("role", "alert");
    notice.textContent = text;
    result.replaceChildren(notice);
  };

  const send = async () => {
    const [file] = input.files;
    if (!file || button.disabled) return;
    if (file.size > Number(page.largest) - 65536) {
      complain(_("%(name)s is too large. The limit is %(limit)s MB.", { name: file.name, limit: page.largest >> 20 }));
      return;
    }
    button.disabled = true;
    announce(_("Looking for similar pictures"));
    try {
      const answer = await fetch(form.action, { method: "POST", body: new FormData(form), headers: { Accept: "text/html" } });
      const sent = new DOMParser().parseFromString(await answer.text(), "text/html");
      const shown = sent.getElementById("result");
      if (!shown) {
        complain(sent.querySelector(".lead")?.textContent || UNSENT); // an error page
        return;
      }
      result.replaceChildren(...document.adoptNode(shown).childNodes);
      result.querySelectorAll("img[data-problem]").forEach(watch);
      bindMatches(result.querySelectorAll(".match-picture"));
      announce(result.querySelector("p").textContent);
      await preview(file);
    } catch {
      complain(UNSENT);
    } finally {
      button.disabled = false;
    }
  };

  const preview = async (file) => {
    const canvas = document.getElementById("preview");
    if (!canvas) return;
    let bitmap;
    try {
      bitmap = await createImageBitmap(file);
    } catch {
      return; // browsers cannot show TIFF, HEIC or RAW
    }
    const scale = Math.min(1, PREVIEW / Math.max(bitmap.width, bitmap.height));
    canvas.width = Math.max(1, Math.round(bitmap.width * scale));
    canvas.height = Math.max(1, Math.round(bitmap.height * scale));
    const context = canvas.getContext("2d");
    context.imageSmoothingQuality = "high";
    context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
    canvas.hidden = false;
  };

  input.addEventListener("change", send);
  if (input.files.length) send(); // chosen before this script was loaded
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    send();
  });
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    form.classList.add("dropping");
  });
  document.addEventListener("dragleave", (event) => event.relatedTarget || form.classList.remove("dropping"));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    form.classList.remove("dropping");
    if (!event.dataTransfer.files.length) return;
    input.files = event.dataTransfer.files;
    send();
  });
}

// Features are computed in the background: show the progress, and reload once there is something to compare.
if (document.getElementById("waiting")) {
  setInterval(async () => {
    try {
      const answer = await fetch(page.status, { headers: { Accept: "application/json" } });
      if (!answer.ok) return;
      const { done, total, ready } = await answer.json();
      if (ready) location.reload();
      const bar = document.getElementById("waiting-bar");
      bar.max = total || 1;
      bar.value = done;
      const counted = document.getElementById("done");
      if (counted) {
        counted.textContent = number(done);
        document.getElementById("total").textContent = number(total);
      }
    } catch {
      // The network is down; the next poll may succeed.
    }
  }, POLL_MS);
}
