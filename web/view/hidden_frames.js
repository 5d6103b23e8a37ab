// Hidden frames that this tab holds for the hub: pages that never end, whose scripts post what happens.

import { make } from './dom.js';

/** Browsers tell nobody when a page that was still loading breaks off: it has to be looked at. */
const LOOK_MS = 1000;

export class HiddenFrames {
  constructor(ask) {
    this.ask = ask;
    this.frames = new Map();
    addEventListener('message', (event) => this.onMessage(event));
    setInterval(() => this.look(), LOOK_MS);
  }

  open({ frame, path }) {
    const onload = () => this.ask('frameEnded', { frame });
    const element = make('iframe', { hidden: true, title: 'Events', src: path, onload });
    this.frames.set(frame, element);
    document.body.append(element);
  }

  close(frame) {
    this.frames.get(frame)?.remove();
    this.frames.delete(frame);
  }

  /** A page that has all its parts, or one of the browser's own that says what went wrong, brings nothing more. */
  look() {
    for (const [frame, { contentDocument }] of this.frames) {
      if (contentDocument?.readyState !== 'loading') this.ask('frameEnded', { frame });
    }
  }

  onMessage({ source, origin, data }) {
    if (origin !== location.origin) return;
    for (const [frame, element] of this.frames) {
      if (element.contentWindow === source) this.ask('framed', { frame, event: data });
    }
  }
}
