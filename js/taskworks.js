/**
 * The browser client of Taskworks: start a task, watch it, cancel it; and an element that shows it.
 *
 * It needs nothing but what browsers have. Where there is no document, in Node 18 and later, all of it
 * works but the element.
 */

/** What holds for every call; a call's own options come before these. Times are milliseconds. */
export const options = {
  baseURL: '/tasks/',
  csrfCookieName: 'csrftoken',
  csrfHeaderName: 'X-CSRFToken',
  // For projects whose cookie scripts cannot read (CSRF_USE_SESSIONS, CSRF_COOKIE_HTTPONLY).
  csrfToken: null,
  // 'cors' for a server of another origin, which gets the cookies too.
  corsMode: 'same-origin',
  // Whether to ask for server-sent events, and how many runs of a page may have a stream at once:
  // over HTTP/1.1 browsers open six connections to a server, for all of its pages together.
  events: true,
  maxStreams: 3,
  pollInterval: 1000,
  maxPollInterval: 5000,
  // How long one request may take, a stream to begin, and a stream to be silent.
  requestTimeout: 30_000,
  streamStart: 5_000,
  streamTimeout: 45_000,
  // How long a server may be away before a watch gives up.
  patience: 120_000,
  // The words of the element.
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

/** The server has refused a request: `httpStatus`, and in `body` what it said of it. */
export class RequestError extends Error {
  constructor(httpStatus, body, { retryAfter = null, message = null } = {}) {
    super(message ?? (sentenceOf(body) || `Bad status: ${httpStatus}`));
    this.name = 'RequestError';
    this.httpStatus = httpStatus;
    this.body = body;
    this.retryAfter = retryAfter;
  }
}

/** The run has ended otherwise than well. It is in `run`, and each of its keys is one of the error's. */
export class RunError extends Error {
  constructor(run) {
    super(reasonOf(run) || `The run ${run.id} is ${run.status}.`);
    this.name = 'RunError';
    Object.assign(this, run);
    Object.defineProperty(this, 'run', { value: run });
  }
}

/** The server did not answer for as long as `options.patience`; what was wrong last is the `cause`. */
export class LostError extends Error {
  constructor(cause, seconds) {
    super(`The server could not be reached for ${seconds} seconds: ${cause.message}`, { cause });
    this.name = 'LostError';
  }
}

/**
 * Start a task and watch its run. The promise gives the run as soon as it has succeeded; it is rejected
 * with a `RunError` if it ends otherwise, and in any case it settles.
 *
 * `run(task, inputs, progressCallback, callback, errback)` is understood as well.
 */
export function run(task, inputs = {}, ...others) {
  const { callbacks, given } = sortedOut(others);
  const settings = { ...options, ...given };
  return settling(async () => {
    const first = await started(task, inputs, settings);
    return new Watch(first.id ?? first.uuid, settings).untilOver(first);
  }, settings, callbacks);
}

/** Start a task without watching it: the run as it is at first, whose `id` is for `attach` or the element. */
export function start(task, inputs = {}, given = {}) {
  return started(task, inputs, { ...options, ...given });
}

/** Watch a run that has been started before, as `run` does: after a reload, or in another window. */
export function attach(id, given = {}) {
  const settings = { ...options, ...given };
  return settling(() => new Watch(id, settings).untilOver(), settings);
}

/** Ask for a run to stop, and return it: cancelled if it still waited, else it will be in a moment. */
export function cancel(id, given = {}) {
  const settings = { ...options, ...given };
  return request(pathOf(id, 'cancel/'), settings, { method: 'POST' });
}

/** The tasks on offer, each with the JSON Schema of its inputs and of its outputs. */
export async function types(given = {}) {
  const { results } = await request('types/', { ...options, ...given });
  return results;
}

// --- Settling -------------------------------------------------------------------------------------

function sortedOut(others) {
  const [first, callback = null, errback = null] = others;
  if (typeof first === 'object' && first !== null) {
    return { callbacks: {}, given: first };
  }
  return { callbacks: { callback, errback }, given: { onProgress: first } };
}

function settling(action, settings, { callback = null, errback = null } = {}) {
  const promise = endOf(action, settings).then(
    (run) => {
      safely(callback, run);
      return run;
    },
    (error) => {
      safely(errback, error instanceof RunError ? error.run : error);
      throw error;
    },
  );
  // Whoever has given an errback hears of the error there, and need not look at the promise.
  if (errback) promise.catch(() => {});
  return promise;
}

async function endOf(action, settings) {
  settings.signal?.throwIfAborted();
  const run = await action();
  if (run.status !== 'succeeded') throw new RunError(run);
  return run;
}

/** What a page does with news is its own affair: its error is reported, and the watch goes on. */
function safely(callback, ...values) {
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

/** Only with a key, by which the server knows a request again, can a request that was lost be repeated. */
async function started(task, inputs, settings) {
  const key = settings.idempotencyKey ?? (settings.corsMode === 'cors' ? null : randomKey());
  const post = () =>
    request('', settings, {
      method: 'POST',
      body: { task, inputs },
      headers: key === null ? {} : { 'Idempotency-Key': key },
    });
  return asRun(key === null ? await post() : await persistently(post, settings, isOutage));
}

function randomKey() {
  const bytes = globalThis.crypto?.getRandomValues(new Uint8Array(16)) ?? Array.from({ length: 16 }, randomByte);
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** Where there is no other chance. A key has to be another one each time; it is no secret. */
function randomByte() {
  return Math.floor(256 * Math.random());
}

// --- Watching -------------------------------------------------------------------------------------

const GROWTH = 1.25;
const USELESS_STREAMS = 3;
let openStreams = 0;

/** Follows one run: by its stream of events where there is one, else by looking again and again. */
class Watch {
  constructor(id, settings) {
    this.id = id;
    this.settings = settings;
    this.run = null;
    this.interval = settings.pollInterval;
    this.streams = settings.events && typeof ReadableStream === 'function';
    this.uselessStreams = 0;
  }

  async untilOver(first = null) {
    this.see(first ?? (await this.look()));
    while (!isOver(this.run)) {
      await this.listen();
      if (isOver(this.run)) break;
      await pause(jittered(this.interval), this.settings.signal);
      this.see(await this.look());
    }
    return this.run;
  }

  /** Look at the run, as often as it takes to get an answer. */
  async look() {
    const path = pathOf(this.id);
    const answer = () => request(path, this.settings).then(asRun);
    return persistently(answer, this.settings, isWeather);
  }

  see(run) {
    const changed = differ(run, this.run);
    this.interval = changed
      ? this.settings.pollInterval
      : Math.min(this.interval * GROWTH, Math.max(this.settings.maxPollInterval, this.settings.pollInterval));
    this.run = run;
    safely(this.settings.onProgress, run);
    return changed;
  }

  /** Follow the stream until it ends, if there is one. It may end for any reason, and is no error then. */
  async listen() {
    if (!this.streams || isHidden() || openStreams >= this.settings.maxStreams) return;
    openStreams += 1;
    const isOfUse = await this.follow().finally(() => (openStreams -= 1));
    this.settings.signal?.throwIfAborted();
    if (isHidden()) return;
    this.uselessStreams = isOfUse ? 0 : this.uselessStreams + 1;
    if (this.uselessStreams === USELESS_STREAMS) this.streams = false;
  }

  /**
   * Return whether it was of any use: there was news in it, or it was alive for long. A page that is
   * hidden leaves its stream to those that are seen.
   */
  async follow() {
    const { settings } = this;
    // A stream begins with the run as it is. Where that does not come, something on the way keeps it.
    const limit = new Limit(settings.signal, settings.streamStart);
    const forget = onVisibility(() => isHidden() && limit.abort());
    const begun = Date.now();
    let heard = false;
    let news = false;
    try {
      const response = await fetch(urlOf(pathOf(this.id, 'events/'), settings), {
        ...modeOf(settings),
        headers: { Accept: 'text/event-stream' },
        cache: 'no-store',
        signal: limit.signal,
      });
      if (!isStream(response)) {
        this.streams = false;
        return false;
      }
      for await (const event of eventsOf(response.body, () => limit.extend(settings.streamTimeout))) {
        if (settings.signal?.aborted) return false;
        const run = runAfter(event, this.run);
        if (run === null) continue;
        heard = true;
        news = this.see(run) || news;
        if (isOver(run)) return true;
      }
    } catch {
      // Whether it was cut, refused or silent, the next look says how the run is.
    } finally {
      if (limit.isOver && !heard) this.streams = false;
      limit.end();
      forget();
    }
    return !limit.isOver && (news || Date.now() - begun > settings.streamTimeout);
  }
}

export function isOver(run) {
  return run.status !== 'pending' && run.status !== 'running';
}

function differ(run, other) {
  return JSON.stringify(run) !== JSON.stringify(other);
}

// --- Server-sent events -----------------------------------------------------------------------------

// The server keeps as many as its settings say, and tells them anew with each status.
const MOST_MESSAGES = 1000;

function isStream(response) {
  const type = response.headers.get('Content-Type') ?? '';
  return response.ok && response.body !== null && type.startsWith('text/event-stream');
}

/** The run after an event, or null if it tells nothing of it. */
function runAfter({ type, data }, run) {
  let told;
  try {
    told = JSON.parse(data);
  } catch {
    return null;
  }
  if (type === 'status') return typeof told?.status === 'string' ? told : null;
  if (type === 'progress') return { ...run, ...told };
  if (type === 'message') return withMessage(run, told);
  return null;
}

function withMessage(run, { message, details }) {
  const { messages = [], message_details: before = [] } = run;
  return {
    ...run,
    messages: [...messages, message].slice(-MOST_MESSAGES),
    message_details: [...before, details].slice(-MOST_MESSAGES),
  };
}

/** The events of a stream of bytes, as the HTML standard defines them. */
async function* eventsOf(body, alive) {
  let event = { type: 'message', data: [] };
  for await (const line of linesOf(body, alive)) {
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

async function* linesOf(body, alive) {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let rest = '';
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      alive();
      // A carriage return at the end may be half a line's end.
      const lines = (rest + decoder.decode(value, { stream: true })).split(/\r\n|\n|\r(?!$)/);
      rest = lines.pop();
      yield* lines;
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

// --- Requests ---------------------------------------------------------------------------------------

const MAX_BACKOFF = 30_000;

/** Do it until it succeeds, fails for good, or has failed for longer than the patience. */
async function persistently(action, settings, isPassing) {
  // Added up, for the clock goes on while a computer sleeps.
  let spent = 0;
  let delay = settings.pollInterval;
  for (;;) {
    const begun = Date.now();
    try {
      return await action();
    } catch (error) {
      settings.signal?.throwIfAborted();
      if (!isPassing(error) || error.retryAfter > settings.patience) throw error;
      spent += Math.min(Date.now() - begun, settings.requestTimeout);
      const wait = Math.max(jittered(delay), error.retryAfter ?? 0);
      if (spent + wait > settings.patience) throw new LostError(error, Math.round(spent / 1000));
      await pause(wait, settings.signal);
      spent += wait;
      delay = Math.min(2 * delay, MAX_BACKOFF);
    }
  }
}

/** No answer, or one that says "not now". */
function isWeather(error) {
  return !(error instanceof RequestError) || error.httpStatus >= 500 || [408, 425, 429].includes(error.httpStatus);
}

/** No answer of the project's own. */
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
      headers: headersOf(method, content, headers, settings),
      body: content,
      signal: limit.signal,
    });
    const answer = parsed(await response.text());
    if (response.ok) return answer;
    throw new RequestError(response.status, answer, { retryAfter: retryAfterOf(response) });
  } catch (error) {
    settings.signal?.throwIfAborted();
    throw limit.isOver ? new Error(`no answer within ${settings.requestTimeout / 1000} seconds`) : error;
  } finally {
    limit.end();
  }
}

function headersOf(method, content, others, settings) {
  const headers = { Accept: 'application/json', ...others };
  if (content !== null) headers['Content-Type'] = 'application/json';
  const token = method === 'GET' ? null : csrfTokenOf(settings);
  if (token) headers[settings.csrfHeaderName] = token;
  return headers;
}

function csrfTokenOf(settings) {
  return settings.csrfToken ?? cookie(settings.csrfCookieName) ?? tokenOfAForm();
}

function cookie(name) {
  const cookies = globalThis.document?.cookie?.split('; ') ?? [];
  const found = cookies.find((one) => one.startsWith(`${name}=`));
  return found === undefined ? null : decodeURIComponent(found.slice(name.length + 1));
}

function tokenOfAForm() {
  return globalThis.document?.querySelector?.('[name=csrfmiddlewaretoken]')?.value ?? null;
}

function modeOf({ corsMode }) {
  return { mode: corsMode, credentials: corsMode === 'cors' ? 'include' : 'same-origin' };
}

function urlOf(path, { baseURL }) {
  return `${baseURL.replace(/\/?$/, '/')}${path}`;
}

function pathOf(id, rest = '') {
  return `${encodeURIComponent(id)}/${rest}`;
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** A page that is no run, as where a login page is answered instead, would be watched for ever. */
function asRun(answer) {
  if (typeof answer?.status === 'string') return answer;
  throw new RequestError(200, answer, { message: 'The server has answered with something that is no run.' });
}

function retryAfterOf(response) {
  const value = response.headers.get('Retry-After');
  if (!value) return null;
  const wait = /^\d+$/.test(value) ? 1000 * value : Date.parse(value) - Date.now();
  return Number.isNaN(wait) ? null : Math.max(wait, 0);
}

/** What is wrong, in one sentence, of the bodies that Django REST framework answers with. */
function sentenceOf(body) {
  if (typeof body !== 'object' || body === null) return '';
  return [...reasonsIn(body, '')].join(' ');
}

function* reasonsIn(value, name) {
  if (Array.isArray(value)) for (const one of value) yield* reasonsIn(one, name);
  else if (typeof value === 'object' && value !== null) {
    for (const [key, one] of Object.entries(value)) yield* reasonsIn(one, nameOf(key, name));
  } else yield name ? `${name}: ${value}` : `${value}`;
}

function nameOf(key, before) {
  return ['detail', 'non_field_errors', 'inputs'].includes(key) ? before : key;
}

function reasonOf({ error }) {
  if (typeof error === 'string') return error;
  return error?.message ?? '';
}

// --- Time -------------------------------------------------------------------------------------------

/** A signal that comes after a time, or with another signal. */
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

/** Over at once when somebody comes back to the page. */
function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const settle = (how) => {
      clearTimeout(timer);
      forget();
      signal?.removeEventListener('abort', stop);
      how(signal?.reason);
    };
    const stop = () => settle(reject);
    const timer = setTimeout(() => settle(resolve), milliseconds);
    const forget = onVisibility(() => isHidden() || settle(resolve));
    signal?.addEventListener('abort', stop);
    if (signal?.aborted) stop();
  });
}

function isHidden() {
  return globalThis.document?.visibilityState === 'hidden';
}

/** Call when the page is hidden, or seen again, until what is returned is called. */
function onVisibility(call) {
  const page = globalThis.document;
  page?.addEventListener?.('visibilitychange', call);
  return () => page?.removeEventListener?.('visibilitychange', call);
}

/** So that the pages of many people do not all come back at the same moment. */
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
  .fill { height: 100%; width: 0; background: var(--taskworks-colour, #0b7285); transition: width 0.2s; }
  .bar:not([aria-valuenow])[data-status="running"] .fill { width: 30%; animation: wander 1.5s infinite alternate ease-in-out; }
  .bar[data-status="failed"] .fill { background: var(--taskworks-colour-failed, #c92a2a); }
  .bar[data-status="cancelled"] .fill { background: var(--taskworks-colour-cancelled, #868e96); }
  @keyframes wander { to { margin-left: 70%; } }
  @media (prefers-reduced-motion: reduce) { .fill { animation: none !important; transition: none; } }
  @media (forced-colors: active) { .fill { background: Highlight !important; forced-color-adjust: none; } }
  ol { margin: 0; padding: 0; list-style: none; max-height: 9em; overflow-y: auto; overflow-wrap: anywhere; }
  li[data-level="error"], .error { color: var(--taskworks-colour-failed, #c92a2a); }
  .error { margin: 0; overflow-wrap: anywhere; }
  button { font: inherit; }
  button[aria-disabled="true"] { opacity: 0.5; cursor: default; }
`;

const FRAME = `
  <header><span part="label" id="label"></span><span part="step" aria-hidden="true"></span
    ><span part="status" role="status" tabindex="-1"></span></header>
  <div part="bar" class="bar" role="progressbar" aria-labelledby="label" aria-valuemin="0" aria-valuemax="100"
    ><div part="fill" class="fill"></div></div>
  <p part="error" class="error" role="alert" hidden></p>
  <footer><div role="log" part="log"><ol part="messages"></ol></div><button part="cancel" type="button" hidden></button></footer>
`;

/** The element itself, a class of its own for those who register it under another name. */
export const TaskworksProgress =
  typeof HTMLElement === 'undefined' ? undefined : makeElement(HTMLElement);

function makeElement(Base) {
  return class TaskworksProgress extends Base {
    static observedAttributes = ['run', 'label'];

    #parts = null;
    #watch = null;
    #run = null;
    #told = [];

    /** The run as it was seen last, or null. */
    get current() {
      return this.#run;
    }

    connectedCallback() {
      this.#draw();
      this.#begin();
    }

    disconnectedCallback() {
      this.#stop();
    }

    attributeChangedCallback(name, before, value) {
      if (!this.#parts || before === value) return;
      if (name === 'run') this.#begin();
      else this.#name();
    }

    #draw() {
      if (this.#parts) return;
      const root = this.shadowRoot ?? this.attachShadow({ mode: 'open' });
      root.innerHTML = FRAME;
      root.adoptedStyleSheets = [sharedStyle()];
      const part = (name) => root.querySelector(`[part="${name}"]`);
      this.#parts = Object.fromEntries(
        ['label', 'step', 'status', 'bar', 'fill', 'error', 'messages', 'cancel'].map((name) => [name, part(name)]),
      );
      this.#parts.cancel.addEventListener('click', () => this.cancel());
      this.#name();
    }

    #name() {
      const label = this.getAttribute('label') || options.texts.label;
      this.#parts.label.textContent = label;
      this.#parts.cancel.textContent = options.texts.cancel;
      this.#parts.cancel.setAttribute('aria-label', `${options.texts.cancel}: ${label}`);
    }

    async #begin() {
      this.#stop();
      this.#clear();
      const id = this.getAttribute('run');
      if (!id) return;
      const watch = (this.#watch = new AbortController());
      const onProgress = (run) => watch.signal.aborted || this.#show(run);
      try {
        await attach(id, { onProgress, signal: watch.signal });
      } catch (error) {
        if (!watch.signal.aborted && !(error instanceof RunError)) this.#complain(error);
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
      this.#told = [];
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
      // Written only when it is another one, for what is written is read aloud.
      if (status.textContent !== text) status.textContent = text;
      bar.dataset.status = run.status;
      const reason = run.status === 'failed' ? reasonOf(run) : '';
      if (reason && error.textContent !== reason) error.textContent = reason;
      error.hidden = !reason;
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

    /** Only what is new is added, so that it alone is read aloud. */
    #showMessages({ messages: texts = [], message_details: details = [] }) {
      const { messages } = this.#parts;
      const gone = this.#told.findIndex((_, index) => begins(texts, this.#told.slice(index)));
      const kept = gone < 0 ? [] : this.#told.slice(gone);
      for (const old of [...messages.children].slice(0, this.#told.length - kept.length)) old.remove();
      const added = texts.slice(kept.length);
      messages.append(...added.map((text, index) => line(text, details[kept.length + index])));
      if (added.length) messages.scrollTop = messages.scrollHeight;
      this.#told = [...texts];
    }

    #showCancel(run) {
      const { cancel } = this.#parts;
      if (isOver(run)) this.#hideCancel();
      else cancel.hidden = this.hasAttribute('no-cancel');
      setBusy(cancel, run.cancel_requested);
    }

    /** Whoever has just pressed it with the keyboard must not be thrown back to the top of the page. */
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

    #complain(problem) {
      const { error, bar } = this.#parts;
      error.textContent = problem.message;
      error.hidden = false;
      bar.dataset.status = 'failed';
      this.#emit('error', problem);
    }

    #emit(name, detail) {
      this.dispatchEvent(new CustomEvent(`taskworks-${name}`, { detail, bubbles: true, composed: true }));
    }

    /** What its button does. */
    async cancel() {
      const { cancel: button, error } = this.#parts;
      const { signal } = this.#watch ?? {};
      if (button.getAttribute('aria-disabled') === 'true') return;
      setBusy(button, true);
      error.hidden = true;
      try {
        const run = await cancel(this.getAttribute('run'), { signal });
        // The watch may have seen its end meanwhile, which is newer.
        if (!signal?.aborted && !isOver(this.#run ?? run)) this.#show(run);
      } catch (problem) {
        // 409: it was over before, and the watch will say so.
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

/** Not `disabled`, which takes the focus away from whoever has just pressed it. */
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

function begins(list, beginning) {
  return beginning.every((one, index) => one === list[index]);
}

function line(text, details) {
  const item = document.createElement('li');
  item.textContent = typeof text === 'string' ? text : JSON.stringify(text);
  item.dataset.level = details?.level ?? 'info';
  return item;
}

// --- On a page ----------------------------------------------------------------------------------------

/** `{% taskworks_client %}` writes the project's own options into the page. */
function readOptions() {
  const written = document.getElementById('taskworks-options');
  if (!written) return;
  const { texts = {}, ...others } = JSON.parse(written.textContent);
  Object.assign(options, others);
  Object.assign(options.texts, texts);
}

const client = { run, start, attach, cancel, types, options, isOver, RequestError, RunError, LostError };
export default client;

if (typeof document !== 'undefined') {
  readOptions();
  // For scripts that are no modules; TaskAPI is what django-task-api called it.
  globalThis.taskworks ??= client;
  globalThis.TaskAPI ??= client;
  if (!customElements.get('taskworks-progress')) {
    customElements.define('taskworks-progress', TaskworksProgress);
  }
}
