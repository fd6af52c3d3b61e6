// Each member's answer, weight, shrinkage, version and age.

import { DataTable } from "./datatable.js";
import { byId, show } from "./dom.js";
import { basisPoints, fixed, price, signed, span } from "./format.js";

export class Members {
  constructor() {
    this.table = new DataTable(byId("member-table"), [
      { title: "Model", text: (row) => row.name },
      { title: "Answer", number: true, text: (row) => price(row.prediction, row.last) },
      { title: "Move bp", number: true, text: (row) => signed(basisPoints(row.prediction, row.last)) },
      { title: "Weight", text: (row) => fixed(row.weight), share: (row) => row.weight ?? 0 },
      { title: "Shrinkage", number: true, text: (row) => fixed(row.shrinkage) },
      { title: "Age of data", number: true, text: (row) => span(row.age_s) },
      { title: "Version", text: (row) => row.version },
    ]);
  }

  write(answer) {
    show(byId("members-none"), !answer);
    show(byId("member-table"), Boolean(answer));
    if (!answer) return;
    const last = answer.last_price;
    const rows = Object.entries(answer.members).map(([name, member]) => ({ name, last, ...member }));
    rows.push({ name: "published", last, prediction: answer.prediction, weight: null, shrinkage: answer.shrinkage, age_s: null,
      version: answer.bias_correction ? `bias correction ${signed(answer.bias_correction, 6)}` : "" });
    this.table.write(rows);
  }
}
