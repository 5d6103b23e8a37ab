// The worker that all tabs of this browser share. It lives for as long as one of them does.

import { Hub } from './hub.js';

const hub = Hub.open();

self.onconnect = ({ ports: [port] }) => {
  port.onmessage = async ({ data }) => (await hub).receive(data, (message) => port.postMessage(message));
};
