/** The first of each section draws when it comes into view: a page of many tables opens at once. */
const waiting = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    if (!entry.isIntersecting) continue;
    waiting.unobserve(entry.target);
    entry.target.dispatchEvent(new Event("seen"));
  }
}, { rootMargin: "400px" });

DATA.tables.forEach((table, number) => {
  const section = /** @type {HTMLElement} */ (document.getElementById(`table-${number}`));
  const part = (/** @type {string} */ name) => /** @type {HTMLElement} */ (section.querySelector(`[data-part="${name}"]`));
  const runs = makeRuns(table);
  const parts = [makeFilms(table, part("films"), runs.open), makePareto(table, part("pareto")), makeCurves(table, part("curves"))];
  let seen = false;
  /** @type {Row[]} */
  let left = table.rows.filter((row) => row.kind !== "real");
  let timer = 0;
  const board = makeBoard(table, section, (rows) => {
    left = rows;
    for (const name of ["films", "pareto", "curves"]) part(name).hidden = !rows.length;
    clearTimeout(timer);
    if (seen) timer = setTimeout(() => parts.forEach((each) => each.show(left)), 120);
  }, runs.open);
  makeCards(table, /** @type {HTMLElement} */ (section.querySelector(".cards")));
  makePeople(table, part("people"), runs.open);
  section.addEventListener("seen", () => {
    seen = true;
    parts.forEach((each) => each.show(left));
    makeCompare(table, part("compare"));
  }, { once: true });
  board.filter();
  waiting.observe(section);
});

const scheme = /** @type {HTMLSelectElement} */ (document.getElementById("scheme"));
scheme.onchange = () => {
  document.documentElement.style.colorScheme = scheme.value;
  redraw();
};
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
/** @type {HTMLDialogElement} */ (document.getElementById("run")).addEventListener("click", (event) => {
  if (event.target === event.currentTarget) /** @type {HTMLDialogElement} */ (event.currentTarget).close();
});
let wasDark = isDark();
/** @type {HTMLDetailsElement[]} that are opened on paper alone */
let folded = [];
addEventListener("beforeprint", () => {
  folded = [.../** @type {NodeListOf<HTMLDetailsElement>} */ (document.querySelectorAll("section.table > details:not([open])"))];
  for (const fold of folded) fold.open = true;
  wasDark = isDark();
  document.querySelectorAll("section.table").forEach((section) => section.dispatchEvent(new Event("seen")));
  if (wasDark) { scheme.value = "light"; scheme.onchange?.(new Event("change")); }
});
addEventListener("afterprint", () => {
  for (const fold of folded) fold.open = false;
  if (wasDark) { scheme.value = "light dark"; scheme.onchange?.(new Event("change")); }
});
