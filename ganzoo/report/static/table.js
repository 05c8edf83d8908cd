/**
 * The leaderboard: sorted, filtered, with the columns that one wants, rows that open.
 * @param {Table} table
 * @param {HTMLElement} section
 * @param {(rows: Row[]) => void} shown is told which rows of generated images are left when the filter changes
 * @param {(place: number) => void} open
 */
function makeBoard(table, section, shown, open) {
  const board = /** @type {HTMLTableElement} */ (section.querySelector("table.board"));
  const body = board.tBodies[0];
  const lines = [...body.rows];
  const controls = /** @type {HTMLElement} */ (section.querySelector('[data-part="table"]'));
  const count = /** @type {HTMLElement} */ (section.querySelector('[data-part="count"]'));
  const rowOf = (/** @type {HTMLElement} */ line) => table.rows[Number(line.dataset.index)];
  const ranked = table.rows.some((row) => row.rank !== null);
  let sort = ranked ? { key: "rank", way: 1 } : { key: table.sort, way: columnOf(table, table.sort)?.better === "higher" ? -1 : 1 };

  const value = (/** @type {Row} */ row, /** @type {string} */ key) =>
    key === "name" ? row.name : key === "seeds" ? row.seeds : key === "rank" ? table.rows.indexOf(row) : row.cells[key]?.[0];

  /** Rows of real images stay below those that compete. */
  function order() {
    lines.sort((one, other) => {
      const [a, b] = [rowOf(one), rowOf(other)];
      if ((a.kind === "real") !== (b.kind === "real")) return a.kind === "real" ? 1 : -1;
      const [x, y] = [value(a, sort.key), value(b, sort.key)];
      if (x === undefined || y === undefined) return x === y ? 0 : x === undefined ? 1 : -1;
      return sort.way * (typeof x === "string" ? x.localeCompare(String(y)) : x - Number(y));
    });
    body.append(...lines);
    for (const head of board.tHead?.rows[0].cells ?? []) {
      const mine = head.dataset.key === sort.key;
      if (mine) head.setAttribute("aria-sort", sort.way > 0 ? "ascending" : "descending");
      else head.removeAttribute("aria-sort");
      const mark = head.querySelector(".mark");
      if (mark) mark.textContent = mine ? (sort.way > 0 ? " ▲" : " ▼") : "";
    }
  }

  for (const head of board.tHead?.rows[0].cells ?? []) {
    const key = head.dataset.key ?? "";
    const button = make("button", { type: "button", title: head.title || `sort by ${head.textContent}`, onclick: () => {
      const first = columnOf(table, key)?.better === "higher" ? -1 : 1;
      sort = { key, way: sort.key === key ? -sort.way : first };
      order();
    } }, head.textContent ?? "", make("span", { className: "mark", aria: { hidden: true } }));
    head.replaceChildren(button);
    head.removeAttribute("title");
  }

  /** @type {Object<string, string[]>} */
  const sets = {
    summary: table.summary,
    quality: table.columns.filter((column) => column.group === "quality").map((column) => column.key),
    cost: ["fid", ...table.columns.filter((column) => column.group === "cost").map((column) => column.key)],
    all: table.columns.map((column) => column.key),
  };
  const boxes = table.columns.map((column) => make("input", { type: "checkbox", value: column.key, onchange: columns }));
  function columns() {
    const chosen = new Set([...(ranked ? ["rank"] : []), "name", "seeds", ...boxes.filter((box) => box.checked).map((box) => box.value)]);
    for (const cell of board.querySelectorAll("[data-key]")) {
      const element = /** @type {HTMLElement} */ (cell);
      element.hidden = !chosen.has(element.dataset.key ?? "");
    }
  }
  function choose(/** @type {string} */ set) {
    for (const box of boxes) box.checked = sets[set].includes(box.value);
    columns();
  }
  choose("summary");

  /** The rows that are shown, in their order, with all numbers in full: columns are called as `ganzoo leaderboard` does. */
  function exported() {
    const keys = table.columns.map((column) => column.key);
    const head = ["protocol", "rank", "kind", "variant", "objective", "name", "seeds", "status", ...keys.flatMap((key) => [key, `${key}_interval95`])];
    const rows = lines.filter((line) => !line.hidden).map(rowOf);
    return csv([head, ...rows.map((row) => [table.protocol, row.rank, row.kind, row.name, row.kind === "real" ? "" : row.about, row.who, row.seeds, row.status,
      ...keys.flatMap((key) => [row.cells[key]?.[0], row.cells[key]?.[2]])])]);
  }

  const search = make("input", { type: "search", placeholder: "dcgan", oninput: filter });
  function filter() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const left = [];
    for (const line of lines) {
      const row = rowOf(line);
      const people = table.runs.filter((run) => run.place === row.place).map((run) => run.who);
      const text = [row.name, row.about, row.who, ...people].join(" ").toLowerCase();
      line.hidden = row.kind !== "real" && !words.every((/** @type {string} */ word) => text.includes(word));
      if (!line.hidden && row.kind !== "real") left.push(row);
    }
    const all = table.rows.filter((row) => row.kind !== "real").length;
    count.textContent = !left.length && all ? `Nothing matches “${search.value.trim()}”: no row is shown, and no chart or picture.` : left.length === all ? "" : `${left.length} of ${all} rows; charts and pictures show these.`;
    shown(left);
  }
  controls.append(
    make("label", {}, "filter", search),
    switches("Columns", Object.keys(sets).map((set) => [set, set]), "summary", choose),
    make("details", { className: "choose" }, make("summary", { textContent: "choose columns" }),
      make("div", {}, ...boxes.map((box, index) => make("label", {}, box, table.columns[index].title)))),
    make("button", { type: "button", textContent: "save CSV", title: "the rows that are shown, with all columns", onclick: () => save("leaderboard.csv", exported()) }),
  );

  for (const [key, places] of Object.entries(table.best)) {
    for (const line of lines) {
      const place = rowOf(line).place;
      if (place !== null && places.includes(place)) line.querySelector(`[data-key="${CSS.escape(key)}"]`)?.classList.add("best");
    }
  }
  let other = false, last = 0;
  for (const line of lines) {
    const row = rowOf(line);
    if (row.rank && row.rank !== last) { other = !other; last = row.rank; }
    line.classList.toggle("other", !other);
    if (row.place === null) continue;
    const head = /** @type {HTMLElement} */ (line.querySelector("th.name"));
    const place = row.place;
    head.replaceChildren(
      make("button", { type: "button", textContent: row.name, title: `pictures, curves and settings of ${row.name}`, onclick: () => open(place) }),
      make("span", { className: "dim", textContent: row.about + (row.status ? " ⚠ see above" : ""), title: row.status }),
    );
  }
  order();
  return { filter };
}

/**
 * Who is best at what, in a word, and whether a test tells it from the others.
 * @param {Table} table
 * @param {HTMLElement} box
 */
function makeCards(table, box) {
  const competing = table.rows.filter((row) => row.kind !== "real");
  if (competing.length < 2) return;
  const cards = [["fid", "closest to real"], ["recall", "most varied"], ["train_img_per_s", "fastest to train"], ["parameters", "smallest"]];
  for (const [key, what] of cards) {
    const column = columnOf(table, key);
    const rows = competing.filter((row) => row.cells[key]);
    if (!column || rows.length < 2 || 2 * rows.length < competing.length) continue; // of a few it says nothing of the table
    const way = column.better === "higher" ? -1 : 1;
    const best = rows.reduce((one, row) => (way * (row.cells[key][0] - one.cells[key][0]) < 0 ? row : one));
    const told = table.best[key] ?? [];
    const half = best.cells[key][2];
    const spread = half && !String(best.cells[key][1]).includes("±") && best.seeds > 1 ? ` ± ${short(half)}` : "";
    const seeds = `, ${best.seeds} seed${best.seeds === 1 ? "" : "s"}`;
    const sure = !told.length ? `${seeds}; no test tells it from the others`
      : told.length > 1 ? `${seeds}; ${told.length - 1} other${told.length === 2 ? "" : "s"} cannot be told from it` : seeds;
    const some = rows.length < competing.length ? `, of ${rows.length} rows that have it` : "";
    const exact = key === "parameters";
    box.append(make("div", { className: "card" }, exact || told.length ? what : `${what}, as measured`, make("b", { textContent: best.name }),
      make("span", { className: "dim", textContent: `${column.title} ${best.cells[key][1]}${exact ? "" : spread + sure}${some}` })));
  }
}
