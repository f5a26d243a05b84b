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

const MODE_EXPRESSION = 'get_ipython().pdflow.session.production';
// ANSI color sequences.
// eslint-disable-next-line no-control-regex
const ANSI = /\u001b\[[0-9;]*m/g;

/** Return the mode of a kernel, by a silent request that leaves no trace in the notebook. */
export async function fetchMode(kernel: Kernel.IKernelConnection): Promise<Mode> {
  const future = kernel.requestExecute({
    code: '',
    silent: true,
    store_history: false,
    user_expressions: { pdflow: MODE_EXPRESSION }
  });
  const { content } = await future.done;
  if (content.status !== 'ok') {
    return null;
  }
  const reply = content.user_expressions['pdflow'] as unknown as ExpressionReply | undefined;
  const value = reply?.status === 'ok' ? reply.data['text/plain'] : undefined;
  return value === 'True' ? 'production' : value === 'False' ? 'test' : null;
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
  private current: Mode = null;
  private isRefreshing = false;
  private isStale = false;
  private isDisposed = false;

  /**
   * @param session - the notebook's session
   * @param onModeChange - called when the mode has changed
   */
  constructor(
    private readonly session: ISessionContext,
    private readonly onModeChange: (mode: Mode) => void
  ) {
    session.kernelChanged.connect(this.reset);
    session.connectionStatusChanged.connect(this.onConnection);
    session.statusChanged.connect(this.onStatus);
    this.refresh();
  }

  /** The last known mode. */
  get mode(): Mode {
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
      // The request fails if the kernel ends meanwhile. Then there is no mode.
      const mode = kernel ? await fetchMode(kernel).catch(() => null) : null;
      this.set(mode);
    }
  }

  private set(mode: Mode): void {
    if (mode !== this.current && !this.isDisposed) {
      this.current = mode;
      this.onModeChange(mode);
    }
  }

  private readonly reset = (): void => {
    this.set(null);
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
