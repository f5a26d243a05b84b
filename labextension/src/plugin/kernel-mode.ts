import type { ISessionContext } from '@jupyterlab/apputils';
import type { Kernel, KernelMessage } from '@jupyterlab/services';

/** The mode of a notebook's session, or null if its kernel has not loaded the extension. */
export type Mode = 'production' | 'test' | null;

/** The result of a magic. */
export interface MagicResult {
  ok: boolean;
  /** The output of the magic, or its error. */
  text: string;
}

const SESSION = 'get_ipython().pdflow.session';
const MODE_EXPRESSION = `${SESSION}.production`;
/** The code of the steps as last run in test mode, by name, as JSON. */
const STEPS_EXPRESSION = `__import__('IPython.display', fromlist=['JSON']).JSON({name: step.body for name, step in ${SESSION}.executed_steps.items()})`;
// ANSI color sequences.
// eslint-disable-next-line no-control-regex
const ANSI = /\u001b\[[0-9;]*m/g;

/** Return the mode of a kernel, by a silent request that leaves no trace in the notebook. */
export async function fetchMode(kernel: Kernel.IKernelConnection): Promise<Mode> {
  const data = await evaluate(kernel, MODE_EXPRESSION);
  const value = data['text/plain'];
  return value === 'True' ? 'production' : value === 'False' ? 'test' : null;
}

/** Return the code of the steps as they were last run in test mode, by name. */
export async function fetchExecutedSteps(
  kernel: Kernel.IKernelConnection
): Promise<Map<string, string>> {
  const data = await evaluate(kernel, STEPS_EXPRESSION);
  const found = Object.entries((data['application/json'] ?? {}) as Record<string, unknown>);
  return new Map(found.filter((each): each is [string, string] => typeof each[1] === 'string'));
}

/** Have the session forget how steps were run, so that a deploy does not ask for it. */
export async function forgetExecutedSteps(
  kernel: Kernel.IKernelConnection,
  names: readonly string[]
): Promise<void> {
  const list = JSON.stringify(names);
  await evaluate(kernel, `[${SESSION}.executed_steps.pop(each, None) for each in ${list}]`);
}

/** Return the value of an expression by MIME type; empty if it has none. */
async function evaluate(
  kernel: Kernel.IKernelConnection,
  expression: string
): Promise<Record<string, unknown>> {
  const future = kernel.requestExecute({
    code: '',
    silent: true,
    store_history: false,
    user_expressions: { pdflow: expression }
  });
  const { content } = await future.done;
  if (content.status !== 'ok') {
    return {};
  }
  const reply = content.user_expressions['pdflow'] as unknown as ExpressionReply | undefined;
  return reply?.status === 'ok' ? reply.data : {};
}

interface ExpressionReply {
  status: string;
  data: Record<string, unknown>;
}

/** Execute a line magic outside the notebook, and return its result. */
export async function runMagic(
  kernel: Kernel.IKernelConnection,
  line: string
): Promise<MagicResult> {
  const printed: string[] = [];
  const future = kernel.requestExecute({
    code: line,
    silent: false,
    store_history: false,
    allow_stdin: false
  });
  future.onIOPub = message => {
    printed.push(textOf(message));
  };
  const { content } = await future.done;
  const text = printed.join('').replace(ANSI, '').trim();
  if (content.status === 'ok') {
    return { ok: true, text };
  }
  const reason = content.status === 'error' ? content.evalue : '';
  return { ok: false, text: reason || text || 'The kernel did not answer.' };
}

function textOf(message: KernelMessage.IIOPubMessage): string {
  const content = message.content as { data?: Record<string, string | undefined>; text?: string };
  switch (message.header.msg_type) {
    case 'stream':
      return content.text ?? '';
    case 'display_data':
    case 'execute_result':
      return `${content.data?.['text/plain'] ?? ''}\n`;
    default:
      return '';
  }
}

/** Tracks the mode of a notebook's session. It sends one request at a time. */
export class ModeWatcher {
  private current: Mode | undefined;
  private isRefreshing = false;
  private isStale = false;
  private isDisposed = false;

  /**
   * @param session - the notebook's session
   * @param onModeChange - called when the mode has changed
   */
  constructor(
    private readonly session: ISessionContext,
    private readonly onModeChange: () => void
  ) {
    session.kernelChanged.connect(this.reset);
    session.connectionStatusChanged.connect(this.onConnection);
    session.statusChanged.connect(this.onStatus);
    this.refresh();
  }

  /** The last known mode, or undefined if the kernel has not told it since it started. */
  get mode(): Mode | undefined {
    return this.current;
  }

  /** Read the mode from the kernel. */
  readonly refresh = (): void => {
    this.isStale = true;
    if (!this.isRefreshing) {
      this.isRefreshing = true;
      void this.refreshUntilCurrent().finally(() => (this.isRefreshing = false));
    }
  };

  /** Stop reading the mode. */
  dispose(): void {
    this.isDisposed = true;
    this.session.kernelChanged.disconnect(this.reset);
    this.session.connectionStatusChanged.disconnect(this.onConnection);
    this.session.statusChanged.disconnect(this.onStatus);
  }

  private async refreshUntilCurrent(): Promise<void> {
    while (this.isStale && !this.isDisposed) {
      this.isStale = false;
      const kernel = this.session.session?.kernel;
      // The request fails if the kernel ends meanwhile. Then the mode is not known.
      this.set(kernel ? await fetchMode(kernel).catch(() => undefined) : undefined);
    }
  }

  private set(mode: Mode | undefined): void {
    if (mode !== this.current && !this.isDisposed) {
      this.current = mode;
      this.onModeChange();
    }
  }

  private readonly reset = (): void => {
    this.set(undefined);
    this.refresh();
  };

  private readonly onConnection = (_: unknown, status: Kernel.ConnectionStatus): void => {
    if (status === 'connected') {
      this.refresh();
    }
  };

  private readonly onStatus = (_: unknown, status: Kernel.Status): void => {
    if (status === 'restarting' || status === 'autorestarting' || status === 'dead') {
      this.reset();
    }
  };
}
