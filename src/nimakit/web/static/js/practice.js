// Practice: an outbox whose answers are sent at once, and answered by feedback in a dialog.

import { _, number } from "./texts.js";

export class Practice extends EventTarget {
  constructor(api, url) {
    super();
    this.api = api;
    this.url = url;
    this.answered = 0; // requests the server has answered
    this.sending = false;
    this.problem = "";
    this.dialog = document.getElementById("feedback");
  }

  // Practice answers are not kept: what did not arrive is answered again.
  waiting() {
    return [];
  }

  // Pictures whose answers have not arrived.
  pictures() {
    return this.sending ? this.sending.shown || [this.sending.image] : [];
  }

  // There are no attention checks.
  checks() {
    return [];
  }

  flush() {}

  // Send an answer, and show the feedback on it.
  add(event, item) {
    this.open(item, given(event));
    this.send({ ...event, task: item.task });
  }

  async send(event) {
    this.sending = event;
    try {
      const answer = await this.api.post(this.url, event);
      this.answered += 1;
      this.fill(answer.right ? _("As expected") : _("Not as expected"), answer.expected, answer.text);
      this.sending = false;
      this.dispatchEvent(new CustomEvent("sent", { detail: answer }));
    } catch {
      this.sending = false;
      this.fill(_("The answer did not arrive. Try again."), "", "");
      this.dialog.addEventListener("close", () => location.reload(), { once: true });
    }
  }

  // Show the dialog with the pictures that were answered, numbered as the feedback names them, and without feedback yet.
  open(item, answer) {
    const shown = (item.pictures || [item]).map((one, place) => {
      const figure = document.createElement("figure");
      const image = one.image.cloneNode();
      image.removeAttribute("style");
      figure.append(image);
      if (item.pictures) figure.append(Object.assign(document.createElement("figcaption"), { textContent: number(place + 1) }));
      return figure;
    });
    document.getElementById("feedback-pictures").replaceChildren(...shown);
    document.getElementById("feedback-given").textContent = answer;
    this.fill("…", "", "");
    document.getElementById("feedback-next").disabled = true;
    this.dialog.showModal();
  }

  fill(title, expected, text) {
    for (const [part, value] of Object.entries({ title, expected, text })) {
      const element = document.getElementById(`feedback-${part}`);
      element.textContent = value;
      element.hidden = !value;
    }
    const next = document.getElementById("feedback-next");
    next.disabled = false;
    next.focus();
  }

  // Open a page once the feedback was read.
  leave(address) {
    if (this.dialog.open) this.dialog.addEventListener("close", () => location.assign(address), { once: true });
    else location.assign(address);
  }
}

// What the rater answered, in a sentence.
function given({ kind, value, image, worst, shown }) {
  const place = (id) => number(shown.indexOf(id) + 1);
  if (kind === "rating") return _("Your rating: %(value)s.", { value: number(value, Number.isInteger(value) ? 0 : 1) });
  if (kind !== "choice") return _("You chose none.");
  if (worst === undefined) return _("You chose photograph %(number)s.", { number: place(image) });
  return _("You chose photograph %(best)s as the best and %(worst)s as the worst.", { best: place(image), worst: place(worst) });
}
