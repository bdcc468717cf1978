// Tells the rater what is still kept in the browser only.

import { _, number } from "./texts.js";

export function showSync(outbox) {
  const sync = document.getElementById("sync");
  const waiting = outbox.waiting().length;
  const { problem } = outbox;
  sync.dataset.state = problem ? "problem" : "saved";
  if (!problem || !waiting) sync.textContent = "";
  else if (problem === "offline") sync.textContent = _("Offline: %(count)s saved on this device", { count: number(waiting) });
  else sync.textContent = _("%(count)s saved on this device. %(problem)s", { count: number(waiting), problem });
}
