// Draws the page's specs with Vega, and lets a reader choose what they show.
// All text of the store is set as text (textContent), never as markup or expression.
"use strict";
(() => {
  const element = document.getElementById("chart-data");
  if (!element) return;
  const data = JSON.parse(element.textContent);
  const arms = new Map((data.arms ?? []).map((arm) => [arm.label, arm]));
  const hidden = { arms: new Set(), seeds: new Set(), modalities: new Set() };
  const shows = { seeds: true, references: true, log: false };
  const views = new Map(); // name of a chart: its Vega view
  const stale = new Set(Object.keys(data.charts));

  const make = (tag, text, className) => {
    const node = document.createElement(tag);
    if (text !== undefined) node.textContent = text;
    if (className) node.className = className;
    return node;
  };

  const isShown = (row) =>
    !(row.arm !== undefined && hidden.arms.has(row.arm)) &&
    !(row.reference && !shows.references) &&
    !(row.kind === "seed" && (!shows.seeds || hidden.seeds.has(row.seed)));

  // Log scales hold no zero; Vega-Lite takes the ends from the data again.
  const setLog = (spec) => {
    const axis = spec.usermeta?.log;
    if (!axis || !shows.log) return;
    for (const layer of spec.layer) {
      const channel = layer.encoding?.[axis];
      if (channel?.type === "quantitative") channel.scale = { type: "log" };
    }
    spec.data.values = spec.data.values.filter((row) => !((axis === "y" ? row.value : row.x) <= 0));
  };

  // Vega complains of a layer without rows.
  const hasRows = (layer, rows) => {
    if (layer.data) return true;
    const fields = ["x", "x2", "y", "y2"].map((channel) => layer.encoding[channel]?.field).filter(Boolean);
    return rows.some((row) => row.kind === layer.description && fields.every((field) => field in row));
  };

  const prepared = (name) => {
    const text = JSON.stringify(data.charts[name]);
    const spec = JSON.parse(text, (_, value) => (typeof value === "string" && data.colours[value]) || value);
    spec.data.values = data.charts[name].data.values.filter(isShown);
    setLog(spec);
    const drawn = spec.layer.filter((layer) => hasRows(layer, spec.data.values));
    const hasPlaces = drawn.some((layer) => layer.encoding.x && layer.encoding.y);
    const nothing = { data: { values: [{}] }, mark: { type: "text", text: "nothing chosen" }, encoding: {} };
    spec.layer = hasPlaces || spec.layer.length === 1 ? drawn : [nothing];
    for (const layer of spec.layer)
      if (layer.mark.type !== "area") layer.mark.tooltip = { content: "data" };
    spec.width = "container";
    spec.background = null;
    spec.autosize = { type: "fit-x", contains: "padding" };
    return spec;
  };

  const number = (value) =>
    Math.abs(value) >= 1000 || value === 0 ? String(Math.round(value)) : Number(value.toPrecision(4)).toString().replace("-", "−");

  // Lines of a tooltip. A line's datum is only its first point: it has no value to show.
  const linesOf = (row, isLine) => {
    const lines = [];
    if (row.step !== undefined) lines.push(`collapsed at update ${row.step}`);
    else if (row.shape === "collapsed" || row.kind === "collapse") lines.push("collapsed");
    if (row.value !== undefined && !isLine) {
      const ends = row.low === undefined ? "" : ` [${number(row.low)}, ${number(row.high)}]`;
      lines.push(`${row.kind === "mean" && row.arm ? "mean " : ""}${number(row.value)}${ends}`);
    }
    return lines;
  };

  const titleOf = (row) => {
    const name = row.arm ?? row.label ?? (row.who && row.name ? `${row.who}: ${row.name}` : row.name) ?? "";
    if (row.trial !== undefined) return `trial ${row.trial}, ${name}`;
    return row.seed === undefined ? name : `${name} · seed ${row.seed}`.replace(/^ · /, "");
  };

  const tip = make("div", undefined, "tip");
  tip.hidden = true;
  document.body.append(tip);

  const point = (_, event, item, value) => {
    const row = item?.datum;
    if (!value || !row || row.kind === "zero" || (!row.arm && !row.name && !row.label && row.seed === undefined)) {
      tip.hidden = true;
      return;
    }
    const arm = arms.get(row.arm);
    const trial = arm?.trials[row.seed];
    tip.replaceChildren(make("strong", titleOf(row)));
    for (const line of linesOf(row, item.mark.marktype === "line")) tip.append(make("div", line));
    if (arm) tip.append(make("div", arm.settings || "the base configuration", "settings"));
    if (trial) tip.append(make("code", trial.command));
    if (arm) tip.append(make("div", "click for its runs", "hint"));
    tip.hidden = false;
    const box = tip.getBoundingClientRect();
    const left = Math.min(event.clientX + 14, innerWidth - box.width - 8);
    const below = event.clientY + 14 + box.height < innerHeight;
    tip.style.left = `${Math.max(8, left)}px`;
    tip.style.top = `${below ? event.clientY + 14 : event.clientY - box.height - 10}px`;
  };

  const card = make("aside", undefined, "card");
  card.hidden = true;
  card.setAttribute("aria-live", "polite");
  document.body.append(card);
  addEventListener("keydown", (event) => {
    if (event.key === "Escape") card.hidden = true;
  });

  const link = (address, text) => {
    const anchor = make("a", text);
    anchor.href = address;
    return anchor;
  };

  const trialEntry = (seed, trial) => {
    const entry = make("li");
    entry.append(make("span", `seed ${seed}: ${trial.value ?? trial.status} `));
    if (trial.address) entry.append(link(trial.address, "run in MLflow"));
    const copy = make("button", "copy command");
    copy.type = "button";
    copy.addEventListener("click", async () => {
      await navigator.clipboard.writeText(trial.command);
      copy.textContent = "copied";
    });
    entry.append(" ", copy, make("code", trial.command));
    return entry;
  };

  const showCard = (_, item) => {
    const row = item?.datum;
    const arm = arms.get(row?.arm);
    if (!arm) return;
    const close = make("button", "×", "close");
    close.type = "button";
    close.setAttribute("aria-label", "close");
    close.addEventListener("click", () => (card.hidden = true));
    const list = make("ul");
    for (const [seed, trial] of Object.entries(arm.trials))
      if (row.seed === undefined || String(row.seed) === seed) list.append(trialEntry(seed, trial));
    const all = make("p");
    all.append(link(`#${arm.anchor}`, "all runs of this arm"));
    card.replaceChildren(close, make("strong", titleOf(row)), make("p", arm.settings || "the base configuration", "settings"), list, all);
    card.hidden = false;
  };

  const draw = async (name) => {
    const place = document.querySelector(`[data-chart="${name}"] .plot`);
    if (!place || place.offsetParent === null || place.clientWidth === 0) return;
    stale.delete(name);
    views.get(name)?.finalize();
    const options = { actions: false, renderer: "svg", ast: true, config: data.config, tooltip: point };
    const drawn = await vegaEmbed(place, prepared(name), options);
    drawn.view.addEventListener("click", showCard);
    views.set(name, drawn);
  };

  const drawAll = async () => {
    for (const figure of document.querySelectorAll("[data-chart]"))
      figure.classList.toggle("off", hidden.modalities.has(figure.dataset.modality));
    for (const name of [...stale]) await draw(name);
    document.documentElement.dataset.drawn = String(stale.size);
  };

  const changed = () => {
    for (const name of Object.keys(data.charts)) stale.add(name);
    return drawAll();
  };

  for (const box of document.querySelectorAll("[data-shows]"))
    box.addEventListener("change", () => {
      shows[box.dataset.shows] = box.checked;
      changed();
    });

  // The same arm may have a button in several places; all say the same.
  for (const chip of document.querySelectorAll("[data-toggles]"))
    chip.addEventListener("click", () => {
      const { toggles, value } = chip.dataset;
      const key = toggles === "seeds" ? Number(value) : value;
      const isOff = !hidden[toggles].delete(key);
      if (isOff) hidden[toggles].add(key);
      for (const other of document.querySelectorAll(`[data-toggles="${toggles}"]`))
        if (other.dataset.value === value) other.setAttribute("aria-pressed", String(!isOff));
      changed();
    });

  for (const choice of document.querySelectorAll("[data-view]"))
    choice.addEventListener("change", () => {
      for (const group of document.querySelectorAll("[data-in-view]"))
        group.hidden = group.dataset.inView !== choice.dataset.view;
      drawAll();
    });

  document.addEventListener("toggle", drawAll, true);
  let width = innerWidth;
  addEventListener("resize", () => {
    if (innerWidth === width) return;
    width = innerWidth;
    changed();
  });
  drawAll();
})();
