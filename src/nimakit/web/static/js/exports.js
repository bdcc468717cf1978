// The exports of a cull: a list and copies of the picks, and XMP as a download or written to the folder.

import { _, ngettext, number } from "./texts.js";
import { toast } from "./toasts.js";

export function bindExports(api, outbox) {
  const dialog = document.getElementById("export");
  const form = document.getElementById("xmp");
  const result = document.getElementById("export-result");
  const [write, back] = ["xmp-write", "xmp-undo"].map((id) => document.getElementById(id));
  const chosen = () => ({ style: form.elements.style.value, overwrite: form.elements.overwrite.checked });

  function link() {
    const { style, overwrite } = chosen();
    const query = new URLSearchParams({ style, overwrite: overwrite ? "1" : "0" });
    document.getElementById("xmp-zip").href = `${form.dataset.zip}?${query}`;
  }

  function report(lines) {
    result.hidden = false;
    result.textContent = lines.filter(Boolean).join(" ");
  }

  async function send(url, body, lines) {
    for (const button of [write, back]) button.disabled = true;
    try {
      const answer = await api.post(url, body);
      const failed = answer.failed && _("%(count)s could not be changed: %(files)s", { count: number(answer.failed), files: answer.failures.join("; ") });
      report([...lines(answer), failed]);
    } catch (error) {
      report([error.message]);
    }
    for (const button of [write, back]) button.disabled = false;
  }

  document.getElementById("export-button").addEventListener("click", () => {
    result.hidden = true;
    if (outbox.waiting().length) toast(_("Some decisions have not arrived yet. Export again once they have."));
    dialog.showModal();
  });
  form.addEventListener("change", link);
  form.addEventListener("submit", (event) => event.preventDefault());
  write.addEventListener("click", () =>
    send(form.dataset.write, chosen(), ({ written, unchanged, kept }) => [
      ngettext("%(num)s file written.", "%(num)s files written.", written),
      unchanged && ngettext("%(num)s file said so already.", "%(num)s files said so already.", unchanged),
      kept && ngettext("%(num)s picture kept the rating that another program gave.", "%(num)s pictures kept the rating that another program gave.", kept),
    ]),
  );
  back.addEventListener("click", () =>
    send(form.dataset.undo, {}, ({ restored }) => [ngettext("%(num)s file restored.", "%(num)s files restored.", restored)]),
  );
  link();

  return {
    // Offer what this rater may export.
    offer({ writable, exports }) {
      document.getElementById("export-none").hidden = exports;
      document.getElementById("export-files").hidden = !exports;
      write.hidden = back.hidden = !writable;
    },
  };
}
