// What operators see of all workers: health, retrains, versions, dead letters, partitions, lag.

import { Chart, colour } from "./charts.js";
import { DataTable } from "./datatable.js";
import { byId, element, mark, say, show } from "./dom.js";
import { clock, count, fixed, moment, span } from "./format.js";

const memberNames = ["kalman", "random_forest", "lightgbm", "lstm"];
const markers = { kalman: "circle", random_forest: "square", lightgbm: "diamond", lstm: "triangle-up" };

export class Health {
  write(health) {
    say(byId("overall"), health.sentence);
    mark(byId("overall"), "data-level", health.level);
    document.title = `${health.level === "ok" ? "" : `${health.sentence} · `}stream-app`;
    const list = byId("checks");
    while (list.children.length > health.checks.length) list.lastElementChild.remove();
    while (list.children.length < health.checks.length) list.append(element("div", {}, element("dt"), element("dd")));
    health.checks.forEach((check, at) => {
      const card = list.children[at];
      card.className = `check ${check.level}`;
      mark(card, "title", check.text); // a long one is cut after some lines
      mark(card.firstElementChild, "data-level", check.level);
      say(card.firstElementChild, check.name);
      say(card.lastElementChild, check.text);
    });
    const lines = [...health.problems];
    if (health.refused) lines.push(`${count(health.refused)} records are no message of their topic, the last: ${health.refused_last}`);
    if (health.left_out) lines.push("More symbols come than this page keeps; it shows the first ones.");
    const problems = byId("problems");
    show(problems, lines.length > 0);
    while (problems.children.length > lines.length) problems.lastElementChild.remove();
    while (problems.children.length < lines.length) problems.append(element("li"));
    lines.forEach((line, at) => say(problems.children[at], line));
  }
}

export class Retrains {
  constructor() {
    this.chart = new Chart(byId("retrain-chart"));
    this.table = new DataTable(byId("retrain-table"), [
      { title: "Ended (UTC)", text: (row) => moment(Date.parse(row.ended)) },
      { title: "State", text: (row) => row.state.replace("_", " "), level: (row) => (row.state !== "succeeded" ? "bad" : row.exceeded ? "warn" : "ok") },
      { title: "Trigger", text: (row) => row.trigger },
      { title: "Took", number: true, text: (row) => `${fixed(row.duration_s, 1)} s` },
      ...memberNames.map((name) => ({ title: name, number: true, text: (row) => `${fixed(row.models[name], 1)}${row.models[name] === undefined ? "" : " s"}` })),
      { title: "Rows", number: true, text: (row) => count(row.rows) },
      { title: "Symbols", number: true, text: (row) => count(row.symbols) },
      { title: "Waiting", number: true, text: (row) => count(row.waiting) },
      { title: "Rejected", number: true, text: (row) => count(row.rejected) },
      { title: "Worker", text: (row) => row.worker },
      { title: "Why", wrap: true, text: (row) => row.reasons.join("; ") },
    ]);
  }

  write(retrains) {
    const { cycles, running, target_s: target } = retrains;
    say(byId("retrain-running"), running.map((item) => `${item.worker} trains ${count(item.symbols)} symbols since ${clock(Date.parse(item.since))}`).join("; "));
    show(byId("retrains-none"), !cycles.length);
    show(this.chart.node, cycles.length > 0);
    show(byId("retrain-table").closest("details"), cycles.length > 0);
    this.table.write(cycles.toReversed());
    if (cycles.length) this.chart.draw(() => picture(cycles, target));
  }
}

function picture(cycles, target) {
  const ended = cycles.map((cycle) => Date.parse(cycle.ended));
  const failed = cycles.map((cycle, at) => at).filter((at) => cycles[at].state !== "succeeded");
  const traces = [{
    name: "whole cycle", x: ended, y: cycles.map((cycle) => cycle.duration_s), mode: "lines+markers",
    line: { color: colour("quiet"), width: 1, dash: "dot" }, marker: { color: colour("quiet"), size: 6, symbol: "line-ew-open" },
  }, ...memberNames.map((name) => ({
    name, x: ended, y: cycles.map((cycle) => cycle.models[name] ?? null), mode: "lines+markers",
    line: { color: colour(name), width: 1.5 }, marker: { size: 7, symbol: markers[name] },
  })), {
    name: "failed", x: failed.map((at) => ended[at]), y: failed.map((at) => cycles[at].duration_s), mode: "markers",
    marker: { symbol: "x", size: 12, color: colour("bad") }, showlegend: failed.length > 0,
  }, {
    name: `target ${target} s`, x: [ended[0], ended.at(-1)], y: [target, target], mode: "lines",
    line: { color: colour("target"), dash: "dash", width: 1.5 }, hoverinfo: "skip",
  }];
  const last = cycles.at(-1);
  return {
    traces,
    layout: { xaxis: { type: "date", fixedrange: true }, yaxis: { rangemode: "tozero", ticksuffix: " s", fixedrange: true }, hovermode: "x unified" },
    label: `Retrain durations of ${cycles.length} cycles; the last ${last.state} after ${fixed(last.duration_s, 1)} s of ${target} s`,
  };
}

export class Versions {
  constructor() {
    this.table = new DataTable(byId("version-table"), [
      { title: "Version", text: (row) => row.version },
      { title: "Serves", text: (row) => (row.serves ? "now" : "no more") },
      { title: "Since (UTC)", text: (row) => moment(Date.parse(row.since) || null) },
      { title: "By", text: (row) => (row.pinned ? `${row.by}, pinned` : row.by) },
      { title: "Why", wrap: true, text: (row) => row.why },
      { title: "Worker", text: (row) => row.worker },
    ]);
  }

  write(about, inputs) {
    const rows = (about?.versions ?? []).map((row, at) => ({ ...row, serves: at === 0 }));
    this.table.write(rows);
    show(byId("version-table"), rows.length > 0);
    show(byId("versions-none"), !rows.length);
    say(byId("versions-none"), about ? "No version of this symbol's models is known yet." : "No symbol is known yet.");
    const notes = [];
    if (inputs && !inputs.champions && rows.length) notes.push("From the retrain events: the topic of champions is missing.");
    const standing = about?.standing;
    if (standing && standing.state !== "trained") notes.push(`Training: ${standing.state}${standing.reason ? `, ${standing.reason}` : ""}.`);
    show(byId("versions-note"), notes.length > 0);
    say(byId("versions-note"), notes.join(" "));
  }
}

export class Letters {
  constructor() {
    this.reasons = new DataTable(byId("reason-table"), [
      { title: "Reason", text: (row) => row.reason },
      { title: "Letters", text: (row) => count(row.count), share: (row) => row.share },
    ]);
    this.newest = new DataTable(byId("letter-table"), [
      { title: "Written (UTC)", text: (row) => moment(row.written_ms) },
      { title: "Reason", text: (row) => row.reason },
      { title: "Detail", wrap: true, text: (row) => row.detail },
      { title: "Key", text: (row) => row.key ?? "none" },
      { title: "Value", wrap: true, text: (row) => row.value ?? "none" },
      { title: "Place", text: (row) => `${row.partition} / ${row.offset}` },
    ]);
  }

  write(letters) {
    const counts = Object.entries(letters.counts);
    const total = counts.reduce((sum, [, size]) => sum + size, 0);
    show(byId("letters-none"), !total);
    show(byId("letter-tables"), total > 0);
    say(byId("letter-count"), total ? `${count(letters.last_minute)} in the last minute, ${count(total)} read` : "");
    this.reasons.write(counts.map(([reason, size]) => ({ reason, count: size, share: size / counts[0][1] })));
    this.newest.write(letters.newest);
  }
}

export class Group {
  constructor() {
    this.chart = new Chart(byId("lag-chart"));
    this.lag = new DataTable(byId("lag-table"), [
      { title: "Time (UTC)", text: (row) => clock(row.at) },
      { title: "Ticks that wait", number: true, text: (row) => count(row.waiting) },
    ]);
    this.partitions = new DataTable(byId("partition-table"), [
      { title: "Partition", number: true, text: (row) => String(row.partition) },
      { title: "Answered to", number: true, text: (row) => count(row.committed) },
      { title: "Ends at", number: true, text: (row) => count(row.end) },
      { title: "Waiting", number: true, text: (row) => count(row.waiting) },
      { title: "Worker", text: (row) => row.worker ?? "–" },
    ], "Partitions of the ticks topic");
    this.workers = new DataTable(byId("worker-table"), [
      { title: "Worker", wrap: true, text: (row) => row.name },
      { title: "Host", text: (row) => row.host || "–" },
      { title: "Partitions", wrap: true, text: (row) => row.partitions?.join(", ") ?? "not told by this broker" },
    ], "Workers of the group");
  }

  write(group) {
    const { at_ms: times, waiting } = group.lag;
    const looked = times.length > 0;
    show(byId("group-none"), !looked);
    show(this.chart.node, looked);
    show(byId("lag-table").closest("details"), looked);
    say(byId("rate"), `${count(Math.round(group.per_second))} answers a second`);
    this.partitions.write(group.partitions);
    show(byId("partition-table"), looked);
    this.workers.write(group.workers ?? []);
    show(byId("worker-table"), (group.workers ?? []).length > 0);
    show(byId("workers-none"), looked && !(group.workers ?? []).length);
    say(byId("workers-none"), group.workers ? "No worker is in the group." : "The group is changing.");
    this.lag.write(times.slice(-40).map((at, place) => ({ at, waiting: waiting.slice(-40)[place] })).reverse());
    if (looked) {
      this.chart.draw(() => ({
        traces: [{ name: "ticks that wait", x: times, y: waiting, mode: "lines", fill: "tozeroy", line: { color: colour("price"), width: 1.5 }, fillcolor: colour("price", 0.15) }],
        layout: {
          xaxis: { type: "date", fixedrange: true }, showlegend: true,
          yaxis: { rangemode: "tozero", range: Math.max(...waiting) < 5 ? [0, 5] : undefined, fixedrange: true },
        },
        label: `Lag: ${count(waiting.at(-1))} ticks wait; at most ${count(Math.max(...waiting))} within ${span((times.at(-1) - times[0]) / 1000)}`,
      }));
    }
  }
}
