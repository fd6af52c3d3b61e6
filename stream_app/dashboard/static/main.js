// Wires the stream to the parts of the page.

import { drawAll } from "./charts.js";
import { byId, mark, say } from "./dom.js";
import { Link } from "./link.js";
import { Members } from "./members.js";
import { Group, Health, Letters, Retrains, Versions } from "./operations.js";
import { Price } from "./price.js";
import { Scores } from "./scores.js";
import { Stream } from "./stream.js";
import { Symbols } from "./symbols.js";
import { themes } from "./theme.js";

const words = { live: "Live", lost: "Connection lost, trying again", stalled: "Nothing comes: the dashboard does not answer" };
const health = new Health();
const price = new Price();
const members = new Members();
const scores = new Scores();
const retrains = new Retrains();
const versions = new Versions();
const letters = new Letters();
const group = new Group();
const link = new Link(show);
const symbols = new Symbols(link);
const stream = new Stream(take, (state) => say(byId("connection"), words[state]));
let about = null;
let inputs = null;
let models = []; // of the newest answer

function take(name, data) {
  if (name === "health") {
    symbols.behindMs = Date.now() - data.now_ms;
    health.write(data);
    if (JSON.stringify(inputs) !== JSON.stringify(data.inputs)) {
      inputs = data.inputs;
      writeAbout();
    }
  } else if (name === "table") symbols.write(data);
  else if (name === "history") price.takeHistory(data);
  else if (name === "answer") {
    price.takeAnswer(data);
    members.write(data);
    const named = Object.keys(data.members);
    if (String(named) !== String(models)) {
      models = named;
      writeAbout();
    }
  } else if (name === "about") {
    about = data;
    writeAbout();
  } else if (name === "retrains") retrains.write(data);
  else if (name === "letters") letters.write(data);
  else if (name === "group") group.write(data);
}

function writeAbout() {
  scores.write(about, inputs, models);
  versions.write(about, inputs);
}

function show(now) {
  if (now.symbol !== price.symbol || now.view !== price.view) {
    if (now.symbol !== price.symbol) {
      about = null;
      models = [];
      members.write(null);
      writeAbout();
    }
    price.begin(now.symbol, now.view);
  }
  for (const button of document.querySelectorAll("[data-view]")) mark(button, "aria-pressed", String(button.dataset.view === now.view));
  symbols.showLink(now);
  stream.open(link.query());
}

for (const button of document.querySelectorAll("[data-view]")) {
  button.addEventListener("click", () => link.go({ view: button.dataset.view }));
}
themes(drawAll);
show(link.now);
