// A table that is written in place: a cell changes only where its text does.

import { element, mark, say } from "./dom.js";

export class DataTable {
  // columns: [{title, text(row), number, wrap, level(row), share(row), link(row), whole}]; whole: the text may be cut, and stands in a title
  constructor(table, columns, caption) {
    this.columns = columns;
    this.body = element("tbody");
    const heads = columns.map((column) =>
      element("th", { scope: "col", class: column.number ? "number" : null }, column.head ?? column.title));
    if (caption) table.append(element("caption", {}, caption));
    table.append(element("thead", {}, element("tr", {}, ...heads)), this.body);
  }

  write(rows, each = () => {}) {
    while (this.body.rows.length > rows.length) this.body.lastElementChild.remove();
    while (this.body.rows.length < rows.length) this.body.append(this.row());
    rows.forEach((row, number) => {
      const line = this.body.rows[number];
      this.columns.forEach((column, at) => this.cell(line.cells[at], column, row));
      each(line, row);
    });
  }

  row() {
    return element("tr", {}, ...this.columns.map((column) => {
      const classes = [column.number && "number", column.wrap && "wrap", column.class].filter(Boolean);
      const cell = element("td", { class: classes.join(" ") || null });
      if (column.share) cell.append(element("span", { class: "share", "aria-hidden": "true" }), element("span"));
      if (column.link) cell.append(element("a"));
      return cell;
    }));
  }

  cell(cell, column, row) {
    if (column.level) mark(cell, "data-level", column.level(row));
    const target = cell.lastElementChild ?? cell;
    if (column.share) cell.firstElementChild.style.width = `${Math.max(0, 5 * column.share(row)).toFixed(2)}rem`;
    if (column.link) mark(target, "href", column.link(row));
    if (column.whole) mark(cell, "title", column.text(row));
    say(target, column.text(row));
  }
}
