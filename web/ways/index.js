// The ways in that the page can show, and what each needs. `credential`: a way that can send no header needs the
// browser's cookie, one that speaks for itself a token; the others take either.

import { EventSourceWay } from './event_source.js';
import { FrameWay } from './frame.js';
import { LinesWay } from './lines.js';
import { PollWay } from './poll.js';
import { WebSocketWay } from './websocket.js';

export const WAYS = {
  websocket: { title: 'WebSocket', credential: 'token', make: (shared) => new WebSocketWay(shared) },
  sse: { title: 'Server-sent events', credential: 'cookie', make: (shared) => new EventSourceWay(shared) },
  ndjson: { title: 'Streaming', make: (shared) => new LinesWay(shared) },
  iframe: { title: 'Hidden frame', credential: 'cookie', make: (shared) => new FrameWay(shared) },
  long: { title: 'Long polling', make: (shared) => new PollWay(shared, { waitS: 25, pauseMs: 0 }) },
  short1: { title: 'Polling, every 1 s', make: (shared) => new PollWay(shared, { waitS: 0, pauseMs: 1000 }) },
  short5: { title: 'Polling, every 5 s', make: (shared) => new PollWay(shared, { waitS: 0, pauseMs: 5000 }) },
};
