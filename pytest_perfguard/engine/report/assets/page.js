"use strict";
// The address holds the selection and the order of the tests, so that a view can be linked to:
// #verdict=regression&q=parse&sort=change&open=tests/test_a.py::test_b
(() => {
  const tests = [...document.querySelectorAll(".test")];
  const filter = document.getElementById("filter");
  const sort = document.getElementById("sort");
  const chips = [...document.querySelectorAll(".chip")];
  const plots = JSON.parse(document.getElementById("plots").textContent);
  let sorted = "";
  let typing = 0;
  const state = { q: "", verdict: "", sort: "", open: "" };

  function readAddress() {
    const given = new URLSearchParams(location.hash.slice(1));
    for (const key of Object.keys(state)) state[key] = given.get(key) ?? "";
    filter.value = state.q;
    sort.value = state.sort;
    for (const test of tests) if (test.dataset.nodeid === state.open) test.open = true;
    show();
  }

  function writeAddress() {
    const kept = Object.entries(state).filter(([, value]) => value);
    history.replaceState(null, "", "#" + new URLSearchParams(kept));
    show();
  }

  function show() {
    const wanted = state.q.toLowerCase();
    let count = 0;
    for (const test of tests) {
      const fits = (!state.verdict || test.dataset.verdict === state.verdict)
        && test.dataset.nodeid.toLowerCase().includes(wanted);
      test.hidden = !fits;
      count += fits;
    }
    for (const chip of chips) chip.setAttribute("aria-pressed", String(chip.dataset.verdict === state.verdict));
    document.getElementById("shown").textContent = `${count} of ${tests.length} tests`;
    if (state.sort !== sorted) {  // moving thousands of rows takes long
      sorted = state.sort;
      document.querySelector("main").append(...(sorted ? [...tests].sort(byKey(sorted)) : tests));
    }
  }

  function byKey(key) {
    if (key === "nodeid") return (a, b) => (a.dataset.nodeid < b.dataset.nodeid ? -1 : 1);
    const value = (test) => (test.dataset[key] === "" ? -Infinity : Number(test.dataset[key]));
    return (a, b) => value(b) - value(a);
  }

  filter.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(() => { state.q = filter.value; writeAddress(); }, 120);
  });
  sort.addEventListener("change", () => { state.sort = sort.value; writeAddress(); });
  for (const chip of chips) {
    chip.addEventListener("click", () => {
      state.verdict = state.verdict === chip.dataset.verdict ? "" : chip.dataset.verdict;
      writeAddress();
    });
  }

  // The drawing script is large: it is unpacked only for the first plot that is shown.
  let unpacked = null;
  function plotly() {
    unpacked ??= (async () => {
      const packed = Uint8Array.from(atob(document.getElementById("plotly").textContent), (c) => c.charCodeAt(0));
      const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
      const script = document.createElement("script");
      script.textContent = await new Response(stream).text();
      document.head.append(script);
      return window.Plotly;
    })();
    return unpacked;
  }

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const axis = (title, more) => ({ title: { text: title }, gridcolor: colour("--line"), zeroline: false, automargin: true, ...more });

  // Returns the factor and the unit in which the amounts are shown.
  function scaleOf(values, unit) {
    if (unit !== "s") return [1, unit === "B" ? "bytes" : unit];
    const largest = Math.max(...values);
    for (const [name, scale] of [["s", 1], ["ms", 1e-3], ["us", 1e-6]]) {
      if (largest >= scale) return [1 / scale, name];
    }
    return [1e9, "ns"];
  }

  const level = (along, value, tone, text) => ({
    shape: { type: "line", [along === "x" ? "yref" : "xref"]: "paper", line: { color: colour(tone), dash: "dash", width: 1.5 },
      ...(along === "x" ? { x0: value, x1: value, y0: 0, y1: 1 } : { y0: value, y1: value, x0: 0, x1: 1 }) },
    note: { text, showarrow: false, font: { color: colour(tone), size: 11 },
      ...(along === "x" ? { x: value, y: 1, yref: "paper", yanchor: "bottom" } : { y: value, x: 1, xref: "paper", xanchor: "right", yanchor: "bottom" }) },
  });

  const drawn = {
    pairs(plot) {
      const lines = [level("x", plot.same, "--faint", "")];
      if (plot.allowed !== null) lines.push(level("x", plot.allowed, "--bad", "allowed"));
      const shapes = lines.map((line) => line.shape);
      if (plot.interval) {
        shapes.push({ type: "rect", yref: "paper", x0: plot.interval[0], x1: plot.interval[1], y0: 0, y1: 1,
          fillcolor: colour("--accent"), opacity: 0.18, line: { width: 0 } });
      }
      return {
        data: [{ type: "scatter", mode: "markers", x: plot.changes, y: plot.changes.map((_, i) => i + 1),
          marker: { color: colour("--accent"), size: 8 }, text: plot.texts, hovertemplate: "pair %{y}: %{text}<extra></extra>" }],
        layout: { shapes, annotations: lines.map((line) => line.note), xaxis: axis(plot.axis),
          yaxis: axis("pair", { autorange: "reversed", tickformat: "d" }) },
      };
    },
    sides(plot) {
      const data = [];
      const all = plot.sides.flatMap((side) => [...side.medians, ...side.quantiles]);
      const [factor, unit] = scaleOf(all, plot.unit);
      plot.sides.forEach((side, index) => {
        const tone = colour(index === plot.sides.length - 1 ? "--accent" : "--same");
        const scaled = (values) => values.map((value) => value * factor);
        if (side.quantiles.length) {
          const [, fence, q1, middle, q3, upper] = scaled(side.quantiles);
          data.push({ type: "box", orientation: "h", name: side.name, y: [side.name], q1: [q1], median: [middle], q3: [q3],
            lowerfence: [fence], upperfence: [upper], fillcolor: "rgba(0,0,0,0)", line: { color: tone }, hoverinfo: "x" });
        }
        for (const [kind, symbol] of [["medians", "circle-open"], ["minima", "circle"]]) {
          data.push({ type: "scatter", mode: "markers", x: scaled(side[kind]), y: side[kind].map(() => side.name),
            marker: { color: tone, symbol, size: 7, opacity: 0.75 },
            hovertemplate: `%{x:.4g} ${unit}, ${kind === "minima" ? "minimum" : "median"} of a process<extra>${side.name}</extra>` });
        }
      });
      const lines = plot.limit === null ? [] : [level("x", plot.limit * factor, "--bad", "allowed")];
      return {
        data,
        layout: { shapes: lines.map((line) => line.shape), annotations: lines.map((line) => line.note),
          xaxis: axis(`${unit} per call`), yaxis: axis("", { type: "category", autorange: "reversed" }) },
      };
    },
    track(plot) {
      const [factor, unit] = scaleOf(plot.values, plot.unit);
      const values = plot.values.map((value) => value * factor);
      const steps = plot.steps.map((step) => ({
        x: step.index, y: values[step.index], text: step.text,
        font: { color: colour(step.worse ? "--bad" : "--good") }, arrowcolor: colour("--faint"), ay: -28, ax: 0 }));
      const every = Math.ceil(plot.labels.length / 10);
      const ticks = plot.labels.map((_, i) => i).filter((i) => i % every === 0);
      const lines = plot.anchor === null ? [] : [level("y", plot.anchor * factor, "--same", "anchor")];
      return {
        data: [{ type: "scatter", mode: "lines+markers", x: plot.labels.map((_, i) => i), y: values, text: plot.labels,
          line: { color: colour("--accent") }, hovertemplate: `%{text}: %{y:.4g} ${unit}<extra></extra>` }],
        layout: { annotations: [...steps, ...lines.map((line) => line.note)], shapes: lines.map((line) => line.shape),
          xaxis: axis("", { tickvals: ticks, ticktext: ticks.map((i) => plot.labels[i]), tickangle: -40 }),
          yaxis: axis(`${unit} per call`, { rangemode: "tozero" }) },
      };
    },
  };

  async function draw(test) {
    const place = test.querySelector(".plots");
    if (!place || place.childElementCount) return;
    const figures = plots[Number(test.dataset.index)].map((plot) => [plot, place.appendChild(document.createElement("div"))]);
    const Plotly = await plotly();
    for (const [plot, box] of figures) {
      const { data, layout } = drawn[plot.kind](plot);
      await Plotly.newPlot(box, data, {
        ...layout, title: { text: plot.title.replaceAll("<", "&lt;"), font: { size: 13 } }, height: 260,
        margin: { l: 60, r: 20, t: 46, b: 50 }, showlegend: false, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
        font: { color: colour("--ink") },
      }, { responsive: true, displaylogo: false, displayModeBar: false });
    }
    test.dataset.drawn = figures.length;
  }

  for (const test of tests) {
    test.addEventListener("toggle", () => { if (test.open) draw(test); });
  }

  document.getElementById("theme").addEventListener("click", () => {
    const dark = document.documentElement.dataset.theme
      ? document.documentElement.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    document.documentElement.dataset.theme = dark ? "light" : "dark";
    for (const place of document.querySelectorAll(".plots")) place.replaceChildren();
    for (const test of tests) if (test.open) draw(test);
  });

  window.addEventListener("hashchange", readAddress);
  readAddress();
})();
