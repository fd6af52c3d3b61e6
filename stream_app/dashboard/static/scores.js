// What the forecasts were worth: calibration, drift, and skill against the last price.

import { Chart, colour } from "./charts.js";
import { DataTable } from "./datatable.js";
import { byId, say, show } from "./dom.js";
import { count, fixed, moment, percent, signedPercent, stated } from "./format.js";

const band = 1.96;
const spans = ["week", "day", "month"]; // the first of them that has outcomes is drawn

function reason(inputs, about) {
  if (inputs && !inputs.scores) return "No live scores yet: there is no topic of scores.";
  if (!about) return "No symbol is known yet.";
  if (about.scored_ts === null) return "No outcome of this symbol is known yet: the first one comes a horizon after a bar with a forecast.";
  return "The first figures come with the first outcome after the next full hour of event time.";
}

// How many outcomes a span has.
const outcomes = (about, span) => about?.running[span]?.published?.n ?? 0;
const drawn = (about, figures) => spans.find((span) => outcomes(about, span) > 0 && about[figures][span]);

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
      { title: "Over", text: (row) => `a ${row.span}` },
      { title: "Stated", number: true, text: (row) => stated(row.level) },
      { title: "Realised", number: true, text: (row) => percent(row.inside) },
      { title: "± by chance", number: true, text: (row) => percent(row.chance) },
      { title: "Outcomes", number: true, text: (row) => count(row.n) },
    ]);
    this.driftTable = new DataTable(byId("drift-table"), [
      { title: "Detector", text: (row) => row.detector },
      { title: "Alarms in 30 days", number: true, text: (row) => count(row.alarms) },
      { title: "By chance alone", number: true, text: (row) => (Number.isInteger(row.by_chance) ? count(row.by_chance) : fixed(row.by_chance)) },
      { title: "Newest (UTC)", text: (row) => moment(row.newest) },
      { title: "Times the usual", number: true, text: (row) => fixed(row.ratio) },
    ]);
    this.skillTable = new DataTable(byId("skill-table"), [
      { title: "Forecast", text: (row) => row.name },
      { title: "Over", text: (row) => row.span },
      { title: "Outcomes", number: true, text: (row) => count(row.n) },
      { title: "MSE skill", number: true, text: (row) => signedPercent(row.mse_skill) },
      { title: "± band", number: true, text: (row) => percent(row.band, 2) },
      { title: "MAE skill", number: true, text: (row) => signedPercent(row.mae_skill) },
      { title: "Sign right", number: true, text: (row) => percent(row.hit_rate) },
      { title: "Clark-West t", number: true, text: (row) => fixed(row.cw_t) },
    ]);
  }

  // models: the names of those that answer.
  write(about, inputs, models) {
    this.writeDrift(about, inputs);
    this.writeCalibration(about, inputs);
    this.writeSkill(about, inputs, models);
  }

  writeCalibration(about, inputs) {
    const span = drawn(about, "coverage");
    const all = Object.entries(about?.coverage ?? {}).flatMap(([over, shares]) =>
      Object.entries(shares).map(([stated, inside]) => {
        const level = Number(stated);
        const n = outcomes(about, over);
        // What a fair coin of the stated share shows by chance: 1.96 standard errors of a proportion.
        return { span: over, level, inside, n, chance: band * Math.sqrt((level * (1 - level)) / n) };
      }));
    const rows = all.filter((row) => row.span === span);
    part("calibration", rows.length > 0, drawn(about, "running") ? "The bars of the known outcomes carry no intervals." : reason(inputs, about));
    this.calibrationTable.write(all);
    if (!rows.length) return;
    say(byId("calibration-note"), `How often the outcome lay in its interval, over a ${span}: ${count(rows[0].n)} outcomes. On the line, intervals mean what `
      + "they say; below it they are too narrow. The bars are what chance does to that many outcomes, were they independent.");
    this.calibration.draw(() => ({
      traces: [
        { x: [0, 1], y: [0, 1], mode: "lines", line: { color: colour("quiet"), dash: "dash", width: 1 }, hoverinfo: "skip", showlegend: false },
        {
          x: rows.map((row) => row.level), y: rows.map((row) => row.inside), mode: "markers", type: "scatter", showlegend: false,
          error_y: { type: "data", array: rows.map((row) => row.chance), color: colour("quiet"), thickness: 1.5, width: 5 },
          marker: { size: 10, color: colour("published") }, hovertemplate: "%{x:~p} stated, %{y:.1%} realised<extra></extra>",
        },
      ],
      layout: {
        xaxis: { title: { text: "stated" }, range: [0, 1.05], dtick: 0.25, tickformat: ".0%", fixedrange: true },
        yaxis: { title: { text: "realised" }, range: [0, 1.05], dtick: 0.25, tickformat: ".0%", fixedrange: true },
      },
      label: `Calibration: ${rows.map((row) => `${stated(row.level)} stated, ${percent(row.inside)} realised`).join("; ")}`,
    }));
  }

  writeDrift(about, inputs) {
    const rows = about?.drift ?? [];
    const none = inputs && !inputs.drift ? "There is no topic of drift." : reason(inputs, about);
    const told = rows.length > 0 && !(inputs && !inputs.drift);
    show(byId("drift-none"), !told);
    say(byId("drift-none"), none);
    show(byId("drift-note"), told);
    show(byId("drift-table"), told);
    this.driftTable.write(told ? rows : []);
    if (!told) return;
    const quiet = rows.every((row) => row.newest === null);
    say(byId("drift-note"), (quiet ? "No alarm yet. `stream-app drift` makes them. " : "")
      + "Errors and the filter's innovations, over the volatility forecast. A detector is worth something where it alarms more often than "
      + "by chance alone, and less often than one that always does.");
  }

  writeSkill(about, inputs, models) {
    const span = drawn(about, "running");
    const n = outcomes(about, span);
    const rows = Object.entries(about?.running ?? {}).flatMap(([over, found]) =>
      Object.entries(found).filter(([name]) => name !== "last_price")
        .map(([name, figures]) => ({ name, span: `a ${over}`, ...figures, band: figures.mse_skill_se == null ? null : band * figures.mse_skill_se })));
    const kept = rows.filter((row) => row.span === `a ${span}` && row.band !== null); // fewer outcomes tell nothing
    const silent = models.filter((name) => !rows.some((row) => row.name === name));
    const enough = kept.some((row) => row.name === "published");
    part("skill", enough, n ? `${count(n)} outcomes so far: too few to tell skill from chance.` : reason(inputs, about));
    this.skillTable.write(rows);
    show(byId("skill-table").closest("details"), rows.length > 0);
    if (!enough) return;
    say(byId("skill-note"), `Share of the last price's squared error that a forecast takes away, over a ${span}: ${count(n)} outcomes, the newest known at ${moment(about.scored_ts)}. `
      + "The band is 1.96 standard errors (Newey-West up to the horizon, and no less than with even weights): where it crosses 0, chance may be all there is. Models are scored before their shrinkage."
      + (silent.length ? ` No outcome of ${silent.join(", ")} is known yet.` : "")
      + (about.harm >= 100 ? ` The published forecasts do harm (e-value ${about.harm.toPrecision(3)}).` : ""));
    this.skill.draw(() => ({
      traces: [{
        x: kept.map((row) => row.mse_skill), y: kept.map((row) => row.name), mode: "markers", type: "scatter", showlegend: false,
        error_x: { type: "data", array: kept.map((row) => row.band), color: colour("quiet"), thickness: 1.5, width: 5 },
        marker: { size: 10, color: kept.map((row) => colour(row.name)) },
        hovertemplate: "%{y}: %{x:.2%}<extra></extra>",
      }],
      layout: {
        xaxis: {
          title: { text: "← worse | better →" }, tickformat: "~%", nticks: 5, tickangle: 0, rangemode: "tozero",
          zeroline: true, zerolinecolor: colour("text"), zerolinewidth: 1.5, fixedrange: true,
        },
        yaxis: { autorange: "reversed", fixedrange: true },
      },
      label: `Skill: ${kept.map((row) => `${row.name} ${signedPercent(row.mse_skill)}, plus or minus ${percent(row.band, 2)}`).join("; ")}`,
    }));
  }
}
