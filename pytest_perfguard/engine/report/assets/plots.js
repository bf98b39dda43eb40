"use strict";
// Draws the plots of an opened test as SVG. Colours and fonts come from the stylesheet: a change of the theme redraws nothing.
const drawPlot = (() => {
  const WIDTH = 480, LEFT = 66, RIGHT = 16, TOP = 24, BOTTOM = 42, ROW = 46;
  const NAMESPACE = "http://www.w3.org/2000/svg";
  // Values further from the bulk than this many times its width are drawn at the edge, so that they squeeze nothing.
  const REACH = 4;
  // Axes that span more than this factor are logarithmic.
  const MAX_LINEAR_FACTOR = 20;

  function add(parent, name, attributes = {}, text = "") {
    const node = parent.appendChild(document.createElementNS(NAMESPACE, name));
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    if (text) node.textContent = text;
    return node;
  }

  const withTitle = (node, text) => { add(node, "title", {}, text); return node; };
  const short = (value) => String(Number(value.toPrecision(4)));

  // [low, high] of an axis: all values but outliers, the marks that lie near them, and those that it has to show.
  function domainOf(values, marks, required = []) {
    const sorted = values.filter(Number.isFinite).sort((a, b) => a - b);
    const at = (share) => sorted[Math.round(share * (sorted.length - 1))];
    const bulk = at(0.8) - at(0.2) || Math.abs(at(0.5)) * 0.02 || 1;
    let low = Math.max(sorted[0], at(0.2) - REACH * bulk);
    let high = Math.min(sorted.at(-1), at(0.8) + REACH * bulk);
    const room = REACH * Math.max(high - low, bulk);
    for (const mark of marks) {
      if (mark >= low - room && mark <= high + room) { low = Math.min(low, mark); high = Math.max(high, mark); }
    }
    low = Math.min(low, ...required);
    high = Math.max(high, ...required);
    const margin = (high - low || Math.abs(high) * 0.1 || 1) * 0.06;
    return [low > 0 && low - margin <= 0 ? low * 0.9 : low - margin, high + margin];
  }

  function linearTicks(low, high) {
    const rough = (high - low) / 5;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = power * ([1, 2, 5, 10].find((factor) => factor * power >= rough) ?? 10);
    const ticks = [];
    for (let index = Math.ceil(low / step); index * step <= high; index++) ticks.push(index * step);
    return ticks;
  }

  function logarithmicTicks(low, high) {
    const ticks = [];
    for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power++) {
      for (const factor of high / low > 1e3 ? [1] : [1, 2, 5]) ticks.push(factor * 10 ** power);
    }
    return ticks.filter((tick) => tick >= low && tick <= high);
  }

  // Maps values to pixels; `position` keeps what lies outside at the edge, and `isOutside` names it.
  function axisOf([low, high], from, to) {
    const logarithmic = low > 0 && high / low > MAX_LINEAR_FACTOR;
    const measure = logarithmic ? Math.log10 : (value) => value;
    const share = (value) => (measure(value) - measure(low)) / (measure(high) - measure(low));
    const clipped = (value) => Math.min(high, Math.max(low, value));
    return {
      ticks: logarithmic ? logarithmicTicks(low, high) : linearTicks(low, high),
      position: (value) => Number((from + share(clipped(value)) * (to - from)).toFixed(1)),
      isOutside: (value) => value < low || value > high,
    };
  }

  function frame(box, plot, height) {
    const figure = box.appendChild(document.createElement("figure"));
    const caption = figure.appendChild(document.createElement("figcaption"));
    caption.textContent = plot.title;
    return add(figure, "svg", { viewBox: `0 0 ${WIDTH} ${height}`, role: "img", "aria-label": plot.title });
  }

  function horizontalAxis(svg, axis, height, title) {
    for (const tick of axis.ticks) {
      const x = axis.position(tick);
      add(svg, "line", { class: "grid", x1: x, x2: x, y1: TOP, y2: height - BOTTOM });
      add(svg, "text", { class: "tick", x, y: height - BOTTOM + 16, "text-anchor": "middle" }, short(tick));
    }
    add(svg, "text", { class: "axis-title", x: (LEFT + WIDTH - RIGHT) / 2, y: height - 6, "text-anchor": "middle" }, title);
  }

  // A line across the plot with its name above it; at the edge with an arrow where it lies outside.
  function verticalMark(svg, axis, height, value, kind, name) {
    const x = axis.position(value);
    add(svg, "line", { class: `mark ${kind}`, x1: x, x2: x, y1: TOP, y2: height - BOTTOM });
    const anchor = x > WIDTH - 90 ? "end" : "middle";
    if (name) add(svg, "text", { class: `mark-name ${kind}`, x, y: TOP - 7, "text-anchor": anchor }, axis.isOutside(value) ? `${name}: further` : name);
  }

  function dot(svg, axis, value, y, kind, text) {
    const x = axis.position(value);
    const node = axis.isOutside(value)
      ? add(svg, "path", { class: `dot ${kind}`, d: `M${x - 5},${y - 5}L${x + 5},${y}L${x - 5},${y + 5}Z` })
      : add(svg, "circle", { class: `dot ${kind}`, cx: x, cy: y, r: 3.8 });
    withTitle(node, text);
  }

  function legend(box, entries) {
    const line = box.lastElementChild.appendChild(document.createElement("p"));
    line.className = "legend";
    for (const [kind, text] of entries) {
      const item = line.appendChild(document.createElement("span"));
      const svg = add(item, "svg", { viewBox: "0 0 14 14", width: 14, height: 14, "aria-hidden": "true" });
      if (kind === "box") add(svg, "rect", { class: "quartiles now", x: 1, y: 3, width: 12, height: 8 });
      else add(svg, "circle", { class: `dot ${kind}`, cx: 7, cy: 7, r: 3.8 });
      item.append(` ${text}`);
    }
  }

  const draw = {
    pairs(box, plot) {
      const same = plot.factors ? 1 : 0;
      const worded = (change) => plot.factors ? `${short(change)}x` : `${change < 0 ? "" : "+"}${change} %`;
      const height = TOP + BOTTOM + Math.max(60, 14 * plot.changes.length);
      const lines = [same, ...(plot.allowed === null ? [] : [plot.allowed])];
      const axis = axisOf(domainOf(plot.changes, plot.interval ?? [], lines), LEFT, WIDTH - RIGHT);
      const svg = frame(box, plot, height);
      horizontalAxis(svg, axis, height, plot.factors ? "now / before" : "change in %");
      if (plot.interval) {
        const [low, high] = plot.interval.map(axis.position);
        const band = { class: "interval-band", x: low, width: Math.max(1, high - low), y: TOP, height: height - TOP - BOTTOM };
        withTitle(add(svg, "rect", band), "interval of the estimate");
      }
      verticalMark(svg, axis, height, same, "same", "");
      if (plot.allowed !== null) verticalMark(svg, axis, height, plot.allowed, "allowed", "allowed");
      const step = (height - TOP - BOTTOM) / (plot.changes.length + 1);
      plot.changes.forEach((change, index) => {
        dot(svg, axis, change, TOP + step * (index + 1), "filled now", `pair ${index + 1}: ${worded(change)}`);
      });
      add(svg, "text", { class: "tick", x: LEFT - 10, y: TOP + step + 4, "text-anchor": "end" }, "pair 1");
      add(svg, "text", { class: "tick", x: LEFT - 10, y: height - BOTTOM - step + 4, "text-anchor": "end" }, `pair ${plot.changes.length}`);
    },

    sides(box, plot) {
      const height = TOP + BOTTOM + ROW * plot.sides.length;
      const unit = plot.unit;
      for (const side of plot.sides) {
        for (const kind of ["minima", "medians", "quantiles"]) {
          let steps = 0;
          side[kind] = side[kind].map((more) => plot.first + (steps += more) * plot.step);
        }
      }
      const bulk = plot.sides.flatMap((side) => [...side.minima, ...side.medians, ...side.quantiles]);
      const axis = axisOf(domainOf(bulk, plot.limit === null ? [] : [plot.limit]), LEFT, WIDTH - RIGHT);
      const svg = frame(box, plot, height);
      horizontalAxis(svg, axis, height, `${unit} per call`);
      if (plot.limit !== null) verticalMark(svg, axis, height, plot.limit, "allowed", "allowed");
      plot.sides.forEach((side, index) => {
        const tone = index === plot.sides.length - 1 ? "now" : "before";
        const y = TOP + ROW * (index + 0.5);
        add(svg, "text", { class: "tick", x: LEFT - 10, y: y + 4, "text-anchor": "end" }, side.name);
        if (side.quantiles.length) {
          const [fence, first, middle, third, upper] = side.quantiles.map(axis.position);
          const text = `quartiles of all rounds: ${side.quantiles.slice(1, 4).map(short).join(", ")} ${unit}`;
          add(svg, "line", { class: `whisker ${tone}`, x1: fence, x2: upper, y1: y, y2: y });
          const quartiles = { class: `quartiles ${tone}`, x: first, width: Math.max(1, third - first), y: y - 10, height: 20 };
          withTitle(add(svg, "rect", quartiles), text);
          add(svg, "line", { class: `whisker ${tone}`, x1: middle, x2: middle, y1: y - 10, y2: y + 10 });
        }
        for (const [kind, shape, offset] of [["median", "hollow", -5], ["minimum", "filled", 5]]) {
          for (const value of side[kind === "median" ? "medians" : "minima"]) {
            dot(svg, axis, value, y + offset, `${shape} ${tone}`, `${short(value)} ${unit}, ${kind} of a process`);
          }
        }
      });
      const boxes = plot.sides.some((side) => side.quantiles.length) ? [["box", "quartiles of all rounds"]] : [];
      legend(box, [["filled now", "minimum of a process"], ["hollow now", "median of a process"], ...boxes]);
    },
  };

  return (box, plot) => draw[plot.kind](box, plot);
})();
