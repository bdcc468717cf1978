// Tells the rater what is still kept in the browser only.

export function showSync(outbox) {
  const sync = document.getElementById("sync");
  const waiting = outbox.waiting().length;
  const { problem } = outbox;
  sync.dataset.state = problem ? "problem" : "saved";
  if (!problem || !waiting) sync.textContent = "";
  else if (problem === "offline") sync.textContent = `Offline: ${waiting} saved on this device`;
  else sync.textContent = `${waiting} saved on this device. ${problem}`;
}
