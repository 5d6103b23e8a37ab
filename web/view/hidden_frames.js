// Hidden frames that this tab holds for the hub: pages that never end, whose scripts post what happens.

import { make } from './dom.js';

export class HiddenFrames {
  constructor(ask) {
    this.ask = ask;
    this.frames = new Map();
    addEventListener('message', (event) => this.onMessage(event));
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

  onMessage({ source, origin, data }) {
    if (origin !== location.origin) return;
    for (const [frame, element] of this.frames) {
      if (element.contentWindow === source) this.ask('framed', { frame, event: data });
    }
  }
}
