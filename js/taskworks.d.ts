/** The browser client of Taskworks. */

export type Status = 'pending' | 'running' | 'succeeded' | 'failed' | 'cancelled';

/** A run, as the API shows it. `Outputs` is what the task gives. */
export interface Run<Outputs = Record<string, unknown>> {
  readonly id: string;
  readonly uuid: string;
  readonly task: string;
  readonly status: Status;
  readonly progress: number | null;
  readonly target: number | null;
  /** 0 to 100; null while there is no target. */
  readonly percent: number | null;
  /** Empty until the run has succeeded. */
  readonly outputs: Outputs;
  readonly messages: readonly string[];
  readonly message_details: readonly MessageDetails[];
  readonly error: { readonly type: string; readonly message: string } | null;
  readonly attempts: number;
  readonly cancel_requested: boolean;
  readonly queue: string;
  readonly created: string;
  readonly started: string | null;
  readonly finished: string | null;
}

export interface MessageDetails {
  readonly level: 'debug' | 'info' | 'warning' | 'error';
  readonly time: string;
}

export interface TaskType {
  readonly name: string;
  readonly description: string;
  /** JSON Schema of the inputs, an object. */
  readonly inputs: Record<string, unknown>;
  /** JSON Schema of the outputs, an object. */
  readonly outputs: Record<string, unknown>;
}

/** What holds for every call. Times are milliseconds. */
export interface Options {
  baseURL: string;
  csrfCookieName: string;
  csrfHeaderName: string;
  csrfToken: string | null;
  corsMode: 'same-origin' | 'cors';
  events: boolean;
  maxStreams: number;
  pollInterval: number;
  maxPollInterval: number;
  requestTimeout: number;
  streamStart: number;
  streamTimeout: number;
  patience: number;
  texts: Record<Status | 'label' | 'cancel' | 'cancelling', string>;
}

/** What one call may be given: options of its own, and these. */
export interface Given<Outputs = Record<string, unknown>> extends Partial<Options> {
  /** Called with the run at once, at each change, and with its end. */
  onProgress?: ((run: Run<Outputs>) => void) | null;
  /** Ends the watching, not the run. */
  signal?: AbortSignal | null;
}

export interface Start<Outputs = Record<string, unknown>> extends Given<Outputs> {
  /** By which the server knows a repeated request; one is made where this is none. */
  idempotencyKey?: string | null;
}

export type Inputs = Record<string, unknown>;

/** Start a task and watch its run until it is over. The promise settles in any case. */
export function run<Outputs = Record<string, unknown>>(
  task: string,
  inputs?: Inputs,
  given?: Start<Outputs>,
): Promise<Run<Outputs>>;
/** As django-task-api had it. */
export function run<Outputs = Record<string, unknown>>(
  task: string,
  inputs: Inputs,
  progressCallback: ((run: Run<Outputs>) => void) | null,
  callback?: ((run: Run<Outputs>) => void) | null,
  errback?: ((problem: Run<Outputs> | Error) => void) | null,
): Promise<Run<Outputs>>;

/** Start a task without watching it. */
export function start<Outputs = Record<string, unknown>>(
  task: string,
  inputs?: Inputs,
  given?: Start<Outputs>,
): Promise<Run<Outputs>>;

/** Watch a run that has been started before, until it is over. */
export function attach<Outputs = Record<string, unknown>>(
  id: string,
  given?: Given<Outputs>,
): Promise<Run<Outputs>>;

/** Ask for a run to stop. */
export function cancel(id: string, given?: Given): Promise<Run>;

/** The tasks on offer. */
export function types(given?: Given): Promise<TaskType[]>;

/** Whether a run has ended. */
export function isOver(run: { readonly status: string }): boolean;

export const options: Options;

/** The server has refused a request. */
export class RequestError extends Error {
  readonly httpStatus: number;
  /** What the server answered: JSON, or the text of it. */
  readonly body: unknown;
  /** Milliseconds, if the server has said when to come again. */
  readonly retryAfter: number | null;
}

/** The run has ended otherwise than well. Each key of the run is one of the error's, too. */
export class RunError extends Error {
  readonly run: Run;
  readonly id: string;
  readonly uuid: string;
  readonly status: Status;
  readonly messages: readonly string[];
  readonly error: { readonly type: string; readonly message: string } | null;
}

/** The server did not answer for as long as `options.patience`. */
export class LostError extends Error {
  readonly cause: Error;
}

/** The class of `<taskworks-progress>`; undefined where there is no document. */
export const TaskworksProgress: (CustomElementConstructor & { new (): TaskworksProgress }) | undefined;

export interface TaskworksProgress extends HTMLElement {
  /** The run as it was seen last. */
  readonly current: Run | null;
  /** What its button does. */
  cancel(): Promise<void>;
}

declare const client: {
  run: typeof run;
  start: typeof start;
  attach: typeof attach;
  cancel: typeof cancel;
  types: typeof types;
  isOver: typeof isOver;
  options: Options;
  RequestError: typeof RequestError;
  RunError: typeof RunError;
  LostError: typeof LostError;
};
export default client;

declare global {
  interface HTMLElementTagNameMap {
    'taskworks-progress': TaskworksProgress;
  }
  interface GlobalEventHandlersEventMap {
    'taskworks-progress': CustomEvent<Run>;
    'taskworks-finished': CustomEvent<Run>;
    'taskworks-error': CustomEvent<Error>;
  }
}
