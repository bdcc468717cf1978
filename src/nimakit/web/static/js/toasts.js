// Short messages that disappear after a few seconds.

const SHOWN_MS = 5000;

export function toast(text, { lasting = false } = {}) {
  const box = document.createElement("p");
  box.className = "toast";
  box.textContent = text;
  document.getElementById("toasts").append(box);
  if (!lasting) setTimeout(() => box.remove(), SHOWN_MS);
  return box;
}

// Announce text to screen readers.
export function announce(text) {
  document.getElementById("announce").textContent = text;
}
