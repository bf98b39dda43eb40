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

  function draw(test) {
    const place = test.querySelector(".plots");
    if (!place || place.childElementCount) return;
    const wanted = plots[Number(test.dataset.index)];
    for (const plot of wanted) drawPlot(place.appendChild(document.createElement("div")), plot);
    test.dataset.drawn = wanted.length;
  }

  // Commands in an explanation stand on lines of their own: each gets a button that copies it.
  function offerCommands(test) {
    for (const text of test.querySelectorAll("pre:not([data-commands])")) {
      const commands = text.textContent.split("\n").map((line) => line.trim()).filter((line) => /^(pytest|perfguard|git) /.test(line));
      text.dataset.commands = commands.length;
      for (const command of commands) {
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

  for (const test of tests) {
    test.addEventListener("toggle", () => {
      if (!test.open) return;
      draw(test);
      offerCommands(test);
    });
  }

  document.getElementById("theme").addEventListener("click", () => {
    const dark = document.documentElement.dataset.theme
      ? document.documentElement.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    document.documentElement.dataset.theme = dark ? "light" : "dark";
  });

  window.addEventListener("hashchange", readAddress);
  readAddress();
})();
