/**
 * What the page is made of. Everything that runs say comes in as text: nothing here takes markup.
 *
 * @typedef {{key: string, title: string, about: string, axis: string, better: string, group: string}} Column
 * @typedef {{place: number|null, name: string, about: string, who: string, kind: string, rank: number|null,
 *   ranks: string, seeds: number, status: string, cells: Object<string, [number, string, number|null]>}} Row
 * @typedef {{place: number, who: string, path: string, seed: number|null, status: string, classes: string[],
 *   scores: Object<string, [number, string]>, film: [number, string][], real: string,
 *   neighbours: [number, string]|[], grid: [number, string]|[], interpolation: string, command: string}} Run
 * @typedef {{place: number, seeds: number, moments: (number|null)[][], untrained: number|null}} Curve
 * @typedef {[number|null, number|null]} Limits the least and the greatest value there can be
 * @typedef {{title: string, better: string, limits: Limits, floors: [string, number][], curves: Curve[]}} Curves
 * @typedef {{points: number[][], left_out: [string, string][], limits: [Limits, Limits], no_front: string}} Pareto
 * @typedef {{same: Object<string, string>, own: Object<string, string>[]}} Shared
 * @typedef {{title: string, dataset: string, protocol: string, columns: Column[], summary: string[], sort: string, best: Object<string, number[]>,
 *   rows: Row[], costs: string[], qualities: string[], pareto: Object<string, Pareto>,
 *   scores: Object<string, Curves>, training: Object<string, Curves>, runs: Run[],
 *   curves: Object<string, Object<string, number[][]>>, settings: Shared, environment: Shared, images: Shared}} Table
 */

/** @type {{tables: Table[], pictures: Object<string, string>}} */
const DATA = JSON.parse(/** @type {HTMLElement} */ (document.getElementById("data")).textContent || "");

/** Of charts, by the place of a row: told apart by the colour blind (after Okabe and Ito), on light and on dark. */
const LIGHT = ["#0072b2", "#c44e00", "#00805c", "#b0508f", "#8a6a00", "#2a8fd0", "#6a4c93", "#5a5f69"];
const DARK = ["#58a9ec", "#ff8f4a", "#2fc596", "#e79bc8", "#e5b52f", "#9ad4ff", "#b99af5", "#b9bec8"];
const DASHES = [[1, 0], [6, 3], [2, 3], [8, 3, 2, 3]];
const SHAPES = ["circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right", "triangle-left"];

/**
 * @param {string} tag
 * @param {Object<string, any>} [properties] of the element; "data" and "aria" hold those attributes
 * @param {...(Node|string)} children
 * @returns {any}
 */
function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  const { data = {}, aria = {}, ...others } = properties;
  Object.assign(element, others);
  Object.assign(element.dataset, data);
  for (const [name, value] of Object.entries(aria)) element.setAttribute(`aria-${name}`, String(value));
  element.append(...children);
  return element;
}

/**
 * A choice with its label.
 * @param {string} label
 * @param {[string, string][]} options value and what is shown
 * @param {string} value
 * @param {(value: string) => void} changed
 */
function choice(label, options, value, changed) {
  const select = make("select", { aria: { label }, onchange: () => changed(select.value) });
  for (const [key, text] of options) select.append(make("option", { value: key, textContent: text }));
  select.value = value;
  return make("label", {}, label, select);
}

/**
 * Buttons of which one is pressed.
 * @param {string} label of the group
 * @param {[string, string][]} options
 * @param {string} value
 * @param {(value: string) => void} changed
 */
function switches(label, options, value, changed) {
  const group = make("span", { className: "group", role: "group", aria: { label } });
  const press = (/** @type {string} */ key) => {
    for (const button of group.children) button.setAttribute("aria-pressed", String(button.dataset.value === key));
  };
  for (const [key, text] of options) {
    group.append(make("button", { type: "button", textContent: text, data: { value: key },
      onclick: () => { press(key); changed(key); } }));
  }
  press(value);
  return group;
}

/**
 * A button that is on or off.
 * @param {string} text
 * @param {boolean} on
 * @param {(on: boolean) => void} changed
 */
function toggle(text, on, changed) {
  const button = make("button", { type: "button", textContent: text, aria: { pressed: on }, onclick: () => {
    const now = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", String(now));
    changed(now);
  } });
  return button;
}

/** @param {Table} table @param {number} place @returns {Row} */
const rowAt = (table, place) => /** @type {Row} */ (table.rows.find((row) => row.place === place));

/** @param {Table} table @param {string} key @returns {Column|undefined} */
const columnOf = (table, key) => table.columns.find((column) => column.key === key);

/** @param {Table} table @param {string} key */
const titleOf = (table, key) => columnOf(table, key)?.title ?? key.replaceAll("_", " ");

/** @param {Table} table @param {string} key in words, for an axis */
const axisOf = (table, key) => columnOf(table, key)?.axis ?? titleOf(table, key);

/** @param {Table} table @param {Run} run as it is called wherever one of several runs is meant */
function runName(table, run) {
  const row = rowAt(table, run.place);
  const whose = run.who && row.who !== run.who ? `, ${run.who}` : "";
  return `${row.name}${whose}, seed ${run.seed}`;
}

/** @param {number} value @returns {string} to four digits, without an exponent where people write none */
function short(value) {
  const rounded = Number(value.toPrecision(4));
  return Math.abs(rounded) >= 1e5 || (rounded !== 0 && Math.abs(rounded) < 1e-3)
    ? rounded.toExponential().replace("e+", "e") : rounded.toLocaleString("en", { maximumSignificantDigits: 4 });
}

/** @returns {boolean} whether the page is dark now, by its own choice or the system's */
function isDark() {
  const chosen = document.documentElement.style.colorScheme;
  return chosen === "dark" || (chosen !== "light" && matchMedia("(prefers-color-scheme: dark)").matches);
}

/** @param {number} place @returns {string} */
const colourOf = (place) => (isDark() ? DARK : LIGHT)[place % LIGHT.length];

/**
 * A picture with its caption, and above it the classes of its columns.
 * @param {string} name of the picture; "": it is left out
 * @param {string} alt
 * @param {(Node|string)[]} caption
 * @param {string[]} [classes]
 */
function figure(name, alt, caption, classes = []) {
  const image = make("img", { alt, decoding: "async" });
  if (DATA.pictures[name]?.startsWith("pictures/")) image.loading = "lazy";
  if (DATA.pictures[name]) image.src = DATA.pictures[name];
  const labels = make("div", { className: classes.some((label) => label.length > 3) ? "classes long" : "classes", aria: { hidden: true } },
    ...classes.map((label) => make("span", { textContent: label, title: label })));
  const whole = make("figure", {}, labels, image, make("figcaption", {}, ...caption));
  whole.hidden = !DATA.pictures[name];
  return whole;
}

/**
 * Pairs of a name and a value.
 * @param {Object<string, string>} entries
 * @param {string} [className]
 */
function pairs(entries, className = "") {
  const list = make("dl", { className });
  for (const [name, value] of Object.entries(entries)) list.append(make("dt", { textContent: name }), make("dd", { textContent: value }));
  return list;
}

/** @param {(string|number|null|undefined)[][]} rows @returns {string} as spreadsheets read it: what is text there is text here */
function csv(rows) {
  const cell = (/** @type {string|number|null|undefined} */ value) => {
    if (typeof value !== "string") return String(value ?? "");
    const text = value.replace(/((?:^|;)\s*)([=+\-@\uff1d\uff0b\uff0d\uff20])/g, "$1'$2"); // as ganzoo's own CSV
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return rows.map((row) => row.map(cell).join(",") + "\r\n").join("");
}

/** @param {string} name of the file @param {string} text */
function save(name, text) {
  const address = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  make("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

/**
 * Text that can be copied, with a button that does.
 * @param {string} text
 * @param {string} label
 */
function copyable(text, label) {
  const code = make("code", { textContent: text });
  const told = make("span", { className: "dim", role: "status" });
  const button = make("button", { type: "button", textContent: label, onclick: async () => {
    try {
      await navigator.clipboard.writeText(text);
      told.textContent = "copied";
    } catch { // no permission: it is there to be copied by hand
      getSelection()?.selectAllChildren(code);
      told.textContent = "selected: copy it with Ctrl+C";
    }
  } });
  return make("p", { className: "copyable" }, code, button, told);
}
