// The address of the page says what it shows: symbol, view, and the page of the table.

const defaults = { symbol: "", view: "live", sort: "symbol", desc: "", filter: "", problems: "", page: "0" };

function read() {
  const query = new URLSearchParams(location.search);
  return Object.fromEntries(Object.entries(defaults).map(([name, value]) => [name, query.get(name) ?? value]));
}

export class Link {
  constructor(changed) {
    this.now = read();
    this.changed = changed;
    window.addEventListener("popstate", () => {
      this.now = read();
      this.changed(this.now);
    });
  }

  // The address with these changes; the page of the table begins again unless it is what changes.
  to(changes) {
    const wanted = { ...this.now, ...changes };
    const query = new URLSearchParams(Object.entries(wanted).filter(([name, value]) => value !== defaults[name]));
    return `${location.pathname}${query.size ? `?${query}` : ""}`;
  }

  go(changes, { replace = false } = {}) {
    const address = this.to(changes);
    this.now = { ...this.now, ...changes };
    history[replace ? "replaceState" : "pushState"]({}, "", address);
    this.changed(this.now);
  }

  query() {
    return new URLSearchParams(this.now).toString();
  }
}
