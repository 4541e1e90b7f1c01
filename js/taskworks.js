/**
 * The browser client of Taskworks: start tasks, watch and cancel their runs, and show them in an element.
 *
 * It has no dependencies. It also works in Node 18 and later, except for the element.
 */

/** The options of every call, which can override them. Times are in milliseconds. */
export const options = {
  baseURL: '/tasks/',
  csrfCookieName: 'csrftoken',
  csrfHeaderName: 'X-CSRFToken',
  // For projects in which scripts cannot read the cookie (CSRF_USE_SESSIONS, CSRF_COOKIE_HTTPONLY).
  csrfToken: null,
  // Headers of every request, such as Authorization: an object, or a function that returns one, or a promise of one.
  headers: null,
  // 'cors' for a server of another origin; cookies are sent to it.
  corsMode: 'same-origin',
  // Whether to use server-sent events, and how many runs of a page may have a stream at the same time:
  // with HTTP/1.1, browsers open at most six connections to a server, shared by all pages.
  events: true,
  maxStreams: 3,
  pollInterval: 1000,
  maxPollInterval: 5000,
  // How long a request may take, how long a stream may take to start, and how long it may be silent.
  requestTimeout: 30_000,
  streamStart: 5_000,
  streamTimeout: 45_000,
  // How long the server may be unavailable before a call fails.
  patience: 120_000,
  // The texts of the element.
  texts: {
    pending: 'Waiting',
    running: 'Running',
    succeeded: 'Done',
    failed: 'Failed',
    cancelled: 'Cancelled',
    label: 'Progress',
    cancel: 'Cancel',
    cancelling: 'Cancelling',
  },
};

/** The server refused a request; `httpStatus` and `body` are those of its response. */
export class RequestError extends Error {
  constructor(httpStatus, body, { retryAfter = null, message = null } = {}) {
    super(message ?? (errorTextOf(body) || `Bad status: ${httpStatus}`));
    this.name = 'RequestError';
    this.httpStatus = httpStatus;
    this.body = body;
    this.retryAfter = retryAfter;
  }
}

/** The run or workflow failed or was cancelled. The error has the `run`, and also each of its properties. */
export class RunError extends Error {
  constructor(run) {
    super(failureOf(run) || `The ${run.counts ? 'workflow' : 'run'} ${run.id} is ${run.status}.`);
    this.name = 'RunError';
    Object.assign(this, run);
    Object.defineProperty(this, 'run', { value: run });
  }
}

/** The server was unavailable for longer than `options.patience`; `cause` is the last error. */
export class LostError extends Error {
  constructor(cause, seconds) {
    super(`The server could not be reached for ${seconds} seconds: ${cause.message}`, { cause });
    this.name = 'LostError';
  }
}

/**
 * Start a task and watch its run. The promise is resolved with the run when it has succeeded, and rejected
 * with a `RunError` when it has failed or was cancelled. It always settles.
 *
 * `run(task, inputs, progressCallback, callback, errback)`, as in django-task-api, works too.
 */
export function run(task, inputs = {}, ...others) {
  const { callbacks, given } = parseArguments(others);
  const settings = { ...options, ...given };
  return settle(async () => {
    const run = await postRun(task, inputs, settings);
    return new Watch(run.id ?? run.uuid, settings).untilOver(run);
  }, settings, callbacks);
}

/** Start a task without watching it; resolve with the run, whose `id` is for `attach` or the element. */
export function start(task, inputs = {}, given = {}) {
  return postRun(task, inputs, { ...options, ...given });
}

/** Watch, as `run` does, a run that was started before: after a reload, or in another window. */
export function attach(id, given = {}) {
  const settings = { ...options, ...given };
  return settle(() => new Watch(id, settings).untilOver(), settings);
}

/** Request the cancellation of a run, and resolve with the run; it may take a moment to stop. */
export async function cancel(id, given = {}) {
  const settings = { ...options, ...given };
  return request(pathOf(id, 'cancel/'), settings, { method: 'POST' });
}

/** Watch a workflow until it is over, as `attach` watches a run; a workflow has no outputs and messages. */
export function attachWorkflow(id, given = {}) {
  const settings = { ...options, ...given };
  return settle(() => new Watch(id, settings, WORKFLOWS).untilOver(), settings);
}

/** Request the cancellation of a workflow, and resolve with it; its runs may take a moment to stop. */
export async function cancelWorkflow(id, given = {}) {
  const settings = { ...options, ...given };
  return request(pathOf(id, 'cancel/', WORKFLOWS), settings, { method: 'POST' });
}

/** Resolve with the offered tasks, each with the JSON Schema of its inputs and of its outputs. */
export async function types(given = {}) {
  const { results } = await request('types/', { ...options, ...given });
  return results;
}

// Where workflows are, below the base URL; runs are there.
const RUNS = '';
const WORKFLOWS = 'workflows/';

// --- Settling -------------------------------------------------------------------------------------

function parseArguments(others) {
  const [first, callback = null, errback = null] = others;
  if (typeof first === 'object' && first !== null) {
    return { callbacks: {}, given: first };
  }
  return { callbacks: { callback, errback }, given: { onProgress: first } };
}

function settle(action, settings, { callback = null, errback = null } = {}) {
  const promise = successOf(action, settings).then(
    (run) => {
      callSafely(callback, run);
      return run;
    },
    (error) => {
      callSafely(errback, error instanceof RunError ? error.run : error);
      throw error;
    },
  );
  // A caller with an errback may ignore the promise, so its rejection must not be reported as unhandled.
  if (errback) promise.catch(() => {});
  return promise;
}

async function successOf(action, settings) {
  settings.signal?.throwIfAborted();
  const run = await action();
  if (run.status !== 'succeeded') throw new RunError(run);
  return run;
}

/** Call a callback of the page; an error in it is reported, and does not stop the watch. */
function callSafely(callback, ...values) {
  if (!callback) return;
  try {
    callback(...values);
  } catch (error) {
    report(error);
  }
}

function report(error) {
  if (typeof globalThis.reportError === 'function') globalThis.reportError(error);
  else console.error(error);
}

// --- Starting -------------------------------------------------------------------------------------

/** Start a run. Only with a key, by which the server recognizes a repeated request, is it retried. */
async function postRun(task, inputs, settings) {
  const key = settings.idempotencyKey ?? (settings.corsMode === 'cors' ? null : randomKey());
  const post = () =>
    request('', settings, {
      method: 'POST',
      body: { task, inputs },
      headers: key === null ? {} : { 'Idempotency-Key': key },
    });
  return asRun(key === null ? await post() : await withRetries(post, settings, isOutage));
}

function randomKey() {
  const bytes = globalThis.crypto?.getRandomValues(new Uint8Array(16)) ?? Array.from({ length: 16 }, randomByte);
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** A fallback without `crypto`: keys must be unique, but not secret. */
function randomByte() {
  return Math.floor(256 * Math.random());
}

// --- Watching -------------------------------------------------------------------------------------

const POLL_INTERVAL_GROWTH = 1.25;
const MAX_USELESS_STREAMS = 3;
let openStreams = 0;
// The base URLs of servers that have said that they have no streams.
const withoutStreams = new Set();

/** Watches one run, or one workflow: by its stream of events if possible, otherwise by polling. */
class Watch {
  constructor(id, settings, place = RUNS) {
    this.id = id;
    this.place = place;
    this.settings = settings;
    this.run = null;
    this.interval = settings.pollInterval;
    this.canStream = settings.events && typeof ReadableStream === 'function';
    this.uselessStreams = 0;
  }

  async untilOver(first = null) {
    this.update(first ?? (await this.fetchRun()));
    while (!isOver(this.run)) {
      await this.streamIfPossible();
      if (isOver(this.run)) break;
      await pause(jittered(this.interval), this.settings.signal);
      this.update(await this.fetchRun());
    }
    return this.run;
  }

  /** Fetch the run, with retries. */
  async fetchRun() {
    const path = pathOf(this.id, '', this.place);
    const get = () => request(path, this.settings).then(asRun);
    return withRetries(get, this.settings, isTemporary);
  }

  /** Store the run and report it; return whether it has changed. */
  update(run) {
    const changed = differ(run, this.run);
    this.interval = changed
      ? this.settings.pollInterval
      : Math.min(this.interval * POLL_INTERVAL_GROWTH, Math.max(this.settings.maxPollInterval, this.settings.pollInterval));
    this.run = run;
    callSafely(this.settings.onProgress, run);
    return changed;
  }

  /** Read the stream, if there is one, until it ends. However it ends, that is not an error. */
  async streamIfPossible() {
    if (!this.canStream || withoutStreams.has(this.settings.baseURL)) return;
    if (isHidden() || openStreams >= this.settings.maxStreams) return;
    openStreams += 1;
    const wasUseful = await this.readStream().finally(() => (openStreams -= 1));
    this.settings.signal?.throwIfAborted();
    if (isHidden()) return;
    this.uselessStreams = wasUseful ? 0 : this.uselessStreams + 1;
    if (this.uselessStreams === MAX_USELESS_STREAMS) this.canStream = false;
  }

  /**
   * Read the stream; return whether it was useful, with changes or open for long. A hidden page closes its
   * stream, so that visible pages can have one.
   */
  async readStream() {
    const { settings } = this;
    // A stream starts with the run. If that does not arrive, something such as a proxy holds it back.
    const limit = new Limit(settings.signal, settings.streamStart);
    const removeListener = onVisibility(() => isHidden() && limit.abort());
    const startedAt = Date.now();
    let hasStarted = false;
    let hasChanged = false;
    try {
      const response = await fetch(urlOf(pathOf(this.id, 'events/', this.place), settings), {
        ...modeOf(settings),
        headers: await headersOf(settings, { Accept: 'text/event-stream' }, limit.signal),
        cache: 'no-store',
        signal: limit.signal,
      });
      if (!isStream(response)) {
        this.canStream = false;
        if (response.status === 406) withoutStreams.add(settings.baseURL);
        return false;
      }
      for await (const event of eventsOf(response.body, () => limit.extend(settings.streamTimeout))) {
        if (settings.signal?.aborted) return false;
        const run = runAfter(event, this.run);
        if (run === null) continue;
        hasStarted = true;
        hasChanged = this.update(run) || hasChanged;
        if (isOver(run)) return true;
      }
    } catch {
      // The stream was cut, refused or silent: the next request returns the state of the run.
    } finally {
      if (limit.isOver && !hasStarted) this.canStream = false;
      limit.end();
      removeListener();
    }
    return !limit.isOver && (hasChanged || Date.now() - startedAt > settings.streamTimeout);
  }
}

export function isOver(run) {
  return run.status !== 'pending' && run.status !== 'running';
}

function differ(run, other) {
  return JSON.stringify(run) !== JSON.stringify(other);
}

// --- Server-sent events -----------------------------------------------------------------------------

// The server has a limit too, and sends all messages that it keeps with each status event.
const MAX_MESSAGES = 1000;

function isStream(response) {
  const type = response.headers.get('Content-Type') ?? '';
  return response.ok && response.body !== null && type.startsWith('text/event-stream');
}

/** Return the run after an event; null if the event is not about the run. */
function runAfter({ type, data }, run) {
  let content;
  try {
    content = JSON.parse(data);
  } catch {
    return null;
  }
  if (type === 'status') return typeof content?.status === 'string' ? content : null;
  if (type === 'progress') return { ...run, ...content };
  if (type === 'message') return withMessage(run, content);
  return null;
}

function withMessage(run, { message, details }) {
  const { messages = [], message_details: before = [] } = run;
  return {
    ...run,
    messages: [...messages, message].slice(-MAX_MESSAGES),
    message_details: [...before, details].slice(-MAX_MESSAGES),
  };
}

/** Yield the events of a stream of bytes, as the HTML standard defines them. */
async function* eventsOf(body, onData) {
  let event = { type: 'message', data: [] };
  for await (const line of linesOf(body, onData)) {
    if (line === '') {
      if (event.data.length) yield { type: event.type, data: event.data.join('\n') };
      event = { type: 'message', data: [] };
      continue;
    }
    const [, field, value] = /^([^:]*)(?:: ?(.*))?$/s.exec(line);
    if (field === 'data') event.data.push(value ?? '');
    else if (field === 'event') event.type = value ?? '';
  }
}

async function* linesOf(body, onData) {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let rest = '';
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      onData();
      // A carriage return at the end may be the first half of a line break.
      const lines = (rest + decoder.decode(value, { stream: true })).split(/\r\n|\n|\r(?!$)/);
      rest = lines.pop();
      yield* lines;
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

// --- Requests ---------------------------------------------------------------------------------------

const MAX_RETRY_DELAY = 30_000;

/** Retry an action until it succeeds, fails permanently, or has failed for `settings.patience`. */
async function withRetries(action, settings, isRetryable) {
  // A sum, because the clock also advances while the computer sleeps.
  let spent = 0;
  let delay = settings.pollInterval;
  for (;;) {
    const startedAt = Date.now();
    try {
      return await action();
    } catch (error) {
      settings.signal?.throwIfAborted();
      if (!isRetryable(error) || error.retryAfter > settings.patience) throw error;
      spent += Math.min(Date.now() - startedAt, settings.requestTimeout);
      const wait = Math.max(jittered(delay), error.retryAfter ?? 0);
      if (spent + wait > settings.patience) throw new LostError(error, Math.round(spent / 1000));
      await pause(wait, settings.signal);
      spent += wait;
      delay = Math.min(2 * delay, MAX_RETRY_DELAY);
    }
  }
}

/** Return whether a request that changes nothing should be retried. */
function isTemporary(error) {
  return !(error instanceof RequestError) || error.httpStatus >= 500 || [408, 425, 429].includes(error.httpStatus);
}

/** Return whether there was no response, or none of the project itself. */
function isOutage(error) {
  return !(error instanceof RequestError) || [502, 503, 504].includes(error.httpStatus);
}

async function request(path, settings, { method = 'GET', body = null, headers = {} } = {}) {
  settings.signal?.throwIfAborted();
  const content = body === null ? null : JSON.stringify(body);
  const limit = new Limit(settings.signal, settings.requestTimeout);
  try {
    const response = await fetch(urlOf(path, settings), {
      ...modeOf(settings),
      method,
      cache: 'no-store',
      headers: await headersOf(settings, { ...contentHeaders(method, content, settings), ...headers }, limit.signal),
      body: content,
      signal: limit.signal,
    });
    if (response.headers.get('Taskworks-Events') === 'none') withoutStreams.add(settings.baseURL);
    const answer = parse(await response.text());
    if (response.ok) return answer;
    throw new RequestError(response.status, answer, { retryAfter: retryAfterOf(response) });
  } catch (error) {
    settings.signal?.throwIfAborted();
    throw limit.isOver ? new Error(`no answer within ${settings.requestTimeout / 1000} seconds`) : error;
  } finally {
    limit.end();
  }
}

/** Return the headers in the options, and those that the request needs. */
async function headersOf({ headers }, needed, signal) {
  const given = typeof headers === 'function' ? await unlessAborted(headers(), signal) : headers;
  const all = new Headers(given ?? {});
  for (const [name, value] of Object.entries(needed)) all.set(name, value);
  return all;
}

/** Return the promise, which is rejected when the signal is aborted. */
function unlessAborted(promise, signal) {
  return new Promise((resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    Promise.resolve(promise).then(resolve, reject);
  });
}

function contentHeaders(method, content, settings) {
  const headers = { Accept: 'application/json' };
  if (content !== null) headers['Content-Type'] = 'application/json';
  const token = method === 'GET' ? null : csrfTokenOf(settings);
  if (token) headers[settings.csrfHeaderName] = token;
  return headers;
}

function csrfTokenOf(settings) {
  return settings.csrfToken ?? cookie(settings.csrfCookieName) ?? csrfTokenInForm();
}

function cookie(name) {
  const cookies = globalThis.document?.cookie?.split('; ') ?? [];
  const found = cookies.find((one) => one.startsWith(`${name}=`));
  return found === undefined ? null : decodeURIComponent(found.slice(name.length + 1));
}

function csrfTokenInForm() {
  return globalThis.document?.querySelector?.('[name=csrfmiddlewaretoken]')?.value ?? null;
}

function modeOf({ corsMode }) {
  return { mode: corsMode, credentials: corsMode === 'cors' ? 'include' : 'same-origin' };
}

function urlOf(path, { baseURL }) {
  return `${baseURL.replace(/\/?$/, '/')}${path}`;
}

/** Return the path of a run. An id from elsewhere must not lead to another one: even encoded, `..` would. */
function pathOf(id, rest = '', place = RUNS) {
  if (!/^[\w-]+$/.test(id ?? '')) {
    const what = place === RUNS ? 'run' : 'workflow';
    throw new TypeError(`The id of a ${what} has only letters, digits, - and _, unlike ${JSON.stringify(id)}.`);
  }
  return `${place}${id}/${rest}`;
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** Return the run; throw for anything else, such as a login page, which would be watched forever. */
function asRun(content) {
  if (typeof content?.status === 'string') return content;
  throw new RequestError(200, content, { message: "The server's response is not a run." });
}

function retryAfterOf(response) {
  const value = response.headers.get('Retry-After');
  if (!value) return null;
  const wait = /^\d+$/.test(value) ? 1000 * value : Date.parse(value) - Date.now();
  return Number.isNaN(wait) ? null : Math.max(wait, 0);
}

/** Return the text of an error response of Django REST framework. */
function errorTextOf(body) {
  if (typeof body !== 'object' || body === null) return '';
  return [...errorsIn(body, '')].join(' ');
}

function* errorsIn(value, name) {
  if (Array.isArray(value)) for (const one of value) yield* errorsIn(one, name);
  else if (typeof value === 'object' && value !== null) {
    for (const [key, one] of Object.entries(value)) yield* errorsIn(one, nameOf(key, name));
  } else yield name ? `${name}: ${value}` : `${value}`;
}

function nameOf(key, before) {
  return ['detail', 'non_field_errors', 'inputs'].includes(key) ? before : key;
}

function failureOf({ error }) {
  if (typeof error === 'string') return error;
  return error?.message ?? '';
}

// --- Time -------------------------------------------------------------------------------------------

/** An abort signal with a timeout that also follows another signal. */
class Limit {
  constructor(signal, milliseconds) {
    this.controller = new AbortController();
    this.outer = signal;
    this.isOver = false;
    this.abort = () => this.controller.abort(signal?.reason);
    if (signal?.aborted) this.abort();
    signal?.addEventListener('abort', this.abort);
    this.extend(milliseconds);
  }

  get signal() {
    return this.controller.signal;
  }

  extend(milliseconds) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      this.isOver = true;
      this.controller.abort();
    }, milliseconds);
  }

  end() {
    clearTimeout(this.timer);
    this.outer?.removeEventListener('abort', this.abort);
    this.controller.abort();
  }
}

/** Wait; end early when the page becomes visible again. */
function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const end = (finish) => {
      clearTimeout(timer);
      removeListener();
      signal?.removeEventListener('abort', stop);
      finish(signal?.reason);
    };
    const stop = () => end(reject);
    const timer = setTimeout(() => end(resolve), milliseconds);
    const removeListener = onVisibility(() => isHidden() || end(resolve));
    signal?.addEventListener('abort', stop);
    if (signal?.aborted) stop();
  });
}

function isHidden() {
  return globalThis.document?.visibilityState === 'hidden';
}

/** Call `listener` when the page is hidden or shown; return a function that removes it. */
function onVisibility(listener) {
  const page = globalThis.document;
  page?.addEventListener?.('visibilitychange', listener);
  return () => page?.removeEventListener?.('visibilitychange', listener);
}

/** Shorten a time at random, so that many pages do not send requests at the same moment. */
function jittered(milliseconds) {
  return milliseconds * (0.75 + Math.random() / 4);
}

// --- The element ------------------------------------------------------------------------------------

const STYLE = `
  :host { display: block; }
  :host([hidden]), [hidden] { display: none !important; }
  header, footer { display: flex; gap: 0.5em; align-items: baseline; justify-content: space-between; }
  [part="label"], [part="log"] { flex: 1; min-width: 0; }
  footer { align-items: start; }
  .bar { height: 0.75em; margin: 0.35em 0; overflow: hidden; border: 1px solid; border-radius: 0.4em; }
  .fill { height: 100%; width: 0; background: var(--taskworks-color, #0b7285); transition: width 0.2s; }
  .bar:not([aria-valuenow])[data-status="running"] .fill { width: 30%; animation: wander 1.5s infinite alternate ease-in-out; }
  .bar[data-status="failed"] .fill { background: var(--taskworks-color-failed, #c92a2a); }
  .bar[data-status="cancelled"] .fill { background: var(--taskworks-color-cancelled, #868e96); }
  @keyframes wander { to { margin-left: 70%; } }
  @media (prefers-reduced-motion: reduce) { .fill { animation: none !important; transition: none; } }
  @media (forced-colors: active) { .fill { background: Highlight !important; forced-color-adjust: none; } }
  ol { margin: 0; padding: 0; list-style: none; max-height: 9em; overflow-y: auto; overflow-wrap: anywhere; }
  li[data-level="error"], .error { color: var(--taskworks-color-failed, #c92a2a); }
  .error { margin: 0; overflow-wrap: anywhere; }
  button { font: inherit; }
  button[aria-disabled="true"] { opacity: 0.5; cursor: default; }
`;

/** Make the content of the element; not from text, which a policy with `require-trusted-types-for` refuses. */
function makeFrame() {
  const bar = {
    class: 'bar', role: 'progressbar', 'aria-labelledby': 'label', 'aria-valuemin': 0, 'aria-valuemax': 100,
  };
  return [
    make('header', {}, makePart('label', 'span', { id: 'label' }), makePart('step', 'span', { 'aria-hidden': true }),
      makePart('status', 'span', { role: 'status', tabindex: -1 })),
    makePart('bar', 'div', bar, makePart('fill', 'div', { class: 'fill' })),
    makePart('error', 'p', { class: 'error', role: 'alert', hidden: '' }),
    make('footer', {}, makePart('log', 'div', { role: 'log' }, makePart('messages', 'ol')),
      makePart('cancel', 'button', { type: 'button', hidden: '' })),
  ];
}

function makePart(part, name, attributes = {}, ...children) {
  return make(name, { part, ...attributes }, ...children);
}

function make(name, attributes, ...children) {
  const made = document.createElement(name);
  for (const [attribute, value] of Object.entries(attributes)) made.setAttribute(attribute, value);
  made.append(...children);
  return made;
}

/** The class of the element, for registering it under another name. */
export const TaskworksProgress =
  typeof HTMLElement === 'undefined' ? undefined : makeElement(HTMLElement);

function makeElement(Base) {
  return class TaskworksProgress extends Base {
    static observedAttributes = ['run', 'workflow', 'label'];

    #parts = null;
    #watch = null;
    #run = null;
    #shownMessages = [];

    /** The latest state of the run or workflow, or null. */
    get current() {
      return this.#run;
    }

    connectedCallback() {
      this.#draw();
      this.#start();
    }

    disconnectedCallback() {
      this.#stop();
    }

    attributeChangedCallback(name, before, value) {
      if (!this.#parts || before === value) return;
      if (name === 'label') this.#showLabel();
      else this.#start();
    }

    #draw() {
      if (this.#parts) return;
      const root = this.shadowRoot ?? this.attachShadow({ mode: 'open' });
      root.replaceChildren(...makeFrame());
      root.adoptedStyleSheets = [sharedStyle()];
      const part = (name) => root.querySelector(`[part="${name}"]`);
      this.#parts = Object.fromEntries(
        ['label', 'step', 'status', 'bar', 'fill', 'error', 'messages', 'cancel'].map((name) => [name, part(name)]),
      );
      this.#parts.cancel.addEventListener('click', () => this.cancel());
      this.#showLabel();
    }

    #showLabel() {
      const label = this.getAttribute('label') || options.texts.label;
      this.#parts.label.textContent = label;
      this.#parts.cancel.textContent = options.texts.cancel;
      this.#parts.cancel.setAttribute('aria-label', `${options.texts.cancel}: ${label}`);
    }

    async #start() {
      this.#stop();
      this.#clear();
      const workflow = this.getAttribute('workflow');
      const id = workflow || this.getAttribute('run');
      if (!id) return;
      const watch = (this.#watch = new AbortController());
      const onProgress = (run) => watch.signal.aborted || this.#show(run);
      try {
        await (workflow ? attachWorkflow : attach)(id, { onProgress, signal: watch.signal });
      } catch (error) {
        if (!watch.signal.aborted && !(error instanceof RunError)) this.#showError(error);
      }
      if (!watch.signal.aborted) this.#finish();
    }

    #stop() {
      this.#watch?.abort();
      this.#watch = null;
    }

    #clear() {
      const { step, status, bar, fill, error, messages, cancel } = this.#parts;
      this.#run = null;
      this.#shownMessages = [];
      step.textContent = status.textContent = '';
      error.hidden = cancel.hidden = true;
      messages.replaceChildren();
      bar.removeAttribute('aria-valuenow');
      bar.removeAttribute('data-status');
      fill.style.width = '';
    }

    #show(run) {
      this.#run = run;
      this.#showStatus(run);
      this.#showPercent(run);
      this.#showMessages(run);
      this.#showCancel(run);
      this.#emit('progress', run);
    }

    #showStatus(run) {
      const { status, bar, error } = this.#parts;
      const isCancelling = run.cancel_requested && !isOver(run);
      const text = options.texts[isCancelling ? 'cancelling' : run.status] ?? run.status;
      // Written only if it has changed, because screen readers announce it.
      if (status.textContent !== text) status.textContent = text;
      bar.dataset.status = run.status;
      const failure = run.status === 'failed' ? failureOf(run) : '';
      if (failure && error.textContent !== failure) error.textContent = failure;
      error.hidden = !failure;
    }

    #showPercent(run) {
      const { bar, fill, step } = this.#parts;
      const percent = percentOf(run);
      fill.style.width = percent === null ? '' : `${percent}%`;
      if (percent === null) bar.removeAttribute('aria-valuenow');
      else bar.setAttribute('aria-valuenow', Math.round(percent));
      const text = stepOf(run);
      if (text) bar.setAttribute('aria-valuetext', text);
      else bar.removeAttribute('aria-valuetext');
      step.textContent = text;
    }

    /** Add only new messages, so that screen readers announce only these. */
    #showMessages({ messages: texts = [], message_details: details = [] }) {
      const { messages } = this.#parts;
      const gone = this.#shownMessages.findIndex((_, index) => startsWith(texts, this.#shownMessages.slice(index)));
      const kept = gone < 0 ? [] : this.#shownMessages.slice(gone);
      for (const old of [...messages.children].slice(0, this.#shownMessages.length - kept.length)) old.remove();
      const added = texts.slice(kept.length);
      messages.append(...added.map((text, index) => line(text, details[kept.length + index])));
      if (added.length) messages.scrollTop = messages.scrollHeight;
      this.#shownMessages = [...texts];
    }

    #showCancel(run) {
      const { cancel } = this.#parts;
      if (isOver(run)) this.#hideCancel();
      else cancel.hidden = this.hasAttribute('no-cancel');
      setBusy(cancel, run.cancel_requested);
    }

    /** Hide the button; if it has the focus, move the focus to the status, not to the top of the page. */
    #hideCancel() {
      const { cancel, status } = this.#parts;
      const hadFocus = this.shadowRoot.activeElement === cancel;
      cancel.hidden = true;
      if (hadFocus) status.focus();
    }

    #finish() {
      this.#hideCancel();
      if (this.#run && isOver(this.#run)) this.#emit('finished', this.#run);
    }

    #showError(problem) {
      const { error, bar } = this.#parts;
      error.textContent = problem.message;
      error.hidden = false;
      bar.dataset.status = 'failed';
      this.#emit('error', problem);
    }

    #emit(name, detail) {
      this.dispatchEvent(new CustomEvent(`taskworks-${name}`, { detail, bubbles: true, composed: true }));
    }

    /** Cancel the run or workflow, as the button does. */
    async cancel() {
      const { cancel: button, error } = this.#parts;
      const { signal } = this.#watch ?? {};
      if (button.getAttribute('aria-disabled') === 'true') return;
      setBusy(button, true);
      error.hidden = true;
      try {
        const workflow = this.getAttribute('workflow');
        const run = await (workflow ? cancelWorkflow(workflow, { signal }) : cancel(this.getAttribute('run'), { signal }));
        // The watch may have received a newer state, in which the run is over.
        if (!signal?.aborted && !isOver(this.#run ?? run)) this.#show(run);
      } catch (problem) {
        // 409: the run was over already, which the watch will show.
        if (signal?.aborted || problem.httpStatus === 409) return;
        setBusy(button, false);
        error.textContent = problem.message;
        error.hidden = false;
      }
    }
  };
}

let style = null;

function sharedStyle() {
  if (style === null) {
    style = new CSSStyleSheet();
    style.replaceSync(STYLE);
  }
  return style;
}

/** Set `aria-disabled`; with `disabled`, the button would lose the focus. */
function setBusy(button, isBusy) {
  button.setAttribute('aria-disabled', Boolean(isBusy));
}

function percentOf({ percent, status }) {
  if (typeof percent === 'number') return Math.min(Math.max(percent, 0), 100);
  return status === 'succeeded' ? 100 : null;
}

function stepOf({ progress, target }) {
  if (typeof progress !== 'number') return '';
  return typeof target === 'number' ? `${progress} / ${target}` : `${progress}`;
}

function startsWith(list, start) {
  return start.every((one, index) => one === list[index]);
}

function line(text, details) {
  const item = document.createElement('li');
  item.textContent = typeof text === 'string' ? text : JSON.stringify(text);
  item.dataset.level = details?.level ?? 'info';
  return item;
}

// --- On a page ----------------------------------------------------------------------------------------

/** Read the project's options, which `{% taskworks_client %}` writes into the page. */
function readOptions() {
  const script = document.getElementById('taskworks-options');
  if (!script) return;
  const { texts = {}, ...others } = JSON.parse(script.textContent);
  Object.assign(options, others);
  Object.assign(options.texts, texts);
}

const client = {
  run, start, attach, cancel, attachWorkflow, cancelWorkflow, types, options, isOver, RequestError, RunError, LostError,
};
export default client;

if (typeof document !== 'undefined') {
  readOptions();
  // For scripts that are not modules; TaskAPI is the name in django-task-api.
  globalThis.taskworks ??= client;
  globalThis.TaskAPI ??= client;
  if (!customElements.get('taskworks-progress')) {
    customElements.define('taskworks-progress', TaskworksProgress);
  }
}
