// An image that can be looked into: key or click, wheel, two fingers; drag to move.

const MOST = 12;
const STEP = 2.5;
const CLICK = 5;

export class Zoom {
  constructor(frame, image) {
    Object.assign(this, { frame, image, scale: 1, x: 0, y: 0, fingers: new Map(), moved: 0 });
    const on = (name, act, options) => image.addEventListener(name, act, options);
    on("pointerdown", (event) => this.#down(event));
    on("pointermove", (event) => this.#move(event));
    for (const name of ["pointerup", "pointercancel"]) on(name, (event) => this.#up(event));
    on("wheel", (event) => this.#wheel(event), { passive: false });
    on("dragstart", (event) => event.preventDefault());
  }

  // In at a point of the window (the middle if none), or out again.
  toggle(point = this.#middle()) {
    if (this.scale > 1) this.#set(1, point);
    else this.#set(STEP, point);
  }

  reset() { this.#set(1, this.#middle()); }

  #middle() {
    const box = this.frame.getBoundingClientRect();
    return { x: box.left + box.width / 2, y: box.top + box.height / 2 };
  }

  // Another scale, with what lies under `point` staying there.
  #set(scale, point) {
    const to = Math.min(Math.max(scale, 1), MOST);
    const box = this.image.getBoundingClientRect();
    const grown = to / this.scale;
    this.x += (1 - grown) * (point.x - (box.left + box.width / 2));
    this.y += (1 - grown) * (point.y - (box.top + box.height / 2));
    this.scale = to;
    this.#place();
  }

  // Never further than its edge.
  #place() {
    const far = { x: this.image.offsetWidth * (this.scale - 1) / 2, y: this.image.offsetHeight * (this.scale - 1) / 2 };
    this.x = Math.min(Math.max(this.x, -far.x), far.x);
    this.y = Math.min(Math.max(this.y, -far.y), far.y);
    this.image.style.transform = this.scale === 1 ? "" : `translate(${this.x}px, ${this.y}px) scale(${this.scale})`;
    this.image.classList.toggle("zoomed", this.scale > 1);
  }

  #down(event) {
    if (event.button !== 0) return;
    this.fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    if (this.fingers.size === 1) this.moved = 0;
    this.image.setPointerCapture(event.pointerId);
  }

  #move(event) {
    const was = this.fingers.get(event.pointerId);
    if (!was) return;
    const now = { x: event.clientX, y: event.clientY };
    const other = [...this.fingers].find(([id]) => id !== event.pointerId)?.[1];
    this.moved += Math.hypot(now.x - was.x, now.y - was.y);
    this.fingers.set(event.pointerId, now);
    if (other) {
      const grown = Math.hypot(now.x - other.x, now.y - other.y) / Math.max(Math.hypot(was.x - other.x, was.y - other.y), 1);
      this.#set(this.scale * grown, { x: (now.x + other.x) / 2, y: (now.y + other.y) / 2 });
    } else if (this.scale > 1) {
      this.x += now.x - was.x;
      this.y += now.y - was.y;
      this.#place();
    }
  }

  #up(event) {
    const was = this.fingers.get(event.pointerId);
    const alone = this.fingers.size === 1;
    this.fingers.delete(event.pointerId);
    if (was && alone && event.type === "pointerup" && this.moved < CLICK) this.toggle(was);
  }

  #wheel(event) {
    event.preventDefault();
    this.#set(this.scale * Math.exp(-event.deltaY / 300), { x: event.clientX, y: event.clientY });
  }
}
