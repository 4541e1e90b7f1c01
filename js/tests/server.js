/** A small real server, for which a test defines the answers to each request, in order. */
import { createServer } from 'node:http';

const FIRST = {
  id: '11', uuid: '11', task: 'add', status: 'pending', progress: null, target: null, percent: null,
  outputs: {}, messages: [], message_details: [], error: null, cancel_requested: false,
};

export const run = (changes = {}) => ({ ...FIRST, ...changes });
export const running = (progress) => run({ status: 'running', progress, target: 4, percent: 25 * progress });
export const done = run({ status: 'succeeded', progress: 4, target: 4, percent: 100, outputs: { sum: 3 } });
export const failed = run({ status: 'failed', error: { type: 'ValueError', message: 'no such file' } });

/** Answers, each a function of (request, response). */
export const json = (body, status = 200, headers = {}) => (_, response) => {
  response.writeHead(status, { 'Content-Type': 'application/json', ...headers });
  response.end(JSON.stringify(body));
};
export const page = (text, status = 200) => (_, response) => {
  response.writeHead(status, { 'Content-Type': 'text/html' });
  response.end(text);
};
export const cutOff = (request) => request.socket.destroy();
export const nothing = () => {};
/** A stream of these pieces; it stays open unless the last one is `END`. */
export const END = Symbol('end');
export const stream = (...pieces) => async (request, response) => {
  response.writeHead(200, { 'Content-Type': 'text/event-stream' });
  response.flushHeaders();
  for (const piece of pieces) {
    if (piece === END) return response.end();
    if (piece === cutOff) return request.socket.destroy();
    if (typeof piece === 'function') await piece();
    else await new Promise((resolve) => response.write(piece, resolve));
  }
};
export const event = (type, data) => `event: ${type}\ndata: ${JSON.stringify(data)}\n\n`;
export const status = (run) => event('status', run);
export const noStream = json({ detail: 'no events under WSGI', code: 'not_streamed' }, 406);

export async function serve() {
  const scripts = {};
  const requests = [];
  const server = createServer(async (request, response) => {
    let body = '';
    for await (const piece of request) body += piece;
    const name = `${request.method} ${request.url}`;
    requests.push({ name, headers: request.headers, body: body && JSON.parse(body) });
    const script = scripts[name] ?? [json({ detail: 'Not found.' }, 404)];
    // The last answer is repeated.
    const answer = script.length > 1 ? script.shift() : script[0];
    answer(request, response);
  });
  await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
  return {
    baseURL: `http://127.0.0.1:${server.address().port}/tasks/`,
    requests,
    to: (name) => requests.filter((request) => request.name === name),
    /** Set the answers of each request, such as 'GET 11/', in order. */
    answers(given) {
      for (const [name, answers] of Object.entries(given)) {
        const [method, path] = name.split(' ');
        scripts[`${method} /tasks/${path ?? ''}`] = [answers].flat();
      }
    },
    async close() {
      server.closeAllConnections();
      await new Promise((closed) => server.close(closed));
    },
  };
}
