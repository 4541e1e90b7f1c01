import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, mock, test } from 'node:test';

import taskworks, * as exported from '../taskworks.js';
import {
  cutOff, done, END, event, failed, json, noStream, nothing, page, run, running, serve, status, stream,
} from './server.js';

const {
  attach, attachWorkflow, cancel, cancelWorkflow, options, types, LostError, RequestError, RunError,
} = taskworks;
const DEFAULTS = { ...options };
let server;
let reported;

beforeEach(async () => {
  server = await serve();
  server.answers({ POST: json(run(), 201), 'GET 11/events/': noStream });
  Object.assign(options, { baseURL: server.baseURL, pollInterval: 4, maxPollInterval: 20, patience: 2000 });
  // In Node every page is of another origin.
  options.corsMode = 'cors';
  reported = mock.method(console, 'error', () => {});
});

afterEach(async () => {
  Object.assign(options, DEFAULTS);
  delete globalThis.document;
  mock.restoreAll();
  await server.close();
});

function watching(given = {}) {
  const seen = [];
  return { seen, given: { onProgress: (run) => seen.push(run), ...given } };
}

describe('a run by polling', () => {
  test('is started, watched, and gives its outputs', async () => {
    server.answers({ 'GET 11/': [json(running(1)), json(running(3)), json(done)] });
    const { seen, given } = watching();
    const end = await taskworks.run('add', { a: 1, b: 2 }, given);
    assert.deepEqual(end.outputs, { sum: 3 });
    assert.deepEqual(seen.map((run) => run.progress), [null, 1, 3, 4]);
    const [start] = server.to('POST /tasks/');
    assert.deepEqual(start.body, { task: 'add', inputs: { a: 1, b: 2 } });
    assert.equal(start.headers['content-type'], 'application/json');
  });

  test('that is over at once is not requested again', async () => {
    server.answers({ POST: json(done, 201) });
    assert.equal((await taskworks.run('add')).status, 'succeeded');
    assert.equal(server.requests.length, 1);
  });

  test('requests events once if there are none', async () => {
    server.answers({ 'GET 11/': [json(running(1)), json(running(2)), json(running(3)), json(done)] });
    await taskworks.run('add');
    assert.equal(server.to('GET /tasks/11/events/').length, 1);
  });

  test('requests no events of a server that has said that it has none', async () => {
    server.answers({ POST: json(run(), 201, { 'Taskworks-Events': 'none' }), 'GET 11/': [json(running(1)), json(done)] });
    await taskworks.run('add');
    assert.deepEqual(server.to('GET /tasks/11/events/'), []);
  });

  test('requests events once for all runs if that answer cannot be read', async () => {
    server.answers({ 'GET 11/': [json(running(1)), json(done)], 'GET 12/': [json(running(1)), json(done)] });
    await taskworks.run('add');
    await attach('12');
    const asked = server.requests.filter(({ name }) => name.endsWith('events/'));
    assert.deepEqual(asked.map(({ name }) => name), ['GET /tasks/11/events/']);
  });

  test('polls less often while nothing changes', async () => {
    server.answers({ 'GET 11/': [...Array(12).fill(json(running(1))), json(done)] });
    const pauses = [];
    const { setTimeout } = globalThis;
    mock.method(globalThis, 'setTimeout', (call, time, ...values) => {
      if (time <= 20) pauses.push(time);
      return setTimeout(call, time, ...values);
    });
    await taskworks.run('add', {}, { events: false });
    assert.ok(pauses.at(0) <= 4, pauses.join());
    assert.ok(pauses.at(-1) > 10 && Math.max(...pauses) <= 20, pauses.join());
  });

  test('that fails rejects with its error and each of its keys', async () => {
    server.answers({ 'GET 11/': json(failed) });
    const error = await taskworks.run('add').catch((error) => error);
    assert.ok(error instanceof RunError && error instanceof Error);
    assert.equal(error.message, 'no such file');
    assert.equal(error.status, 'failed');
    assert.deepEqual(error.run, failed);
    assert.deepEqual(JSON.parse(JSON.stringify(error)).uuid, '11');
  });

  test('that is cancelled rejects', async () => {
    server.answers({ 'GET 11/': json(run({ status: 'cancelled' })) });
    await assert.rejects(taskworks.run('add'), { name: 'RunError', message: 'The run 11 is cancelled.' });
  });
});

describe('a refused start', () => {
  const refusals = [
    [400, { inputs: { a: ['String is not a number: foo'], 'b.1': ['Missing.'] } },
      'a: String is not a number: foo b.1: Missing.'],
    [400, { task: ['Invalid task'] }, 'task: Invalid task'],
    [400, { non_field_errors: ['No object.'] }, 'No object.'],
    [403, { detail: 'CSRF Failed: CSRF token missing.' }, 'CSRF Failed: CSRF token missing.'],
    [429, { detail: 'Request was throttled.' }, 'Request was throttled.'],
    [500, null, 'Bad status: 500'],
  ];
  for (const [httpStatus, body, message] of refusals) {
    test(`rejects with what the server says: ${message}`, async () => {
      server.answers({ POST: json(body, httpStatus) });
      const error = await taskworks.run('add', {}, { idempotencyKey: 'mine' }).catch((error) => error);
      assert.ok(error instanceof RequestError);
      assert.deepEqual({ ...error }, { name: 'RequestError', httpStatus, body, retryAfter: null });
      assert.equal(error.message, message);
      assert.equal(server.requests.length, 1);
    });
  }

  test('that is not JSON', async () => {
    server.answers({ POST: page('<h1>Server Error</h1>', 500) });
    await assert.rejects(taskworks.run('add'), { httpStatus: 500, body: '<h1>Server Error</h1>' });
  });

  test('by inputs that are not JSON is a rejection too', async () => {
    const inputs = {};
    inputs.itself = inputs;
    await assert.rejects(taskworks.run('add', inputs), TypeError);
  });
});

describe('the server goes away', () => {
  const failures = { 'a status 500': page('oops', 500), 'a status 503': json({}, 503), 'a cut connection': cutOff };
  for (const [what, failure] of Object.entries(failures)) {
    test(`${what} while polling is waited out`, async () => {
      server.answers({ 'GET 11/': [failure, failure, json(running(2)), failure, json(done)] });
      assert.equal((await taskworks.run('add')).status, 'succeeded');
    });
  }

  test('for too long: the promise is rejected, with the cause', async () => {
    server.answers({ 'GET 11/': [json(running(1)), page('oops', 502)] });
    const error = await taskworks.run('add', {}, { patience: 40 }).catch((error) => error);
    assert.ok(error instanceof LostError);
    assert.equal(error.cause.httpStatus, 502);
  });

  test('a request that is never answered is given up and made again', async () => {
    server.answers({ 'GET 11/': [nothing, json(done)] });
    assert.equal((await attach('11', { requestTimeout: 40 })).status, 'succeeded');
    assert.ok(server.to('GET /tasks/11/').length >= 2);
  });

  test('a Retry-After beyond the patience rejects at once', async () => {
    server.answers({ 'GET 11/': [json({ detail: 'slow' }, 429, { 'Retry-After': '3600' })] });
    const promise = taskworks.run('add');
    await assert.rejects(promise, { name: 'RequestError', message: 'slow', retryAfter: 3_600_000 });
    assert.equal(server.to('GET /tasks/11/').length, 1);
  });

  test('Retry-After is waited for', async () => {
    server.answers({ 'GET 11/': [json({}, 503, { 'Retry-After': '1' }), json(done)] });
    const startedAt = Date.now();
    await taskworks.run('add');
    assert.ok(Date.now() - startedAt >= 1000);
  });

  test('a start that was lost is repeated under the same key', async () => {
    server.answers({ POST: [cutOff, json({}, 503), json(run())], 'GET 11/': json(done) });
    await taskworks.run('add', {}, { corsMode: 'cors', idempotencyKey: 'order 7' });
    const keys = server.to('POST /tasks/').map((request) => request.headers['idempotency-key']);
    assert.deepEqual(keys, ['order 7', 'order 7', 'order 7']);
  });

  test('a start without a key, of another origin, is not repeated', async () => {
    server.answers({ POST: cutOff });
    await assert.rejects(taskworks.run('add'), TypeError);
    assert.equal(server.requests.length, 1);
    assert.equal(server.requests[0].headers['idempotency-key'], undefined);
  });

  test('each start of the page itself has a key of its own', async () => {
    server.answers({ POST: json(done, 201) });
    const { fetch } = globalThis;
    mock.method(globalThis, 'fetch', (url, init) => fetch(url, { ...init, mode: 'cors' }));
    await taskworks.run('add', {}, { corsMode: 'same-origin' });
    await taskworks.run('add', {}, { corsMode: 'same-origin' });
    const keys = server.requests.map((request) => request.headers['idempotency-key']);
    assert.match(keys[0], /^[0-9a-f]{32}$/);
    assert.notEqual(keys[0], keys[1]);
    const modes = fetchCalls().map(({ mode, credentials }) => [mode, credentials]);
    assert.deepEqual(modes, Array(2).fill(['same-origin', 'same-origin']));
  });

  function fetchCalls() {
    return globalThis.fetch.mock.calls.map((call) => call.arguments[1]);
  }

  for (const [what, answer, httpStatus] of [
    ['a run that is gone', json({ detail: 'Not found.' }, 404), 404],
    ['a session that is over', json({ detail: 'no credentials' }, 403), 403],
    ['a login page instead of a run', page('<form>'), 200],
    ['JSON that is not a run', json([1]), 200],
  ]) {
    test(`${what} rejects at once`, async () => {
      server.answers({ 'GET 11/': answer });
      await assert.rejects(attach('11'), { name: 'RequestError', httpStatus });
      assert.equal(server.requests.length, 1);
    });
  }
});

describe('events', () => {
  beforeEach(() => server.answers({ 'GET 11/': json(running(0)) }));

  test('report the run until it is over, without polling', async () => {
    server.answers({
      'GET 11/events/': stream(
        'retry: 2000\n: hello\n\n',
        status(running(0)),
        event('progress', { id: '11', progress: 1, target: 4, percent: 25 }),
        event('message', { id: '11', message: 'half', details: { level: 'info', time: 'now' } }),
        event('later', { what: 'nobody knows' }),
        'data: no JSON\n\n',
        status(done),
      ),
    });
    const { seen, given } = watching();
    const end = await taskworks.run('add', {}, given);
    assert.deepEqual(end, done);
    assert.deepEqual(seen.map((run) => run.percent), [null, 0, 25, 25, 100]);
    assert.deepEqual(seen[3].messages, ['half']);
    assert.deepEqual(seen[3].message_details, [{ level: 'info', time: 'now' }]);
    assert.equal(server.to('GET /tasks/11/').length, 0);
  });

  for (const end of ['\n', '\r\n', '\r']) {
    test(`are understood byte by byte, with lines that end in ${JSON.stringify(end)}`, async () => {
      const text = `${status(run({ messages: ['größer als 日本'] }))}${status(done)}`;
      const bytes = Buffer.from(text.replaceAll('\n', end) + end);
      const pieces = Array.from(bytes, (_, index) => bytes.subarray(index, index + 1));
      server.answers({ 'GET 11/events/': stream(...pieces) });
      const { seen, given } = watching();
      await taskworks.run('add', {}, given);
      assert.deepEqual(seen.map((run) => run.messages.join()), ['', 'größer als 日本', '']);
    });
  }

  test('of several lines are one', async () => {
    const [before, after] = JSON.stringify(done).split(',"task"');
    server.answers({ 'GET 11/events/': stream(`event: status\ndata: ${before}\ndata: ,"task"${after}\n\n`) });
    assert.equal((await taskworks.run('add')).status, 'succeeded');
  });

  for (const broken of [END, cutOff]) {
    test(`that break (${String(broken.name ?? broken.description)}) are requested again after a poll`, async () => {
      server.answers({
        'GET 11/events/': [stream(status(running(1)), broken), stream(status(running(3)), status(done))],
        'GET 11/': json(running(2)),
      });
      const { seen, given } = watching();
      await taskworks.run('add', {}, given);
      assert.deepEqual(seen.map((run) => run.progress), [null, 1, 2, 3, 4]);
    });
  }

  test('that always end without changes are given up', async () => {
    server.answers({ 'GET 11/events/': stream(END), 'GET 11/': [...Array(8).fill(json(running(1))), json(done)] });
    await taskworks.run('add');
    assert.equal(server.to('GET /tasks/11/events/').length, 3);
  });

  test('that the server ends after a long time without changes are requested again', async () => {
    const soon = () => new Promise((then) => setTimeout(then, 200));
    const quiet = stream(status(running(1)), soon, ':\n\n', soon, ':\n\n', soon, ':\n\n', soon, END);
    server.answers({
      'GET 11/events/': [...Array(4).fill(quiet), stream(status(done))],
      'GET 11/': json(running(1)),
    });
    await taskworks.run('add', {}, { streamTimeout: 700 });
    assert.equal(server.to('GET /tasks/11/events/').length, 5);
  });

  test('that fall silent again and again are given up', async () => {
    server.answers({
      'GET 11/events/': stream(status(running(2))),
      'GET 11/': [...Array(6).fill(json(running(1))), json(done)],
    });
    await taskworks.run('add', {}, { streamTimeout: 20 });
    assert.equal(server.to('GET /tasks/11/events/').length, 3);
  });

  test('that a proxy holds back are given up', async () => {
    server.answers({ 'GET 11/events/': stream(), 'GET 11/': [...Array(4).fill(json(running(1))), json(done)] });
    await taskworks.run('add', {}, { streamStart: 30 });
    assert.equal(server.to('GET /tasks/11/events/').length, 1);
  });

  test('that fall silent are replaced by a poll', async () => {
    server.answers({ 'GET 11/events/': stream(status(running(1))), 'GET 11/': json(done) });
    assert.equal((await taskworks.run('add', {}, { streamTimeout: 30 })).status, 'succeeded');
  });

  test('that send signs of life are kept open', async () => {
    const moments = Array(20).fill([() => new Promise((soon) => setTimeout(soon, 100)), ':\n\n']).flat();
    server.answers({ 'GET 11/events/': stream(status(running(1)), ...moments, status(done)) });
    await taskworks.run('add', {}, { streamTimeout: 1500 });
    assert.equal(server.to('GET /tasks/11/').length, 0);
  });

  for (const refusal of [json({ detail: 'too many' }, 429, { 'Retry-After': '9' }), json({}, 500), cutOff, page('x')]) {
    test('that are refused are replaced by polling', async () => {
      server.answers({ 'GET 11/events/': refusal, 'GET 11/': [json(running(1)), json(done)] });
      assert.equal((await taskworks.run('add')).status, 'succeeded');
    });
  }

  test('of a run that is deleted end in its 404', async () => {
    server.answers({
      'GET 11/events/': stream(status(running(1)), event('gone', { id: '11', detail: 'deleted' }), END),
      'GET 11/': json({ detail: 'Not found.' }, 404),
    });
    await assert.rejects(taskworks.run('add'), { httpStatus: 404 });
  });

  test('are not requested by more runs than maxStreams at once', async () => {
    let open = 0;
    let most = 0;
    const slow = (request, response) => {
      most = Math.max(most, (open += 1));
      response.on('close', () => (open -= 1));
      stream(status(running(1)), () => new Promise((soon) => setTimeout(soon, 30)), status(done), END)(request, response);
    };
    server.answers({ 'GET 11/events/': slow });
    const ends = await Promise.all(Array.from({ length: 6 }, () => attach('11', { maxStreams: 2 })));
    assert.equal(ends.length, 6);
    assert.equal(most, 2);
  });
});

describe('a page that is hidden', () => {
  class Page extends EventTarget {
    visibilityState = 'visible';

    turn(state) {
      this.visibilityState = state;
      this.dispatchEvent(new Event('visibilitychange'));
    }
  }

  beforeEach(() => {
    globalThis.document = new Page();
    server.answers({ 'GET 11/': json(running(1)), 'GET 11/events/': [stream(status(running(1))), stream(status(done))] });
  });

  test('closes its stream, polls, and opens a stream again when it is visible', async () => {
    const polls = () => server.to('GET /tasks/11/').length;
    const promise = attach('11', { onProgress: () => {
      if (server.to('GET /tasks/11/events/').length === 1) document.turn(polls() > 3 ? 'visible' : 'hidden');
    } });
    assert.deepEqual(await promise, done);
    assert.equal(server.to('GET /tasks/11/events/').length, 2);
    assert.ok(polls() > 3);
  });

  test('polls at once when it becomes visible', async () => {
    const { document } = globalThis;
    document.turn('hidden');
    const promise = attach('11', { pollInterval: 60_000, onProgress: () => setTimeout(() => document.turn('visible'), 5) });
    server.answers({ 'GET 11/': [json(running(1)), json(done)] });
    assert.deepEqual(await promise, done);
  });
});

describe('abort', () => {
  for (const [what, answers] of Object.entries({
    'between two polls': { 'GET 11/': json(running(1)) },
    'during a poll': { 'GET 11/': [json(running(1)), nothing] },
    'during an outage': { 'GET 11/': [json(running(1)), cutOff] },
    'while a stream is open': { 'GET 11/': json(running(1)), 'GET 11/events/': stream(status(running(2))) },
  })) {
    test(`${what} rejects, and leaves the run and the server alone`, async () => {
      server.answers(answers);
      const controller = new AbortController();
      const promise = attach('11', { signal: controller.signal, pollInterval: 50, onProgress: () => {
        setTimeout(() => controller.abort(), 20);
      } });
      await assert.rejects(promise, { name: 'AbortError' });
      const before = server.requests.length;
      await new Promise((later) => setTimeout(later, 80));
      assert.equal(server.requests.length, before);
      assert.equal(server.to('POST /tasks/11/cancel/').length, 0);
    });
  }

  test('by a callback is its last call', async () => {
    const events = [1, 2, 3].map((progress) => event('progress', { id: '11', progress })).join('');
    server.answers({ 'GET 11/': json(running(0)), 'GET 11/events/': stream(status(running(0)) + events) });
    const controller = new AbortController();
    const seen = [];
    const onProgress = ({ progress }) => {
      seen.push(progress);
      if (progress === 1) controller.abort();
    };
    await assert.rejects(attach('11', { onProgress, signal: controller.signal }), { name: 'AbortError' });
    assert.deepEqual(seen, [0, 0, 1]);
  });

  test('before the start starts nothing, and keeps its reason', async () => {
    const reason = new Error('changed my mind');
    await assert.rejects(taskworks.run('add', {}, { signal: AbortSignal.abort(reason) }), reason);
    assert.equal(server.requests.length, 0);
  });

  test('during the start', async () => {
    server.answers({ POST: nothing });
    await assert.rejects(taskworks.run('add', {}, { signal: AbortSignal.timeout(20) }), { name: 'TimeoutError' });
  });
});

describe('callbacks', () => {
  test('as in django-task-api', async () => {
    server.answers({ 'GET 11/': [json(running(1)), json(done)] });
    const progress = mock.fn();
    const callback = mock.fn();
    const errback = mock.fn();
    assert.deepEqual(await taskworks.run('add', { a: 1 }, progress, callback, errback), done);
    assert.deepEqual(progress.mock.calls.map((call) => call.arguments[0].status), ['pending', 'running', 'succeeded']);
    assert.deepEqual(callback.mock.calls.map((call) => call.arguments), [[done]]);
    assert.equal(errback.mock.callCount(), 0);
  });

  test('an errback gets the run that failed', async () => {
    server.answers({ 'GET 11/': json(failed) });
    const errback = mock.fn();
    await assert.rejects(taskworks.run('add', {}, null, null, errback), { status: 'failed', uuid: '11' });
    assert.deepEqual(errback.mock.calls.map((call) => call.arguments), [[failed]]);
  });

  test('an errback gets the error of a refused start, and the promise can be ignored', async () => {
    server.answers({ POST: json({ task: ['Invalid task'] }, 400) });
    const unhandled = mock.fn();
    process.once('unhandledRejection', unhandled);
    const error = await new Promise((errback) => taskworks.run('nothing', {}, null, null, errback));
    await new Promise((later) => setTimeout(later, 5));
    process.off('unhandledRejection', unhandled);
    assert.deepEqual(error.body, { task: ['Invalid task'] });
    assert.equal(unhandled.mock.callCount(), 0);
  });

  test('that throw are reported, and change nothing', async () => {
    server.answers({ 'GET 11/': [json(running(1)), json(done)] });
    const raise = () => {
      throw new Error('of the page');
    };
    assert.deepEqual(await taskworks.run('add', {}, raise, raise, raise), done);
    assert.equal(reported.mock.callCount(), 4);
  });

  test('that throw do not hide how the run ended', async () => {
    server.answers({ 'GET 11/': json(failed) });
    const raise = () => {
      throw new Error('of the page');
    };
    await assert.rejects(taskworks.run('add', {}, null, null, raise), { status: 'failed' });
  });
});

describe('requests', () => {
  const token = (request) => request.headers['x-csrftoken'];

  test('that write have the CSRF token of the cookie, read each time', async () => {
    globalThis.document = { cookie: 'theme=dark; csrftoken=first%3D; sessionid=x' };
    server.answers({ POST: json(done, 201), 'POST 11/cancel/': json(done), 'GET 11/': json(done) });
    await taskworks.run('add');
    globalThis.document.cookie = 'csrftoken=second';
    await cancel('11');
    await attach('11');
    assert.deepEqual(server.requests.map(token), ['first=', 'second', undefined]);
  });

  test('have it under the names of the project', async () => {
    globalThis.document = { cookie: 'csrftoken=wrong; mine=right' };
    Object.assign(options, { csrfCookieName: 'mine', csrfHeaderName: 'X-Mine' });
    server.answers({ POST: json(done, 201) });
    await taskworks.run('add');
    assert.equal(server.requests[0].headers['x-mine'], 'right');
    assert.equal(token(server.requests[0]), undefined);
  });

  test('have it from the options or a form if scripts cannot read the cookie', async () => {
    const query = mock.fn(() => ({ value: 'of the form' }));
    globalThis.document = { cookie: '', querySelector: query };
    server.answers({ POST: json(done, 201) });
    await taskworks.run('add');
    await taskworks.run('add', {}, { csrfToken: 'of the options' });
    assert.deepEqual(server.requests.map(token), ['of the form', 'of the options']);
    assert.deepEqual(query.mock.calls[0].arguments, ['[name=csrfmiddlewaretoken]']);
  });

  test('go to the baseURL, with or without its slash', async () => {
    server.answers({ 'GET 11/': json(done) });
    await attach('11', { baseURL: server.baseURL.slice(0, -1) });
    assert.equal(server.requests[0].name, 'GET /tasks/11/');
  });

  for (const id of ['..', '.', '../../admin?x=', 'a/b', '11?x=1', '11#x', '%2e%2e', '', undefined, null]) {
    test(`cannot be redirected by an id: ${JSON.stringify(id)}`, async () => {
      const refused = { name: 'TypeError', message: /^The id of a run has only letters, digits, - and _, unlike / };
      await assert.rejects(attach(id), refused);
      await assert.rejects(cancel(id), refused);
      assert.deepEqual(server.requests, []);
    });
  }

  test('have the headers in the options, streams too', async () => {
    options.headers = { Authorization: 'Token 7', accept: 'text/html' };
    server.answers({
      'GET 11/': json(running(0)), 'GET 11/events/': stream(status(done)),
      'POST 11/cancel/': json(done), 'GET types/': json({ results: [] }),
    });
    await taskworks.run('add');
    await cancel('11');
    await types();
    assert.deepEqual(server.requests.map(({ name, headers }) => [name.split('/tasks/').join(''), headers.authorization, headers.accept]), [
      ['POST ', 'Token 7', 'application/json'],
      ['GET 11/events/', 'Token 7', 'text/event-stream'],
      ['POST 11/cancel/', 'Token 7', 'application/json'],
      ['GET types/', 'Token 7', 'application/json'],
    ]);
  });

  test('have those of a function, which is called each time and may need a while', async () => {
    let calls = 0;
    const headers = async () => new Headers({ Authorization: `Token ${(calls += 1)}` });
    server.answers({ 'GET 11/': [json(running(1)), json(done)] });
    await attach('11', { headers });
    assert.deepEqual(server.requests.map(({ headers }) => headers.authorization), ['Token 1', 'Token 2', 'Token 3']);
  });

  test('wait out a function that fails, or never ends, as they do a server', async () => {
    const answers = [() => Promise.reject(new Error('no token')), () => new Promise(() => {}), () => ({ 'X-Token': '3' })];
    server.answers({ 'GET 11/': json(done) });
    await attach('11', { headers: () => (answers.length > 1 ? answers.shift() : answers[0])(), requestTimeout: 400 });
    assert.equal(server.requests[0].headers['x-token'], '3');
    const error = await attach('11', { headers: () => { throw new Error('no token'); }, patience: 40 }).catch((error) => error);
    assert.ok(error instanceof LostError);
    assert.equal(error.cause.message, 'no token');
  });

  test('cancel resolves with the run', async () => {
    server.answers({ 'POST 11/cancel/': json(run({ status: 'cancelled' })) });
    assert.equal((await cancel('11')).status, 'cancelled');
  });

  test('cancel of a run that is over is refused', async () => {
    server.answers({ 'POST 11/cancel/': json({ detail: 'It is over.' }, 409) });
    await assert.rejects(cancel('11'), { httpStatus: 409, message: 'It is over.' });
  });

  test('start resolves with the run, and does not watch it', async () => {
    assert.equal((await taskworks.start('add', { a: 1 })).id, '11');
    assert.deepEqual(server.requests.map(({ name, body }) => [name, body.inputs]), [['POST /tasks/', { a: 1 }]]);
  });

  test('types resolves with the tasks', async () => {
    server.answers({ 'GET types/': json({ results: [{ name: 'add', inputs: {} }] }) });
    assert.deepEqual(await types(), [{ name: 'add', inputs: {} }]);
  });
});

describe('a workflow', () => {
  const counts = { pending: 1, running: 0, succeeded: 2, failed: 0, cancelled: 0 };
  const flow = (changes = {}) => ({
    id: '22', name: 'sums', status: 'running', progress: 2, target: 3, percent: 66.7, counts, cancel_requested: false,
    ...changes,
  });

  test('is watched by polling', async () => {
    server.answers({
      'GET workflows/22/': [json(flow()), json(flow({ progress: 3 })), json(flow({ status: 'succeeded' }))],
      'GET workflows/22/events/': noStream,
    });
    const { seen, given } = watching();
    assert.equal((await attachWorkflow('22', given)).status, 'succeeded');
    assert.deepEqual(seen.map(({ progress }) => progress), [2, 3, 2]);
  });

  test('is watched by its stream, and rejects if it fails', async () => {
    server.answers({
      'GET workflows/22/': json(flow()),
      'GET workflows/22/events/': stream(
        status(flow()), event('progress', { id: '22', progress: 3, percent: 100, counts }),
        status(flow({ status: 'failed' })),
      ),
    });
    const { seen, given } = watching();
    await assert.rejects(attachWorkflow('22', given), (error) => {
      assert.ok(error instanceof RunError);
      assert.equal(error.message, 'The workflow 22 is failed.');
      return true;
    });
    assert.ok(seen.some(({ percent, name }) => percent === 100 && name === 'sums'));
    assert.equal(server.to('GET /tasks/workflows/22/').length, 1);
  });

  test('is cancelled', async () => {
    server.answers({ 'POST workflows/22/cancel/': json(flow({ cancel_requested: true })) });
    assert.equal((await cancelWorkflow('22')).cancel_requested, true);
  });

  test('has an id that leads nowhere else', async () => {
    await assert.rejects(attachWorkflow('../11'), /The id of a workflow has only letters/);
  });
});

test('the declarations match the exports', () => {
  const declarations = readFileSync(new URL('../taskworks.d.ts', import.meta.url), 'utf8');
  const declared = declarations.matchAll(/^export (?:function|const|class) (\w+)/gm);
  assert.deepEqual(new Set(Array.from(declared, ([, name]) => name)), new Set(Object.keys(exported).filter((name) => name !== 'default')));
  const block = /export interface Options \{(.*?)\n\}/s.exec(declarations)[1];
  assert.deepEqual(Array.from(block.matchAll(/^  (\w+):/gm), ([, name]) => name), Object.keys(DEFAULTS));
});
