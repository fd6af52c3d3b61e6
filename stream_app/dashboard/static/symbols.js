// The table of symbols: the server sorts, filters and sends the one page that is looked at.

import { DataTable } from "./datatable.js";
import { byId, element, mark, say, show } from "./dom.js";
import { count, price, signed, span, fixed, signedPercent } from "./format.js";

const typingMs = 250;

export class Symbols {
  constructor(link) {
    this.link = link;
    this.behindMs = 0;
    this.heads = {};
    this.table = new DataTable(byId("symbol-table"), [
      { head: this.head("symbol", "Symbol"), class: "name", text: (row) => row.symbol, link: (row) => link.to({ symbol: row.symbol }), whole: true },
      { head: this.head("state", "State"), class: "state", text: (row) => row.state, level: (row) => row.level, whole: true },
      { head: this.head("price", "Price"), number: true, text: (row) => price(row.price) },
      { head: this.head("move", "Move bp"), number: true, text: (row) => signed(row.move_bp) },
      { head: this.head("skill", "Skill"), number: true, text: (row) => signedPercent(row.skill) },
      { head: this.head("width", "Width bp"), number: true, text: (row) => fixed(row.width_bp, 1) },
      { head: this.head("answered", "Ago"), number: true, text: (row) => (row.answered_ms === null ? "–" : span((this.now() - row.answered_ms) / 1000)) },
    ]);
    this.listen();
  }

  now() {
    return Date.now() - this.behindMs;
  }

  head(sort, title) {
    const button = element("button", { type: "button" }, title);
    button.addEventListener("click", () => {
      const { sort: now, desc } = this.link.now;
      this.link.go({ sort, desc: now === sort && !desc ? "1" : "", page: "0" });
    });
    this.heads[sort] = button;
    return button;
  }

  listen() {
    const contains = byId("contains");
    let typing;
    contains.addEventListener("input", () => {
      clearTimeout(typing);
      typing = setTimeout(() => this.link.go({ filter: contains.value, page: "0" }, { replace: true }), typingMs);
    });
    byId("filter").addEventListener("submit", (event) => event.preventDefault());
    byId("only-problems").addEventListener("change", (event) => this.link.go({ problems: event.target.checked ? "1" : "", page: "0" }));
    byId("page-back").addEventListener("click", () => this.link.go({ page: String(this.page - 1) }));
    byId("page-on").addEventListener("click", () => this.link.go({ page: String(this.page + 1) }));
    byId("symbol-table").addEventListener("click", (event) => {
      const anchor = event.target.closest("a");
      if (!anchor || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
      event.preventDefault();
      this.link.go({ symbol: anchor.textContent });
    });
  }

  showLink(now) {
    if (document.activeElement !== byId("contains")) byId("contains").value = now.filter;
    byId("only-problems").checked = now.problems === "1";
    for (const [sort, button] of Object.entries(this.heads)) {
      mark(button.parentElement, "aria-sort", now.sort === sort ? (now.desc ? "descending" : "ascending") : null);
    }
  }

  write(table) {
    this.page = table.page;
    const focused = document.activeElement?.matches("#symbol-table td a") ? document.activeElement.textContent : null;
    this.table.write(table.rows, (line, row) => mark(line, "aria-current", row.symbol === this.link.now.symbol ? "true" : null));
    this.follow(focused);
    say(byId("matches"), table.matches === table.symbols ? count(table.symbols) : `${count(table.matches)} of ${count(table.symbols)}`);
    say(byId("page-number"), `Page ${table.page + 1} of ${table.pages}`);
    show(byId("pages"), table.pages > 1);
    show(byId("symbols-none"), !table.rows.length);
    say(byId("symbols-none"), table.symbols ? "No symbol is like that." : "The first one comes with the first tick.");
    byId("page-back").disabled = table.page === 0;
    byId("page-on").disabled = table.page + 1 >= table.pages;
    if (!this.link.now.symbol && table.rows.length) this.link.go({ symbol: table.rows[0].symbol }, { replace: true });
  }
  // Rows are written in place, so the focus follows its symbol to another row.
  follow(symbol) {
    if (symbol === null || document.activeElement.textContent === symbol) return;
    [...byId("symbol-table").querySelectorAll("td a")].find((anchor) => anchor.textContent === symbol)?.focus({ preventScroll: true });
  }
}
