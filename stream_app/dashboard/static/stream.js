// One stream of server-sent events for the page. The browser comes back by itself, with the id of
// the last event; where the server refused it, this does.

const names = ["health", "table", "history", "answer", "about", "retrains", "letters", "group"];
const againMs = 5000;
const stalledMs = 6000;

export class Stream {
  constructor(take, tell) {
    this.take = take;
    this.tell = tell;
    this.last = 0;
    setInterval(() => this.look(), 1000);
  }

  open(query) {
    clearTimeout(this.again);
    this.source?.close();
    this.query = query;
    const source = new EventSource(`/events?${query}`);
    this.source = source;
    for (const name of names) {
      source.addEventListener(name, (event) => {
        this.last = Date.now();
        this.tell("live");
        this.take(name, JSON.parse(event.data));
      });
    }
    source.addEventListener("error", () => {
      this.tell("lost");
      if (source.readyState === EventSource.CLOSED && source === this.source) {
        this.again = setTimeout(() => this.open(this.query), againMs);
      }
    });
  }

  look() {
    if (this.source?.readyState === EventSource.OPEN && this.last && Date.now() - this.last > stalledMs) this.tell("stalled");
  }
}
