// A symbol's price with what is predicted ahead of it and what came true behind it.

import { Chart, colour } from "./charts.js";
import { DataTable } from "./datatable.js";
import { byId, element, say, show } from "./dom.js";
import { basisPoints, clock, moment, price, signed, span, stated, tiny } from "./format.js";

const pointsAHorizon = 60;
const horizonsBack = 2;
const coneSteps = 24;
const rowsInTable = 40;

export class Price {
  constructor() {
    this.chart = new Chart(byId("price-chart"));
    this.table = new DataTable(byId("price-table"), [
      { title: "Time (UTC)", text: (row) => moment(row.ts) },
      { title: "Price", number: true, text: (row) => price(row.close) },
      { title: "For (UTC)", text: (row) => moment(row.target) },
      { title: "Predicted", number: true, text: (row) => price(row.predicted) },
      { title: "From", number: true, text: (row) => price(row.outer_low) },
      { title: "To", number: true, text: (row) => price(row.outer_high) },
    ]);
    byId("price-table").closest("details").addEventListener("toggle", () => this.writeTable());
    this.columns = null;
    this.answer = null;
  }

  begin(symbol, view) {
    this.symbol = symbol;
    this.view = view;
    this.columns = null;
    this.answer = null;
    say(byId("price-title"), symbol || "Price and prediction");
    this.write();
  }

  takeHistory(history) {
    if (history.symbol !== this.symbol || history.view !== this.view) return;
    this.columns = history.columns ?? null;
    this.known = history.known;
    this.write();
  }

  takeAnswer(answer) {
    if (answer.symbol !== this.symbol) return;
    this.answer = answer;
    if (this.view === "live") this.append(answer);
    this.write();
  }

  // As the server thins its points out.
  append(answer) {
    const kept = (this.columns ??= { ts: [], close: [], target: [], predicted: [], inner_low: [], inner_high: [], outer_low: [], outer_high: [] });
    if (answer.degraded.some((reason) => reason.startsWith("late tick"))) return;
    const names = Object.keys(kept);
    const last = kept.ts.length - 1;
    if (last >= 0 && answer.ts < kept.ts[last]) for (const name of names) kept[name].length = 0;
    else if (last >= 1 && kept.ts[last] - kept.ts[last - 1] < (1000 * answer.horizon_s) / pointsAHorizon) for (const name of names) kept[name].pop();
    const inner = answer.intervals.at(0) ?? [null, null, null];
    const outer = answer.intervals.at(-1) ?? [null, null, null];
    const row = { ts: answer.ts, close: answer.last_price, target: answer.target_ts, predicted: answer.prediction,
      inner_low: inner[1], inner_high: inner[2], outer_low: outer[1], outer_high: outer[2] };
    for (const name of names) kept[name].push(row[name]);
    const from = answer.ts - 1000 * answer.horizon_s * (horizonsBack + 1);
    while (kept.ts[0] < from) for (const name of names) kept[name].shift();
  }

  write() {
    this.writeReadout();
    const length = this.columns?.ts.length ?? 0;
    say(byId("price-note"), this.note(length));
    show(this.chart.node, length > 0);
    show(byId("price-table").closest("details"), length > 0);
    if (length > 0) this.chart.draw(() => this.picture());
    else this.chart.withdraw();
    this.writeTable();
  }

  note(length) {
    if (!this.symbol) return "No symbol is known yet: the first one comes with the first tick.";
    if (!length) return this.view === "live" ? "No answer to a tick of this symbol is among the newest ones." : "No bar of this symbol has closed yet.";
    if (this.answer && !this.answer.intervals.length) return "Predictions carry no intervals yet, so there is no cone.";
    return "The cone ends in the stated intervals; on the way there it grows with the square root of time.";
  }

  writeReadout() {
    const answer = this.answer;
    const items = [];
    if (answer) {
      const move = basisPoints(answer.prediction, answer.last_price);
      items.push([`Price at ${clock(answer.ts)} UTC`, price(answer.last_price)]);
      items.push([`Predicted for ${clock(answer.target_ts)}, ${span(answer.horizon_s)} later`, `${price(answer.prediction, answer.last_price)} (${signed(move)} bp)`]);
      const outer = answer.intervals.at(-1);
      if (outer) items.push([`${stated(outer[0])} interval`, `${price(outer[1], answer.last_price)} to ${price(outer[2], answer.last_price)}`]);
      if (answer.shrinkage !== null) items.push(["Shrinkage", answer.shrinkage.toFixed(2)]);
    }
    const list = byId("readout");
    while (list.children.length > items.length) list.lastElementChild.remove();
    while (list.children.length < items.length) list.append(element("div", {}, element("dt"), element("dd")));
    items.forEach(([name, value], at) => {
      say(list.children[at].firstElementChild, name);
      say(list.children[at].lastElementChild, value);
    });
    const reasons = answer?.degraded ?? [];
    show(byId("degraded"), reasons.length > 0);
    say(byId("degraded"), reasons.length ? `Weaker than usual: ${reasons.join("; ")}` : "");
  }

  writeTable() {
    if (!byId("price-table").closest("details").open) return;
    const kept = this.columns;
    const rows = kept ? kept.ts.map((_, at) => Object.fromEntries(Object.keys(kept).map((name) => [name, kept[name][at]]))) : [];
    this.table.write(rows.slice(-rowsInTable).reverse());
  }

  picture() {
    const kept = this.columns;
    const answer = this.answer;
    const now = Math.max(answer?.ts ?? 0, kept.ts.at(-1));
    const horizonMs = answer ? answer.target_ts - answer.ts : 0;
    const from = this.view === "live" ? now - horizonsBack * horizonMs : kept.ts[0];
    const came = kept.target.map((target, at) => at).filter((at) => kept.target[at] !== null && kept.target[at] <= now && kept.predicted[at] !== null);
    const band = came.filter((at) => kept.outer_low[at] !== null);
    const times = band.map((at) => kept.target[at]);
    const traces = [{
      name: "interval before", x: [...times, ...times.toReversed()],
      y: [...band.map((at) => kept.outer_low[at]), ...band.toReversed().map((at) => kept.outer_high[at])],
      fill: "toself", fillcolor: colour("published", 0.1), line: { width: 0 }, mode: "lines", hoverinfo: "skip", showlegend: band.length > 0,
    }, {
      name: "predicted before", x: came.map((at) => kept.target[at]), y: came.map((at) => kept.predicted[at]),
      mode: "lines", line: { color: colour("published"), width: 1.5, dash: "dot" },
    }, {
      name: "price", x: kept.ts, y: kept.close, mode: "lines", line: { color: colour("price"), width: 2 },
    }];
    if (answer) traces.push(...cone(answer));
    return {
      traces,
      layout: {
        xaxis: { type: "date", range: [from, now + 1.05 * (horizonMs || 0)], fixedrange: true },
        yaxis: { fixedrange: true, separatethousands: true, exponentformat: kept.close.at(-1) < tiny ? "e" : "none", side: "right" },
        shapes: [{ type: "line", x0: now, x1: now, yref: "paper", y0: 0, y1: 1, line: { color: colour("line"), width: 1 } }],
        hovermode: "x unified",
      },
      label: answer
        ? `${answer.symbol}: price ${price(answer.last_price)}, predicted ${price(answer.prediction, answer.last_price)} for ${clock(answer.target_ts)} UTC`
        : `${this.symbol}: ${kept.ts.length} bars up to ${moment(kept.ts.at(-1))} UTC`,
    };
  }
}

// From the last price, opening with the square root of time, to what is stated for the target.
function cone(answer) {
  // Closer together where the cone opens.
  const steps = Array.from({ length: coneSteps + 1 }, (_, at) => (at / coneSteps) ** 2);
  const times = steps.map((part) => answer.ts + part * (answer.target_ts - answer.ts));
  const middle = (part) => answer.last_price + part * (answer.prediction - answer.last_price);
  const edge = (end) => steps.map((part) => middle(part) + Math.sqrt(part) * (end - answer.prediction));
  const traces = answer.intervals.toReversed().map(([level, low, high]) => ({
    name: `${stated(level)} ahead`, x: [...times, ...times.toReversed()], y: [...edge(low), ...edge(high).toReversed()],
    fill: "toself", fillcolor: colour("published", 0.16), line: { width: 0.6, color: colour("published", 0.5) }, mode: "lines", hoverinfo: "skip",
  }));
  traces.push({
    name: "prediction", x: [answer.ts, answer.target_ts], y: [answer.last_price, answer.prediction], mode: "lines+markers",
    line: { color: colour("published"), width: 2, dash: "dash" }, marker: { size: [0, 9], symbol: "diamond", color: colour("published") },
  });
  return traces;
}
