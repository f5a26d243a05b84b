import type { ChangeListener, CountQuery, Host, RunQuery } from '../../src/core/host';
import { ApiError } from '../../src/core/host';
import { isWaiting } from '../../src/core/formatting';
import type {
  DayCounts,
  Decider,
  Email,
  Health,
  HistoryEntry,
  Output,
  Pause,
  Run,
  RunChange,
  RunCounts,
  RunFile,
  RunItem,
  RunStatus,
  Step,
  StepError,
  StatusCounts,
  Version,
  VersionItem,
  Worker,
  Workflow
} from '../../src/core/types';

/** The properties of a run that a test sets. The others have defaults. */
export type RunProps = Omit<Partial<Run>, 'steps'> & { steps?: Partial<Step>[] };

/** An in-memory host. */
export class FakeHost implements Host {
  readonly runs = new Map<string, Run>();
  readonly outputsBy = new Map<string, Record<string, Output[]>>();
  readonly filesBy = new Map<string, RunFile[]>();
  readonly emailsBy = new Map<string, Email[]>();
  readonly historyBy = new Map<string, HistoryEntry[]>();
  readonly sources = new Map<string, Version>();
  /** The days of each workflow that have any runs. */
  readonly days = new Map<string, DayCounts[]>();
  /** The words of each run's event that the server finds. */
  readonly words = new Map<string, string>();
  readonly calls: string[] = [];
  state = makeHealth();
  /** The errors with which the calls of a method reject. */
  readonly errors: Partial<Record<string, Error>> = {};
  /** The errors with which runs refuse to be resumed. */
  readonly refusals = new Map<string, Error>();
  readonly sent: unknown[] = [];
  readonly notes: (string | null)[] = [];
  openNotebook?: (id: string) => void;
  openRun?: (id: string) => void;
  openCell?: (workflow: string, step: string) => void;
  cellSource?: (workflow: string, step: string) => string | null;
  fileUrl?: (id: string, path: string) => string;
  renderOutputs?: (outputs: Output[], node: HTMLElement) => void;
  private readonly listeners = new Set<ChangeListener>();

  constructor(...runs: Run[]) {
    runs.forEach(run => this.runs.set(run.id, run));
  }

  /** Number of listeners. */
  get listenerCount(): number {
    return this.listeners.size;
  }

  list(query: RunQuery): Promise<RunItem[]> {
    const { status, before, limit = 50, pause } = query;
    return this.answer('list', JSON.stringify(query), () =>
      this.matching(query)
        .filter(run => status === undefined || run.status === status)
        .filter(run => pause === undefined || run.pause?.kind === pause)
        .filter(run => before === undefined || run.id < before)
        .sort((one, other) => (one.id < other.id ? 1 : -1))
        .slice(0, limit)
    );
  }

  counts(query: CountQuery): Promise<RunCounts> {
    return this.answer('counts', JSON.stringify(query), () => {
      const runs = this.matching(query);
      const names = new Map(runs.map(run => [run.workflow_id, run.workflow_name]));
      const workflows = [...names].map(([id, name]) => {
        const own = runs.filter(run => run.workflow_id === id);
        return { id, name, days: this.days.get(id) ?? [], ...countsOf(own) };
      });
      return { ...countsOf(runs), workflows };
    });
  }

  get(id: string): Promise<Run> {
    return this.answer('get', id, () => this.find(id));
  }

  outputs(id: string): Promise<Record<string, Output[]>> {
    return this.answer('outputs', id, () => this.outputsBy.get(id) ?? {});
  }

  files(id: string): Promise<RunFile[]> {
    return this.answer('files', id, () => this.filesBy.get(id) ?? []);
  }

  emails(id: string): Promise<Email[]> {
    return this.answer('emails', id, () => this.emailsBy.get(id) ?? []);
  }

  retryEmail(id: string): Promise<Email> {
    return this.answer('retryEmail', id, () => {
      const emails = [...this.emailsBy.values()].flat();
      const email = emails.find(each => each.id === id);
      if (email === undefined) {
        throw new ApiError(`There is no email ${id}.`, 'not_found', 404);
      }
      return Object.assign(email, { status: 'queued', error: null });
    });
  }

  history(id: string): Promise<HistoryEntry[]> {
    return this.answer('history', id, () => this.historyBy.get(id) ?? []);
  }

  workflow(id: string): Promise<Workflow> {
    return this.answer('workflow', id, () => makeWorkflow(id));
  }

  versions(id: string): Promise<VersionItem[]> {
    return this.answer('versions', id, () =>
      [...this.sources.values()].map(({ version, number, created_at }) => {
        return { version, number, created_at, current: number === this.sources.size };
      })
    );
  }

  source(id: string, version: string): Promise<Version> {
    return this.answer('source', `${id} ${version}`, () => {
      const found = this.sources.get(version);
      if (found === undefined) {
        throw new ApiError(`There is no version ${version}.`, 'not_found', 404);
      }
      return found;
    });
  }

  start(workflow: string, event: unknown): Promise<Run> {
    return this.answer('start', workflow, () => {
      const id = `run-started-${this.runs.size + 1}`.padEnd(20, '0');
      return this.change(makeRun(id, { workflow_id: workflow, event, status: 'queued' }));
    });
  }

  health(): Promise<Health> {
    return this.answer('health', '', () => this.state);
  }

  resume(id: string, data: unknown, note: string | null = null): Promise<Run> {
    return this.answer('resume', id, () => {
      const run = this.find(id);
      const refusal = this.refusals.get(id);
      if (refusal) {
        throw refusal;
      }
      if (run.pause === null) {
        throw new ApiError('The run is not paused.', 'not_paused', 409);
      }
      this.sent.push(data);
      this.notes.push(note);
      const approvals = [...run.pause.approvals, makeDecider({ note })];
      if (approvals.length < run.pause.required) {
        return this.change({ ...run, pause: { ...run.pause, approvals } });
      }
      return this.change({ ...run, status: 'running', pause: null });
    });
  }

  reject(id: string, note: string | null): Promise<Run> {
    return this.answer('reject', id, () => {
      const run = this.find(id);
      this.notes.push(note);
      const status = run.pause?.on_reject === 'resume' ? 'running' : 'canceled';
      return this.change({ ...run, status, pause: null });
    });
  }

  cancel(id: string, reason: string | null): Promise<Run> {
    return this.answer('cancel', id, () => {
      this.sent.push(reason);
      return this.change({ ...this.find(id), status: 'canceled', pause: null, reason });
    });
  }

  onChange(listener: ChangeListener): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** Store a run and notify the listeners. */
  change(run: Run): Run {
    const later = new Date(Math.max(Date.now(), Date.parse(run.updated_at) + 1)).toISOString();
    const changed = { ...run, updated_at: later };
    this.runs.set(run.id, changed);
    this.emit(changeOf(changed));
    return changed;
  }

  /** Notify the listeners of a change. */
  emit(change: RunChange | null): void {
    this.listeners.forEach(listener => listener(change));
  }

  /** Return the calls of a method. */
  callsOf(method: string): string[] {
    return this.calls.filter(call => call.startsWith(`${method} `));
  }

  private matching({ workflow, search, since, until }: CountQuery): Run[] {
    const words = (search ?? '').toLowerCase().split(/\s+/).filter(Boolean);
    const textOf = (run: Run): string =>
      [run.title, run.workflow_name, this.words.get(run.id)].join(' ').toLowerCase();
    return [...this.runs.values()]
      .filter(run => workflow === undefined || run.workflow_id === workflow)
      .filter(run => since === undefined || run.created_at >= since)
      .filter(run => until === undefined || run.created_at < until)
      .filter(run => run.id === search || words.every(word => textOf(run).includes(word)));
  }

  private find(id: string): Run {
    const run = this.runs.get(id);
    if (run === undefined) {
      throw new ApiError(`There is no run ${id}.`, 'not_found', 404);
    }
    return run;
  }

  private async answer<T>(method: string, about: string, make: () => T): Promise<T> {
    this.calls.push(`${method} ${about}`);
    await Promise.resolve();
    const error = this.errors[method];
    if (error) {
      throw error;
    }
    return structuredClone(make());
  }
}

/** Return a workflow with two steps. */
export function makeWorkflow(id: string, props: Partial<Workflow> = {}): Workflow {
  const created_at = '2026-11-20T10:00:00.000Z';
  const path = `${id}.ipynb`;
  const steps = ['ask', 'pay'];
  return { id, name: id, version: '3f9c2a7be01d', number: 1, path, steps, created_at, ...props };
}

function countsOf(runs: Run[]): StatusCounts {
  const count = (status: RunStatus): number => runs.filter(run => run.status === status).length;
  const statuses = {
    queued: count('queued'),
    running: count('running'),
    paused: count('paused'),
    succeeded: count('succeeded'),
    failed: count('failed'),
    canceled: count('canceled')
  };
  return { statuses, waiting: runs.filter(isWaiting).length };
}

/** Return a run. */
export function makeRun(id: string, props: RunProps = {}): Run {
  const at = '2026-11-22T10:00:00.000Z';
  const name = props.workflow_name ?? 'approve-invoice';
  return {
    id,
    title: null,
    workflow_id: `notebooks-${name}`,
    workflow_name: name,
    version: '3f9c2a7be01d44aa',
    version_number: 3,
    status: 'running',
    attempt: 1,
    replay_of: null,
    started_by: { name: null, via: 'api' },
    pause: null,
    decisions: [],
    usage: { credits: 1, compute_ms: 120, paused_ms: 0 },
    error: null,
    reason: null,
    created_at: at,
    updated_at: at,
    ended_at: null,
    event: {},
    ...props,
    steps: (props.steps ?? [{ name: 'ask' }, { name: 'pay' }]).map(makeStep)
  };
}

/** Return a run that waits for a person. */
export function makeWaiting(id: string, props: RunProps = {}): Run {
  const pause = makePause('suspend', 'ask', { resume_url: `http://h/pdflow/resume/${id}` });
  const steps: Partial<Step>[] = [{ name: 'ask', status: 'paused', runs: 1 }, { name: 'pay' }];
  return makeRun(id, { status: 'paused', pause, steps, ...props });
}

/** Return a pause that ends in an hour. */
export function makePause(kind: Pause['kind'], step: string, props: Partial<Pause> = {}): Pause {
  const deadline = new Date(Date.now() + 3_600_000).toISOString();
  const urls = { resume_url: 'http://h/pdflow/resume/x', cancel_url: 'http://h/pdflow/cancel/x' };
  return {
    kind,
    step,
    since: new Date().toISOString(),
    deadline,
    on_timeout: 'resume',
    message: null,
    form: null,
    approvers: [],
    required: 1,
    waiting_for: [],
    message_html: null,
    on_reject: 'cancel',
    approvals: [],
    undelivered: {},
    ...urls,
    ...props
  };
}

/** Return a person who has decided in JupyterLab. */
export function makeDecider(props: Partial<Decider> = {}): Decider {
  const at = '2026-11-22T11:20:00.000Z';
  return { name: 'Ada', via: 'jupyter', verified: true, at, note: null, ...props };
}

/** Return the state of a server that executes its runs by itself. */
export function makeHealth(props: Partial<Health> = {}): Health {
  return {
    status: 'ok',
    store: 'tinydb',
    workers: [makeWorker()],
    queued: 0,
    running: 0,
    paused: 0,
    oldest_queued_at: null,
    ...props
  };
}

/** Return a worker with 4 kernels. */
export function makeWorker(props: Partial<Worker> = {}): Worker {
  const seen_at = '2026-11-22T12:00:00.000Z';
  return { name: 'one', host: 'h', queues: ['default'], kernels: 4, busy: 0, seen_at, ...props };
}

/** Return an error of a step. */
export function makeError(step: string, evalue = 'no such customer'): StepError {
  const traceback = ['\u001b[31mKeyError\u001b[39m', '  in handler(pd)'];
  return { message: `KeyError: ${evalue}`, ename: 'KeyError', evalue, traceback, step };
}

/** Return the event that the server sends for a run. */
export function changeOf(run: Run): RunChange {
  return {
    run_id: run.id,
    workflow_id: run.workflow_id,
    workflow_name: run.workflow_name,
    status: run.status,
    step: run.pause?.step ?? run.steps.at(0)?.name ?? '',
    pause_kind: run.pause?.kind ?? null,
    deadline: run.pause?.deadline ?? null,
    updated_at: run.updated_at
  };
}

function makeStep(props: Partial<Step>): Step {
  return {
    name: 'step',
    status: 'pending',
    runs: 0,
    attempts: 0,
    error: null,
    started_at: null,
    ended_at: null,
    exports: {},
    ...props
  };
}
