// Settings: choose the model and the encoder from those that are there; the text field is for another file.

const form = document.querySelector("form[data-models]");
const OTHER = "other file";
const NONE = { model: "None", encoder: "Features of the model" };

function picker(input, choices) {
  const select = document.createElement("select");
  const label = input.closest("label");
  const values = choices.map(({ value }) => value);
  if (input.value && !values.includes(input.value)) choices.push({ value: input.value, label: input.value, problem: "" });
  const add = (value, text, problem = "") => {
    const option = new Option(problem ? `${text}: ${problem}` : text, value);
    option.disabled = problem !== "";
    select.add(option);
  };
  add("", NONE[input.name]);
  for (const { value, label: text, problem } of choices) add(value, text, problem);
  add(OTHER, "Another file…");
  select.id = `${input.name}-choice`;
  select.value = input.value;
  input.hidden = true;
  select.addEventListener("change", () => {
    const isOther = select.value === OTHER;
    input.value = isOther ? "" : select.value;
    input.hidden = !isOther;
    if (isOther) input.focus();
  });
  input.setAttribute("aria-label", `Path of another file: ${label.firstChild.textContent}`);
  input.before(select);
  label.htmlFor = select.id;
}

async function offer() {
  const answer = await fetch(form.dataset.models, { headers: { Accept: "application/json" } });
  if (!answer.ok) return;
  const choices = await answer.json();
  for (const name of Object.keys(NONE)) {
    const input = form.querySelector(`input[name=${name}]`);
    if (input && document.activeElement !== input) picker(input, choices[name]);
  }
}

if (form) offer();
