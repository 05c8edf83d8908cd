/**
 * Whose runs are how good: a row for each person, a column for each variant; a cell opens that run.
 * @param {Table} table
 * @param {HTMLElement} part
 * @param {(place: number, run: Run) => void} open
 */
function makePeople(table, part, open) {
  const people = [...new Set(table.runs.map((run) => run.who))].filter(Boolean).sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
  if (people.length < 2) return;
  const column = columnOf(table, table.sort);
  const higher = column?.better === "higher";
  const kind = (/** @type {Run} */ run) => {
    const row = rowAt(table, run.place);
    return row.who ? row.name.replace(` (${row.who})`, "") : row.name;
  };
  const kinds = [...new Set(table.runs.map(kind))];
  /** @type {Map<string, Run[]>} */
  const cells = new Map();
  for (const run of table.runs) {
    const key = JSON.stringify([run.who, kind(run)]);
    cells.set(key, [...(cells.get(key) ?? []), run]);
  }
  const score = (/** @type {Run} */ run) => run.scores[table.sort]?.[0];
  const better = (/** @type {number} */ a, /** @type {number} */ b) => (higher ? a > b : a < b);
  const bestOf = (/** @type {Run[]} */ runs) => runs.reduce((/** @type {Run|undefined} */ best, run) =>
    (score(run) !== undefined && (!best || better(score(run), score(best))) ? run : best), undefined);
  const bests = new Map(kinds.map((each) => [each, bestOf(table.runs.filter((run) => kind(run) === each))]));
  let by = "name";
  const body = make("tbody");
  function show() {
    const order = [...people];
    if (by !== "name") {
      const number = (/** @type {string} */ who) => score(bestOf(by === "best" ? table.runs.filter((run) => run.who === who) : cells.get(JSON.stringify([who, by])) ?? []) ?? table.runs[-1] ?? { scores: {} });
      order.sort((a, b) => {
        const [x, y] = [number(a), number(b)];
        return x === undefined ? 1 : y === undefined ? -1 : higher ? y - x : x - y;
      });
    }
    body.replaceChildren(...order.map((who) => make("tr", {}, make("th", { scope: "row", className: "name", textContent: who }), ...kinds.map((each) => {
      const runs = cells.get(JSON.stringify([who, each])) ?? [];
      const run = bestOf(runs) ?? runs[0];
      if (!run) return make("td", { textContent: "–" });
      const text = run.scores[table.sort]?.[1] ?? (run.status ? "failed" : "–");
      const button = make("button", { type: "button", textContent: text + (runs.length > 1 ? ` (${runs.length} runs)` : ""), aria: { label: `${who}, ${each}: ${titleOf(table, table.sort)} ${text}` }, onclick: () => open(run.place, run) });
      return make("td", { className: bests.get(each) === run ? "best" : "" }, button);
    }))));
  }
  part.append(make("h3", { textContent: "Who made what" }),
    make("p", { className: "dim", textContent: `${titleOf(table, table.sort)} of each person's best run, ${higher ? "higher" : "lower"} is better. A cell opens the run.` }),
    make("div", { className: "controls no-print" }, choice("order by", [["name", "name"], ["best", "best run"], ...kinds.map((each) => /** @type {[string, string]} */ ([each, each]))], by, (value) => { by = value; show(); })),
    make("div", { className: "scroll", tabIndex: 0, role: "region", aria: { label: "Who made what" } }, make("table", { className: "people" },
      make("thead", {}, make("tr", {}, make("th", { scope: "col", className: "name", textContent: "whose" }), ...kinds.map((each) => make("th", { scope: "col", textContent: each })))), body)));
  show();
}
