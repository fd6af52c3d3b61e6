// Charts by plotly.js, drawn when they are in sight, in the colours of style.css.

import { element } from "./dom.js";

const still = window.matchMedia("(prefers-reduced-motion: reduce)");
const slowMs = 1000;
const charts = new Set();
let loading = null;

// Null if it did not come, as while the dashboard starts again: the next news asks for it again.
function plotly() {
  loading ??= new Promise((done) => {
    const script = element("script", { src: "/assets/plotly.min.js" });
    script.addEventListener("load", () => done(window.Plotly));
    script.addEventListener("error", () => {
      script.remove();
      loading = null;
      done(null);
    });
    document.head.append(script);
  });
  return loading;
}

const probe = element("span", { hidden: "" });
document.body.append(probe);

export function colour(name, alpha = 1) {
  probe.style.color = `var(--${name})`;
  const found = getComputedStyle(probe).color;
  return alpha === 1 ? found : found.replace("rgb(", "rgba(").replace(")", `, ${alpha})`);
}

function axis(given = {}) {
  return {
    gridcolor: colour("grid"), zerolinecolor: colour("line"), linecolor: colour("line"),
    automargin: true, ticks: "", ...(given.type === "date" && { title: { text: "UTC", standoff: 4 } }), ...given,
  };
}

export class Chart {
  constructor(node) {
    this.node = node;
    this.seen = false;
    this.drawnAt = 0;
    charts.add(this);
    new IntersectionObserver((entries) => {
      this.seen = entries.at(-1).isIntersecting;
      this.request();
    }, { rootMargin: "200px" }).observe(node);
  }

  // make() gives {traces, layout, label} when the chart is drawn, not before.
  draw(make) {
    this.make = make;
    this.request();
  }

  // Nothing is there to draw: what was asked for and is not drawn yet is left out.
  withdraw() {
    this.make = null;
  }

  request() {
    if (!this.make || !this.seen || document.hidden || this.waiting) return;
    this.waiting = true;
    const wait = still.matches ? Math.max(0, this.drawnAt + slowMs - performance.now()) : 0;
    setTimeout(() => requestAnimationFrame(() => this.now()), wait);
  }

  async now() {
    try {
      const library = await plotly();
      if (!library || !this.make) return;
      const { traces, layout, label } = this.make();
      this.node.setAttribute("role", "img");
      this.node.setAttribute("aria-label", label);
      const { xaxis, yaxis, ...rest } = layout;
      await library.react(this.node, traces, {
        margin: { l: 8, r: 8, t: 8, b: 8 }, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
        font: { family: "system-ui, sans-serif", size: 12, color: colour("quiet") },
        hoverlabel: { bgcolor: colour("panel"), bordercolor: colour("line"), font: { color: colour("text") } },
        legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", font: { color: colour("text") } },
        xaxis: axis(xaxis), yaxis: axis(yaxis), uirevision: "kept", ...rest,
      }, { displayModeBar: false, responsive: true, scrollZoom: false });
      this.drawnAt = performance.now();
    } finally {
      this.waiting = false;
    }
  }
}

export function drawAll() {
  for (const chart of charts) chart.request();
}

document.addEventListener("visibilitychange", drawAll);
