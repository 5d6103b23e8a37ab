// The worker that all tabs of this browser share. It lives for as long as one of them does.

import { Hub } from './hub.js';

const hub = Hub.open();

self.onconnect = ({ ports: [port] }) => {
  const post = (message) => port.postMessage(message);
  port.onmessage = async ({ data }) => {
    try {
      (await hub).receive(data, post);
    } catch (error) {
      post({ event: 'broken', value: { reason: error.message } });
    }
  };
};
