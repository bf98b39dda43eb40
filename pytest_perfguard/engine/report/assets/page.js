"use strict";
// The address holds the selection and the order of the tests, so that a view can be linked to:
// #verdict=regression&q=parse&sort=change&open=tests/test_a.py::test_b
(() => {
  const body = document.querySelector("#tests > tbody");
  const filter = document.getElementById("filter");
  const sort = document.getElementById("sort");
  const chips = [...document.querySelectorAll(".chip")];
  const state = { q: "", verdict: "", sort: "", open: "" };
  let data = null, sorted = "", typing = 0;

  const tests = [...body.querySelectorAll(":scope > tr:not(.panel)")].map((row, index) => {
    const head = row.querySelector("th"), name = head.textContent;
    const details = row.nextElementSibling?.className === "panel" ? row.nextElementSibling : null;
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = name;
    button.setAttribute("aria-expanded", "false");
    head.replaceChildren(button);
    head.scope = "row";
    if (details) details.hidden = true;
    const test = { index, row, name, button, details, verdict: row.className, drawn: false };
    button.addEventListener("click", () => {
      const opened = button.getAttribute("aria-expanded") === "false";
      open(test, opened);
      state.open = opened ? name : "";
      writeAddress();
    });
    return test;
  });
  document.querySelector("nav").hidden = document.getElementById("theme").hidden = false;

  function readAddress() {
    const given = new URLSearchParams(location.hash.slice(1));
    for (const key of Object.keys(state)) state[key] = given.get(key) ?? "";
    filter.value = state.q;
    sort.value = state.sort;
    for (const test of tests) if (test.name === state.open) open(test, true);
    // Without a selection the reason of the most severe failure is shown at once.
    if (!location.hash && tests[0]?.details) open(tests[0], true);
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
      const fits = (!state.verdict || test.verdict === state.verdict) && test.name.toLowerCase().includes(wanted);
      test.row.hidden = !fits;
      if (test.details) test.details.hidden = !fits || test.button.getAttribute("aria-expanded") === "false";
      count += fits;
    }
    for (const chip of chips) chip.setAttribute("aria-pressed", String(chip.dataset.verdict === state.verdict));
    document.getElementById("shown").textContent = `${count} of ${tests.length} tests`;
    if (data && state.sort !== sorted) {  // moving thousands of rows takes long
      sorted = state.sort;
      const order = sorted ? [...tests].sort(byKey(sorted)) : tests;
      body.append(...order.flatMap((test) => (test.details ? [test.row, test.details] : [test.row])));
    }
  }

  function byKey(key) {
    if (key === "nodeid") return (a, b) => (a.name < b.name ? -1 : 1);
    const value = (test) => data[key][test.index] ?? -Infinity;
    return (a, b) => value(b) - value(a);
  }

  function open(test, opened) {
    test.button.setAttribute("aria-expanded", String(opened));
    if (opened && data && !test.drawn) draw(test);
    if (test.details) test.details.hidden = !opened;
  }

  // The details are HTML that the report's writer escaped.
  function draw(test) {
    test.drawn = true;
    if (!test.details) {
      test.details = document.createElement("tr");
      test.details.className = "panel";
      const cell = test.details.appendChild(document.createElement("td"));
      cell.colSpan = test.row.cells.length;
      cell.innerHTML = data.panels[test.index];
      test.row.after(test.details);
    }
    const cell = test.details.firstElementChild;
    const titles = [...cell.querySelectorAll("th")].map((title) => title.textContent);
    for (const part of cell.querySelectorAll("td")) part.dataset.t = titles[part.cellIndex];  // for narrow screens
    const place = document.createElement("div");
    place.className = "plots";
    const plots = data.plots[test.index];
    cell.insertBefore(place, cell.querySelector(":scope > ul"));  // the explanation first, the notes last
    for (const plot of plots) drawPlot(place.appendChild(document.createElement("div")), plot);
    place.insertAdjacentHTML("afterend", data.pictures[test.index]);
    offerCommands(cell);
    test.row.dataset.drawn = cell.querySelectorAll("figure").length;
  }

  // Commands in an explanation stand on lines of their own: each gets a button that copies it.
  function offerCommands(cell) {
    for (const text of cell.querySelectorAll("pre")) {
      const commands = [...text.textContent.matchAll(/(?:^ *|: +)((?:pytest|perfguard|git|Perf-Accept:) .*)$/gm)].map((found) => found[1]);
      for (const command of commands.reverse()) {
        const button = document.createElement("button");
        button.type = "button";
        button.className = "copy";
        button.textContent = `copy: ${command}`;
        button.addEventListener("click", async () => {
          await navigator.clipboard.writeText(command);
          button.textContent = `copied: ${command}`;
        });
        text.after(button);
      }
    }
  }

  function drawBar(test) {
    const [begin, width, estimate, allowed] = data.bars[test.index], cell = test.row.cells[data.column - 1];
    if (!cell || begin === undefined) return;
    const bar = document.createElement("span");
    bar.className = "bar";
    bar.setAttribute("role", "img");
    bar.setAttribute("aria-label", `interval ${cell.textContent}`);
    bar.title = `interval ${cell.textContent}`;
    bar.style.cssText = `--l:${begin}%;--w:${width}%;--e:${estimate}%;--a:${allowed ?? 0}%`;
    if (allowed !== undefined) bar.append(document.createElement("i"));
    cell.replaceChildren(bar);
  }

  async function unpack() {
    const packed = Uint8Array.from(atob(document.getElementById("data").textContent), (letter) => letter.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
    data = await new Response(stream).json();
    tests.forEach(drawBar);
    const grid = document.getElementById("grid");
    grid.innerHTML = data.grid;
    grid.hidden = !data.grid;
    readAddress();
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
  document.getElementById("theme").addEventListener("click", () => {
    const dark = document.documentElement.dataset.theme
      ? document.documentElement.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    document.documentElement.dataset.theme = dark ? "light" : "dark";
  });

  window.addEventListener("hashchange", readAddress);
  readAddress();
  unpack().catch(() => {
    document.getElementById("problem").textContent = "This browser cannot unpack the details of the tests (it needs DecompressionStream, in all browsers since 2023). The table is complete.";
  });
})();
