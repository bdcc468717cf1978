// Texts and numbers in the language of the page.

const block = document.getElementById("texts"); // absent in English
const { texts, plurals } = block ? JSON.parse(block.textContent) : { texts: {}, plurals: {} };

export const language = document.documentElement.lang;

const categories = new Intl.PluralRules(language);

// The translation of an English text; values replace %(name)s.
export function _(text, values = {}) {
  return fill(texts[text] || text, values);
}

// The translation in the form for a count, which replaces %(num)s.
export function ngettext(singular, plural, count, values = {}) {
  const forms = texts[singular] || [singular, plural];
  const form = block ? plurals[categories.select(count)] : Number(count !== 1);
  return fill(forms[form] ?? forms.at(-1), { num: number(count), ...values });
}

// A number with the language's separators; digits: decimals, exactly.
export function number(value, digits = 0) {
  return value.toLocaleString(language, { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

function fill(text, values) {
  return text.replace(/%\((\w+)\)s/g, (whole, name) => values[name] ?? whole);
}
