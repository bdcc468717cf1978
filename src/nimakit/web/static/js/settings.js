// Shows the settings that the chosen experiment uses, and has the server check each change at once.

const rules = document.getElementById("unused");
const form = rules.closest("form");
const problem = document.getElementById("problem");
const touched = new Set();
let checking = 0;

function follow() {
  const unused = JSON.parse(rules.textContent)[form.elements.experiment.value] ?? [];
  for (const box of form.querySelectorAll("[data-setting]")) {
    box.hidden = unused.includes(box.dataset.setting);
  }
}

function show(place, problems) {
  place.textContent = problems.join(" ");
  place.hidden = !problems.length;
}

async function check() {
  const turn = ++checking;
  const answer = await fetch(rules.dataset.check, {
    method: "POST",
    body: new FormData(form),
    headers: { Accept: "application/json" },
  });
  if (!answer.ok || turn !== checking) return;
  const found = await answer.json();
  show(problem, found.form);
  for (const name of touched) {
    const box = form.querySelector(`[data-setting="${name}"]`);
    const place = box?.querySelector(".error");
    if (!place) continue;
    show(place, found.fields[name] ?? []);
    form.elements[name].setAttribute("aria-invalid", String(name in found.fields));
  }
}

form.addEventListener("change", (event) => {
  touched.add(event.target.name);
  follow();
  check().catch(() => {}); // without a connection, saving reports what is wrong
});
follow();
