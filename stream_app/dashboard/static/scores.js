// What the forecasts were worth: calibration, and skill against the last price.

import { Chart, colour } from "./charts.js";
import { DataTable } from "./datatable.js";
import { byId, say, show } from "./dom.js";
import { count, fixed, moment, percent, signedPercent } from "./format.js";

const windows = ["day", "week", "month"];
const symbols = { day: "circle", week: "square", month: "diamond" };
const colours = { day: "published", week: "price", month: "random_forest" };

function reason(inputs, about) {
  if (inputs && !inputs.scores) return "No live scores yet: topics.yaml has no topic with the role scores.";
  if (!about) return "No symbol is chosen.";
  return "No outcome of this symbol is known yet: the first one comes a horizon after a bar with a forecast.";
}

function part(name, visible, text) {
  say(byId(`${name}-none`), text);
  show(byId(`${name}-none`), !visible);
  show(byId(`${name}-chart`), visible);
  show(byId(`${name}-note`), visible);
  show(byId(`${name}-table`).closest("details"), visible);
}

export class Scores {
  constructor() {
    this.calibration = new Chart(byId("calibration-chart"));
    this.skill = new Chart(byId("skill-chart"));
    this.calibrationTable = new DataTable(byId("calibration-table"), [
      { title: "Window", text: (row) => row.window },
      { title: "Outcomes", number: true, text: (row) => count(row.n) },
      { title: "Stated", number: true, text: (row) => percent(row.stated, 0) },
      { title: "Realised", number: true, text: (row) => percent(row.realised) },
    ]);
    this.skillTable = new DataTable(byId("skill-table"), [
      { title: "Forecast", text: (row) => row.name },
      { title: "Window", text: (row) => row.window },
      { title: "Outcomes", number: true, text: (row) => count(row.n) },
      { title: "MSE skill", number: true, text: (row) => signedPercent(row.mse_skill) },
      { title: "± band", number: true, text: (row) => percent(row.band, 2) },
      { title: "MAE skill", number: true, text: (row) => signedPercent(row.mae_skill) },
      { title: "Sign right", number: true, text: (row) => percent(row.hit_rate) },
      { title: "Clark-West t", number: true, text: (row) => fixed(row.cw_t) },
    ]);
  }

  write(about, inputs) {
    this.writeCalibration(about, inputs);
    this.writeSkill(about, inputs);
  }

  writeCalibration(about, inputs) {
    const rows = windows.flatMap((window) => {
      const running = about?.running?.[window];
      return Object.entries(running?.coverage ?? {})
        .filter(([, realised]) => realised !== null)
        .map(([stated, realised]) => ({ window, n: running.n, stated: Number(stated), realised }));
    });
    part("calibration", rows.length > 0, reason(inputs, about));
    this.calibrationTable.write(rows);
    if (!rows.length) return;
    this.calibration.draw(() => ({
      traces: [
        { name: "as stated", x: [0, 1], y: [0, 1], mode: "lines", line: { color: colour("quiet"), dash: "dash", width: 1 }, hoverinfo: "skip" },
        ...windows.map((window) => [window, rows.filter((row) => row.window === window)]).filter(([, own]) => own.length).map(([window, own]) => ({
          name: `${window}, ${count(own[0].n)} outcomes`, x: own.map((row) => row.stated), y: own.map((row) => row.realised), mode: "markers",
          marker: { size: 10, symbol: symbols[window], color: colour(colours[window]) },
        })),
      ],
      layout: {
        xaxis: { title: { text: "stated" }, range: [0, 1], tickformat: ".0%", fixedrange: true },
        yaxis: { title: { text: "realised" }, range: [0, 1.02], tickformat: ".0%", fixedrange: true },
      },
      label: `Calibration: ${rows.map((row) => `${row.window} ${percent(row.stated, 0)} stated, ${percent(row.realised)} realised`).join("; ")}`,
    }));
  }

  writeSkill(about, inputs) {
    const kept = Object.entries(about?.skill ?? {}).filter(([, found]) => found.skill !== null);
    const enough = kept.length > 0;
    const few = about?.outcomes ? `${count(about.outcomes)} outcomes so far: too few to tell skill from chance.` : reason(inputs, about);
    part("skill", enough, few);
    const running = windows.flatMap((window) => Object.entries(about?.running?.[window]?.subjects ?? {})
      .filter(([name]) => name !== "last_price")
      .map(([name, found]) => ({ name, window, n: about.running[window].n, ...found, band: null })));
    this.skillTable.write([...kept.map(([name, found]) => ({ name, window: "kept", n: found.n, mse_skill: found.skill, band: found.band })), ...running]);
    show(byId("skill-table").closest("details"), enough || running.length > 0);
    if (!enough) return;
    const n = kept[0][1].n;
    say(byId("skill-note"), `Share of the last price's squared error that a forecast takes away, over the last ${count(n)} outcomes up to ${moment(about.scored_ts)}. `
      + "The band is 1.96 standard errors (Newey-West): where it crosses 0, chance may be all there is.");
    this.skill.draw(() => ({
      traces: [{
        x: kept.map(([, found]) => found.skill), y: kept.map(([name]) => name), mode: "markers", type: "scatter", showlegend: false,
        error_x: { type: "data", array: kept.map(([, found]) => found.band), color: colour("quiet"), thickness: 1.5, width: 5 },
        marker: { size: 10, color: kept.map(([name]) => colour(name)) },
        hovertemplate: "%{y}: %{x:.2%}<extra></extra>",
      }],
      layout: {
        xaxis: { tickformat: ".1%", zeroline: true, zerolinecolor: colour("text"), zerolinewidth: 1.5, fixedrange: true },
        yaxis: { autorange: "reversed", fixedrange: true },
      },
      label: `Skill: ${kept.map(([name, found]) => `${name} ${signedPercent(found.skill)}, plus or minus ${percent(found.band, 2)}`).join("; ")}`,
    }));
  }
}
