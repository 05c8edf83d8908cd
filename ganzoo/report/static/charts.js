/* Charts are Vega-Lite: specifications made here, drawn as SVG. Expressions are interpreted, never compiled to code. */

/** Rows that one chart draws: more lines than this are a thicket. */
const MOST_LINES = 12;

/** Points that one chart names: of more, it names those on the front. */
const MOST_NAMES = 14;

/** Pixels of a name in a chart: what stands outside of the axes is taken from their room. */
const LONGEST_NAME = 150;

/** Seeds from which on intervals are drawn: those of two hide all else, and say nothing. */
const INTERVAL_SEEDS = 3;

/** @type {Map<HTMLElement, () => void>} what is drawn again when the colours change */
const drawn = new Map();

/** @type {any} */
const embed = /** @type {any} */ (window).vegaEmbed;

/**
 * @param {HTMLElement} box
 * @param {any} spec
 * @param {string} description read out by screen readers
 */
function draw(box, spec, description) {
  const made = spec();
  if (!made.data.values.length) { // the filter has left nothing
    drawn.delete(box);
    box.replaceChildren();
    return Promise.resolve();
  }
  drawn.set(box, () => draw(box, spec, description));
  const style = getComputedStyle(document.documentElement);
  const [fg, dim, line] = ["--fg", "--dim", "--line"].map((name) => resolved(style.getPropertyValue(name)));
  const letters = Math.max(16, ...made.data.values.map((/** @type {{name?: string}} */ value) => value.name?.length ?? 0));
  const name = Math.max(80, Math.min(box.clientWidth - 90, 8 * letters)); // what tells points of a grid apart stands at its end
  const full = {
    $schema: "https://vega.github.io/schema/vega-lite/v6.json", width: "container", height: 320, background: null,
    autosize: { type: "fit-x", contains: "padding" }, description, ...made,
    config: {
      font: "system-ui, sans-serif", mark: { aria: false }, view: { stroke: null }, text: { color: fg, fontSize: 12 },
      axis: { labelColor: dim, titleColor: fg, gridColor: line, domainColor: dim, tickColor: dim, labelFontSize: 12, titleFontSize: 13, titleFontWeight: 500, titlePadding: 8, tickCount: 8, labelOverlap: true },
      legend: { labelColor: fg, labelFontSize: box.clientWidth < 500 ? 11 : 13, symbolSize: 90, symbolOpacity: 1, orient: "bottom", columns: Math.max(1, Math.floor(box.clientWidth / (name + 40))), labelLimit: name },
    },
  };
  const actions = { export: { svg: true, png: true }, source: false, compiled: false, editor: false };
  return embed(box, full, { ast: true, renderer: "svg", actions, downloadFileName: "ganzoo", tooltip: { theme: "custom", disableDefaultStyle: false } })
    .then(() => {
      const menu = box.querySelector("summary");
      menu?.setAttribute("aria-label", "Save this chart");
      box.dataset.drawn = String(Number(box.dataset.drawn ?? 0) + 1);
    });
}

/** @param {string} value as `light-dark(a, b)`, which custom properties keep as it is @returns {string} */
function resolved(value) {
  const found = value.match(/light-dark\(([^,]+),\s*([^)]+)\)/);
  return found ? (isDark() ? found[2] : found[1]).trim() : value.trim();
}

function redraw() {
  for (const [box, again] of drawn) if (box.isConnected && box.clientWidth) again();
}

/**
 * How rows look in every chart of a table.
 * @param {Table} table
 * @param {number[]} places
 */
function looks(table, places) {
  const domain = places.map((place) => rowAt(table, place).name);
  return {
    colour: { field: "name", type: "nominal", title: null, scale: { domain, range: places.map(colourOf) } },
    dash: { field: "name", type: "nominal", title: null, scale: { domain, range: places.map((place) => DASHES[Math.floor(place / LIGHT.length) % DASHES.length]) } },
    shape: { field: "name", type: "nominal", title: null, scale: { domain, range: places.map((place) => SHAPES[place % SHAPES.length]) } },
  };
}

/** Of the range of an axis, that stays free at its ends. */
const ROOM = 0.04;

/** @param {number} value @param {Limits} limits */
const within = (value, [low, high]) => Math.min(Math.max(value, low ?? -Infinity), high ?? Infinity);

/**
 * Axes end where there are no values, such as seconds below 0.
 * @param {boolean} log
 * @param {number[]} values
 * @param {Limits} limits
 */
function scaleOf(log, values, limits) {
  if (log && values.every((value) => value > 0)) return { type: "log", nice: false, padding: 12 };
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const room = ROOM * (high - low || Math.abs(high) || 1);
  return { zero: false, nice: false, domain: [within(low - room, limits), within(high + room, limits)] };
}

/** @param {number[]} values of which few are far from the others */
const spread = (values) => Math.min(...values) > 0 && Math.max(...values) > 8 * Math.min(...values);

/**
 * Numbers over training: lines are means over seeds, bands their intervals.
 * @param {Curves} found
 * @param {Table} table
 * @param {{places: number[], time: "kimg"|"seconds", logX: boolean, logY: boolean, band?: boolean}} how
 */
function curvesSpec(found, table, how) {
  const chosen = found.curves.filter((curve) => how.places.includes(curve.place));
  const values = chosen.flatMap((curve) => curve.moments.map(([kimg, seconds, mean, half]) => ({
    name: rowAt(table, curve.place).name, x: how.time === "kimg" ? kimg : seconds, y: Number(mean), half,
    seeds: curve.seeds, told: short(Number(mean)) + (half ? ` ± ${short(half)}` : ""),
  }))).filter((point) => point.x !== null && point.x > 0);
  const ys = values.map((point) => point.y);
  const log = how.logY && ys.every((y) => y > 0);
  const least = Math.min(...ys);
  const bands = values.filter((point) => point.half && point.seeds >= INTERVAL_SEEDS).map((point) => ({
    ...point, low: within(log ? Math.max(point.y - Number(point.half), least / 2) : point.y - Number(point.half), found.limits), high: within(point.y + Number(point.half), found.limits),
  }));
  const floors = found.floors.slice(0, 1).map(([name, y]) => ({ name, y })).filter((floor) => !log || floor.y > 0)
    .filter((floor) => ys.length && floor.y > least / 4 - (log ? 0 : Math.abs(least) * 10));
  const look = looks(table, chosen.map((curve) => curve.place));
  const x = { field: "x", type: "quantitative", axis: { tickCount: 6 }, title: how.time === "kimg" ? "real images shown to D (kimg)" : "seconds of training", scale: scaleOf(how.logX, values.map((point) => Number(point.x)), [0, null]) };
  const better = found.better ? `, ${found.better} is better` : "";
  const y = { field: "y", type: "quantitative", title: found.title + better, scale: scaleOf(log, [...ys, ...(log ? [] : [...bands.flatMap((band) => [band.low, band.high]), ...floors.map((floor) => floor.y)])], found.limits) };
  const tooltip = [{ field: "name", title: "variant" }, { field: "x", title: how.time, format: ",.4~g" }, { field: "told", title: found.title }, { field: "seeds", title: "seeds" }];
  const few = Math.max(0, ...chosen.map((curve) => curve.moments.length)) <= 24;
  const opacity = (/** @type {number} */ full, /** @type {number} */ faint) => ({ condition: { param: "pick", value: full }, value: faint });
  /** @type {any[]} */
  const layers = [
    { data: { values: bands }, mark: { type: "area" }, encoding: { x, y: { ...y, field: "low" }, y2: { field: "high" }, color: look.colour, opacity: opacity(0.16, 0.03) } },
    { params: [{ name: "pick", select: { type: "point", fields: ["name"] }, bind: "legend" }],
      mark: { type: "line", strokeWidth: 2, interpolate: "linear" }, encoding: { x, y, color: look.colour, strokeDash: look.dash, opacity: opacity(1, 0.15) } },
    { mark: { type: "point", filled: true, size: few ? 45 : 60 }, encoding: { x, y, color: look.colour, shape: look.shape, tooltip, opacity: few ? opacity(1, 0.15) : { value: 0 } } },
  ];
  if (floors.length) {
    layers.push({ data: { values: floors }, mark: { type: "rule", strokeDash: [4, 4], color: resolved(getComputedStyle(document.documentElement).getPropertyValue("--dim")) }, encoding: { y } });
    layers.push({ data: { values: floors }, mark: { type: "text", align: "left", baseline: "bottom", dx: 4, dy: -2 }, encoding: { x: { value: 0 }, y, text: { field: "name" } } });
  }
  return { data: { values }, layer: layers.filter((layer) => layer.data?.values.length !== 0), resolve: { scale: { color: "shared" } } };
}

/**
 * Every variant in one chart over training: scores, or what training recorded.
 * @param {Table} table
 * @param {HTMLElement} part
 */
function makeCurves(table, part) {
  const groups = { ...table.scores, ...table.training };
  const keys = Object.keys(groups);
  if (!keys.length) return { show: () => {} };
  /** @type {{key: string, time: "kimg"|"seconds", logX: boolean, logY: boolean, places: number[]}} */
  const state = { key: keys[0], time: "kimg", logX: false, logY: false, places: [] };
  const box = make("div", { className: "chart" });
  const below = make("p", { className: "dim" });
  const logY = toggle("log vertical", false, (on) => { state.logY = on; show(); });
  const timed = () => groups[state.key].curves.some((curve) => curve.moments.some((moment) => moment[1] !== null));
  function show() {
    const found = groups[state.key];
    const places = state.places.slice(0, MOST_LINES);
    const chosen = found.curves.filter((curve) => places.includes(curve.place));
    if (state.time === "seconds" && !timed()) {
      below.textContent = "No seconds: these runs shared a device, or are of several machines.";
      box.replaceChildren();
      drawn.delete(box);
      return;
    }
    const ends = chosen.map((curve) => `${rowAt(table, curve.place).name} ${short(Number(curve.moments.at(-1)?.[2]))}`);
    draw(box, () => curvesSpec(found, table, { ...state, places }), `${found.title} over ${state.time}. At the end: ${ends.join(", ")}.`);
    const untrained = chosen.filter((curve) => curve.untrained !== null).map((curve) => `${rowAt(table, curve.place).name} ${short(Number(curve.untrained))}`);
    const lines = [];
    if (chosen.some((curve) => curve.seeds > 1)) lines.push(`Lines are means over seeds${chosen.some((curve) => curve.seeds >= INTERVAL_SEEDS) ? ", bands their 95 % intervals" : ""}.`);
    if (untrained.length) lines.push(`Untrained, off the axis: ${untrained.join(", ")}.`);
    if (state.places.length > places.length) lines.push(`The first ${places.length} of ${state.places.length} rows are drawn: filter the table to choose.`);
    below.textContent = lines.join(" ");
  }
  function pick(/** @type {string} */ key) {
    state.key = key;
    state.logY = spread(groups[key].curves.flatMap((curve) => curve.moments.map((moment) => Number(moment[2]))));
    logY.setAttribute("aria-pressed", String(state.logY));
    show();
  }
  /** @type {[string, string][]} */
  const options = keys.map((key) => [key, table.scores[key] ? titleOf(table, key) : `training: ${groups[key].title}`]);
  part.append(make("h3", { textContent: "Over training" }), make("div", { className: "controls no-print" },
    choice("show", options, state.key, pick),
    switches("Horizontal axis", [["kimg", "kimg"], ["seconds", "seconds"]], "kimg", (time) => { state.time = /** @type {any} */ (time); show(); }),
    toggle("log horizontal", false, (on) => { state.logX = on; show(); }), logY), box, below);
  return { show: (/** @type {Row[]} */ rows) => { state.places = rows.map((row) => Number(row.place)); pick(state.key); } };
}

/**
 * Quality against cost, with the front that nothing beats in both.
 * @param {Pareto} found
 * @param {Table} table
 * @param {{places: number[], x: string, y: string, logX: boolean, logY: boolean, bars: boolean}} how
 */
function paretoSpec(found, table, how) {
  const values = found.points.filter((point) => how.places.includes(point[0])).map(([place, x, xHalf, y, yHalf, front]) => ({
    name: rowAt(table, place).name, seeds: rowAt(table, place).seeds, x, y, front, x1: xHalf ? within(x - xHalf, found.limits[0]) : null, x2: xHalf ? within(x + xHalf, found.limits[0]) : null,
    y1: yHalf ? within(y - yHalf, found.limits[1]) : null, y2: yHalf ? within(y + yHalf, found.limits[1]) : null,
    toldX: rowAt(table, place).cells[how.x][1], toldY: rowAt(table, place).cells[how.y][1],
  }));
  const lowest = (/** @type {number} */ low, /** @type {number} */ at, /** @type {boolean} */ log) => (at <= 0 ? low : Math.max(low, log ? at / 4 : 0));
  const look = looks(table, found.points.filter((point) => how.places.includes(point[0])).map((point) => point[0]));
  const better = (/** @type {string} */ key) => (columnOf(table, key)?.better ? `, ${columnOf(table, key)?.better} is better` : "");
  const ends = (/** @type {"x"|"y"} */ field) => (how.bars ? values : []).filter((value) => value.seeds >= INTERVAL_SEEDS)
    .flatMap((value) => (field === "x" ? [value.x1, value.x2] : [value.y1, value.y2])).filter((end) => end !== null);
  const axis = (/** @type {"x"|"y"} */ field, /** @type {boolean} */ log) => ({
    field, type: "quantitative", title: axisOf(table, how[field]) + better(how[field]), scale: scaleOf(log, [...values.map((value) => value[field]), ...(log ? [] : ends(field))], found.limits[field === "x" ? 0 : 1]),
    axis: how[field].includes("memory") ? { format: ".3s" } : how[field] === "parameters" ? { format: "~s" } : {},
  });
  const [x, y] = [axis("x", how.logX), axis("y", how.logY)];
  const bars = (how.bars ? values : []).filter((value) => value.seeds >= INTERVAL_SEEDS).map((value) => ({ ...value, x1: value.x1 === null ? null : lowest(value.x1, value.x, how.logX), y1: value.y1 === null ? null : lowest(value.y1, value.y, how.logY) }));
  const tooltip = [{ field: "name", title: "variant" }, { field: "toldX", title: titleOf(table, how.x) }, { field: "toldY", title: titleOf(table, how.y) }];
  const front = values.filter((value) => value.front).sort((a, b) => a.x - b.x || a.y - b.y);
  const dim = resolved(getComputedStyle(document.documentElement).getPropertyValue("--dim"));
  /** @type {any[]} */
  const layers = [
      { data: { values: found.no_front ? [] : front }, mark: { type: "line", strokeDash: [5, 4], strokeWidth: 1.5, color: dim }, encoding: { x, y, order: { field: "x" } } },
      { data: { values: bars.filter((bar) => bar.x1 !== null) }, mark: { type: "rule", strokeWidth: 1.5 }, encoding: { x: { ...x, field: "x1" }, x2: { field: "x2" }, y, color: { ...look.colour, legend: null } } },
      { data: { values: bars.filter((bar) => bar.y1 !== null) }, mark: { type: "rule", strokeWidth: 1.5 }, encoding: { x, y: { ...y, field: "y1" }, y2: { field: "y2" }, color: { ...look.colour, legend: null } } },
      { mark: { type: "point", filled: true, size: 130, opacity: 1 }, encoding: { x, y, color: { ...look.colour, legend: null }, shape: { ...look.shape, legend: null }, tooltip } },
      { data: { values: values.length > MOST_NAMES && !found.no_front ? front : values }, mark: { type: "text", align: "left", dx: 10, dy: -9, fontSize: 13, limit: LONGEST_NAME }, encoding: { x, y, text: { field: "name" } } },
  ];
  return { data: { values }, layer: layers.filter((layer) => layer.data?.values.length !== 0) };
}

/**
 * @param {Table} table
 * @param {HTMLElement} part
 */
function makePareto(table, part) {
  const usable = (/** @type {string} */ key) => table.rows.filter((row) => row.kind !== "real" && row.cells[key]).length > 1;
  const costs = table.costs.filter(usable), qualities = table.qualities.filter(usable);
  if (!costs.length || !qualities.length) return { show: () => {} };
  const state = { x: costs.includes("seconds") ? "seconds" : costs[0], y: qualities[0], logX: false, logY: false, bars: true, places: /** @type {number[]} */ ([]) };
  const box = make("div", { className: "chart" });
  const below = make("p", { className: "dim" });
  const logX = toggle("log horizontal", false, (on) => { state.logX = on; show(); });
  const logY = toggle("log vertical", false, (on) => { state.logY = on; show(); });
  function show() {
    const found = table.pareto[`${state.x} ${state.y}`];
    const front = found.points.filter((point) => point[5]).map((point) => rowAt(table, point[0]).name);
    const told = found.no_front ? `No front: ${found.no_front}.` : `On the front, beaten by none in both: ${front.join(", ")}.`;
    draw(box, () => paretoSpec(found, table, state), `${titleOf(table, state.y)} against ${titleOf(table, state.x)}, a point for each of ${found.points.length} variants. ${told}`);
    const side = (/** @type {string} */ key) => columnOf(table, key)?.better;
    const corner = `${side(state.y) === "higher" ? "Upper" : "Lower"} ${side(state.x) === "higher" ? "right" : "left"} is better.`;
    const shown = found.points.filter((point) => state.places.includes(point[0]));
    const named = shown.length > MOST_NAMES && !found.no_front ? " In the chart only they have names: point at another, or filter the table." : "";
    const left = found.left_out.map(([name, why]) => `${name} (${why})`);
    below.textContent = `${corner} ${told}${state.bars && shown.some((point) => rowAt(table, point[0]).seeds >= INTERVAL_SEEDS) ? " Bars are 95 % intervals over seeds; on a logarithmic axis they end at a quarter of the mean." : ""}${named}${left.length ? ` Without a point: ${left.join(", ")}.` : ""}`;
  }
  function scales() {
    const points = table.pareto[`${state.x} ${state.y}`].points;
    state.logX = spread(points.map((point) => point[1]));
    state.logY = spread(points.map((point) => point[3]));
    logX.setAttribute("aria-pressed", String(state.logX));
    logY.setAttribute("aria-pressed", String(state.logY));
    show();
  }
  const named = (/** @type {string[]} */ keys) => keys.map((key) => /** @type {[string, string]} */ ([key, titleOf(table, key)]));
  part.append(make("h3", { textContent: "Quality against cost" }), make("div", { className: "controls no-print" },
    choice("quality", named(qualities), state.y, (key) => { state.y = key; scales(); }),
    choice("against", named(costs), state.x, (key) => { state.x = key; scales(); }), logX, logY,
    toggle("intervals", true, (on) => { state.bars = on; show(); })), box, below);
  return { show: (/** @type {Row[]} */ rows) => { state.places = rows.map((row) => Number(row.place)); scales(); } };
}
