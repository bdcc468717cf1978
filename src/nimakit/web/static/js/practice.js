// Practice: an outbox whose answers are sent at once, and answered by feedback in a dialog.

import { _ } from "./texts.js";

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
    this.open(item);
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

  // Show the dialog with the pictures that were answered, and without feedback yet.
  open(item) {
    const shown = (item.pictures || [item]).map((one) => {
      const image = one.image.cloneNode();
      image.removeAttribute("style");
      return image;
    });
    document.getElementById("feedback-pictures").replaceChildren(...shown);
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
