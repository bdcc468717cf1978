// Buttons that copy a link or a code; without a secure connection, they select it instead.

import { _ } from "./texts.js";

for (const button of document.querySelectorAll("[data-copy]")) {
  const label = button.textContent;
  button.hidden = false;
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(button.dataset.copy);
      button.textContent = _("Copied");
    } catch {
      const text = button.parentElement.querySelector("input, code");
      if (text.select) text.select();
      else getSelection().selectAllChildren(text);
      button.textContent = document.execCommand("copy") ? _("Copied") : _("Selected");
    }
    setTimeout(() => (button.textContent = label), 2000);
  });
}
