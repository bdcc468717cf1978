// Apply a selection at once; without scripts the button does it.

const form = document.getElementById("filters");
for (const select of form.querySelectorAll("select")) {
  select.addEventListener("change", () => form.requestSubmit());
}
// Leave empty fields out of the address.
form.addEventListener("formdata", (event) => {
  for (const [name, value] of [...event.formData]) if (value === "") event.formData.delete(name);
});
