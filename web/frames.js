// Hidden frames, each held by one of the tabs for the hub, which has no document of its own.

export class Frames {
  constructor(tabs) {
    this.tabs = tabs;
    this.held = new Map();
    this.next = 1;
  }

  /** Opens `path` in a frame of some tab. `promise` settles when the frame is over. */
  open(path, onEvent) {
    const [tab, listener] = this.tabs.entries().next().value ?? [];
    const frame = this.next++;
    const promise = new Promise((resolve) => {
      this.held.set(frame, { tab, onEvent, resolve });
    });
    if (listener) listener.tell({ event: 'frame', value: { frame, path } });
    else this.ended(frame);
    return { promise, close: () => this.close(frame, listener) };
  }

  close(frame, listener) {
    listener?.tell({ event: 'frameClose', value: { frame } });
    this.ended(frame);
  }

  framed(frame, event) {
    this.held.get(frame)?.onEvent(event);
  }

  ended(frame) {
    this.held.get(frame)?.resolve();
    this.held.delete(frame);
  }

  /** A tab has gone, and its frames with it. */
  lost(tab) {
    for (const [frame, { tab: holder }] of [...this.held]) if (holder === tab) this.ended(frame);
  }
}
