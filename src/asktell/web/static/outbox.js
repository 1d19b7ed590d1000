// What was done here and is not yet on the server: kept in this browser, sent in order, each until it is answered.

const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 15_000;

export class Outbox {
  // `sent(parcel, reply)`, `refused(parcel, message)` and `changed()` tell what became of it.
  constructor(key, proof, { sent, refused, changed }) {
    Object.assign(this, { key, proof, sent, refused, changed });
    this.parcels = this.#load();
    this.busy = false;
    this.trouble = "";
    this.pause = FIRST_PAUSE;
    window.addEventListener("online", () => this.#hurry());
  }

  get size() { return this.parcels.length; }

  // Labels that all this adds to those that the server knows of.
  get worth() { return this.parcels.reduce((sum, parcel) => sum + parcel.worth, 0); }

  // Whether something that is on its way decides about an item.
  holds(item, ...paths) {
    return this.parcels.some((parcel) => parcel.body.item === item && paths.includes(parcel.path));
  }

  push(path, body, worth = 0) {
    const since = Math.max(Date.now(), (this.parcels.at(-1)?.since ?? 0) + 1);
    const parcel = { path, body, worth, since, key: `${this.key}:${body.receipt ?? receipt()}` };
    this.parcels.push(parcel);
    this.#keep(parcel);
    this.changed();
    this.flush();
  }

  // Take back the last parcel if it is such an answer and has not left yet; whether it was.
  recall(item) {
    const last = this.parcels.at(-1);
    const waits = this.parcels.length > (this.busy ? 1 : 0) && last?.tries === undefined;
    if (!last || last.path !== "/api/answers" || last.body.item !== item || !waits) return false;
    this.#forget(this.parcels.pop());
    this.changed();
    return true;
  }

  async flush() {
    if (this.busy) return;
    this.busy = true;
    while (this.parcels.length && !(await this.#send(this.parcels[0]))) {
      this.changed();
      await this.#wait();
    }
    this.busy = false;
    this.changed();
    if (this.parcels.length) this.flush();
  }

  // Whether the parcel is done with.
  async #send(parcel) {
    parcel.tries = (parcel.tries ?? 0) + 1;
    let reply;
    try {
      reply = await fetch(parcel.path, {
        method: "POST",
        headers: { "Content-Type": "application/json", "X-CSRF-Token": this.proof },
        body: JSON.stringify(parcel.body),
        signal: AbortSignal.timeout(20_000),
      });
    } catch {
      this.trouble = "The server cannot be reached.";
      return false;
    }
    return this.#settle(parcel, reply);
  }

  async #settle(parcel, reply) {
    if (reply.status === 401 || reply.status === 403 || reply.redirected) {
      this.trouble = "You were signed out.";
      this.signedOut = true;
      return false;
    }
    const told = await reply.json().catch(() => null);
    if (reply.status === 429 || reply.status >= 500 || told === null) {
      this.trouble = told?.detail ?? "The server is in trouble.";
      return false;
    }
    this.#forget(this.parcels.shift());
    this.trouble = "";
    this.signedOut = false;
    this.pause = FIRST_PAUSE;
    if (reply.ok) this.sent(parcel, told);
    else this.refused(parcel, String(told.detail));
    return true;
  }

  #wait() {
    this.pause = Math.min(this.pause * 2, LONGEST_PAUSE);
    return new Promise((resolve) => {
      this.wake = resolve;
      setTimeout(resolve, this.pause);
    });
  }

  #hurry() {
    this.pause = FIRST_PAUSE;
    this.wake?.();
    this.flush();
  }

  // One entry each, so that several open pages do not overwrite each other's. Sending one twice does no harm.
  #load() {
    try {
      const keys = Object.keys(localStorage).filter((key) => key.startsWith(`${this.key}:`));
      const found = keys.map((key) => ({ ...JSON.parse(localStorage.getItem(key)), key, tries: 0 }));
      return found.sort((one, other) => one.since - other.since);
    } catch {
      return [];
    }
  }

  #keep(parcel) {
    try { localStorage.setItem(parcel.key, JSON.stringify(parcel)); } catch { /* it lasts as long as the page */ }
  }

  #forget(parcel) {
    try { localStorage.removeItem(parcel.key); } catch { /* nor was it kept */ }
  }
}

// An id for one answer. `crypto.randomUUID` would need a secure address.
export function receipt() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
