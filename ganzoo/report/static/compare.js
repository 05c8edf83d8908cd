/**
 * Any two runs: the same noise side by side, scores, and what differs in how they were made.
 * @param {Table} table
 * @param {HTMLElement} part
 */
function makeCompare(table, part) {
  if (table.runs.length < 2) return;
  const places = [...new Set(table.runs.map((run) => run.place))];
  const best = table.runs.findIndex((run) => run.place === (places[0] ?? 0));
  const next = table.runs.findIndex((run) => run.place === (places[1] ?? places[0]) && run !== table.runs[best]);
  const chosen = [Math.max(0, best), Math.max(0, next)];
  const grids = make("div", { className: "large" });
  const tables = make("div");
  /** @type {{whole: any, at: (kimg: number) => void}[]} */
  let movies = [];
  const runs = () => chosen.map((index) => table.runs[index]);
  const time = timeline(runs, (kimg) => movies.forEach((one) => one.at(kimg)), "Moment of training of both runs");
  function select(/** @type {string} */ label, /** @type {number} */ which) {
    return choice(label, table.runs.map((run, index) => [String(index), runName(table, run)]), String(chosen[which]), (value) => { chosen[which] = Number(value); show(); });
  }
  function show() {
    const [one, other] = runs();
    movies = runs().map((run) => movie(table, run, [make("b", { textContent: runName(table, run) })]));
    grids.replaceChildren(...movies.map((each) => each.whole));
    time.reset();
    const names = [runName(table, one), runName(table, other)];
    const keys = table.columns.map((column) => column.key).filter((key) => one.scores[key] || other.scores[key]);
    const rows = keys.map((key) => [titleOf(table, key), one.scores[key]?.[1] ?? "–", other.scores[key]?.[1] ?? "–"]);
    const differing = (/** @type {Shared} */ shared) => {
      const [a, b] = chosen.map((index) => shared.own[index] ?? {});
      return [...new Set([...Object.keys(a), ...Object.keys(b)])].filter((key) => a[key] !== b[key]).map((key) => [key, a[key] ?? "–", b[key] ?? "–"]);
    };
    const noise = differing(table.settings).some(([key]) => key === "variant.z_dim") ? "The noise differs: z has different sizes." : "Image by image, both are made from the same noise.";
    tables.replaceChildren(make("p", { className: "dim", textContent: noise }),
      ...listed("Settings that differ", names, differing(table.settings)),
      ...listed("Environments that differ", names, [...differing(table.environment), ...differing(table.images)]),
      make("details", {}, make("summary", { textContent: "Scores side by side" }), ...listed("", names, rows)));
  }
  /** @param {string} title @param {string[]} names @param {string[][]} rows */
  function listed(title, names, rows) {
    const heading = title ? [make("h4", { textContent: title })] : [];
    if (!rows.length) return title.startsWith("Settings") ? [...heading, make("p", { className: "dim", textContent: "none: only luck differs, or the machine" })] : [];
    return [...heading, make("div", { className: "scroll", tabIndex: 0, role: "region", aria: { label: title || "Scores side by side" } }, make("table", { className: "plain" },
      make("thead", {}, make("tr", {}, make("td"), ...names.map((name) => make("th", { scope: "col", textContent: name })))),
      make("tbody", {}, ...rows.map(([key, a, b]) => make("tr", {}, make("th", { scope: "row", textContent: key }), make("td", { textContent: a }), make("td", { textContent: b }))))))];
  }
  part.append(make("h3", { textContent: "Two runs side by side" }), make("div", { className: "controls no-print" }, select("left", 0), select("right", 1)), time.controls, grids, tables);
  show();
}
