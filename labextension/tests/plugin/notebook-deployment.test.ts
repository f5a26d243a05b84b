import type { NotebookPanel } from '@jupyterlab/notebook';
import type { Contents } from '@jupyterlab/services';
import { Signal } from '@lumino/signaling';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Deployment, Version, Workflow } from '../../src/core/types';
import { NotebookDeployment } from '../../src/plugin/notebook-deployment';
import type { IWorkflows } from '../../src/plugin/tokens';

const WORKFLOW: Workflow = {
  id: 'order',
  name: 'order',
  version: 'a1b2c3',
  number: 3,
  path: 'order.ipynb',
  steps: ['ask'],
  created_at: '2026-11-28T03:00:00Z'
};
const SOURCE: Version = {
  ...WORKFLOW,
  source: {
    kernel_name: 'python3',
    queue: 'default',
    setup: [],
    steps: [{ name: 'ask', source: 'pass' }],
    modules: []
  }
};

/** An open notebook with one cell, whose changes and saves the test controls. */
class FakePanel {
  readonly contentChanged = new Signal<this, void>(this);
  readonly saveState = new Signal<this, string>(this);
  readonly pathChanged = new Signal<this, string>(this);
  isDisposed = false;
  isVisible = true;
  text = '%%step ask\npass';
  dirty = false;
  path = 'order.ipynb';

  get context(): object {
    const { contentChanged, dirty, text, path, saveState, pathChanged } = this;
    const sharedModel = { getMetadata: () => undefined, getSource: () => text };
    const cells = [{ id: '1', type: 'code', sharedModel }];
    const model = { contentChanged, dirty, cells };
    return { model, path, saveState, pathChanged, ready: Promise.resolve() };
  }

  edit(text: string): void {
    this.text = text;
    this.dirty = true;
    this.contentChanged.emit();
  }

  save(): void {
    this.dirty = false;
    this.saveState.emit('completed');
  }
}

const opened: NotebookDeployment[] = [];
const read = vi.fn<(path: string) => Promise<Deployment>>();
const source = vi.fn(() => Promise.resolve(SOURCE));

function answer(changes: Partial<Deployment> = {}): void {
  const known = { path: 'order.ipynb', workflow: WORKFLOW, version: 'a1b2c3' };
  read.mockResolvedValue({ ...known, edited: false, problem: null, ...changes });
}

async function open(panel: FakePanel): Promise<NotebookDeployment> {
  const workflows = { client: { deployment: read }, host: { source } } as unknown as IWorkflows;
  const contents = { localPath: (path: string) => path } as unknown as Contents.IManager;
  const made = new NotebookDeployment(panel as unknown as NotebookPanel, workflows, contents);
  opened.push(made);
  await settle();
  return made;
}

async function settle(): Promise<void> {
  await vi.advanceTimersByTimeAsync(2000);
}

describe('NotebookDeployment', () => {
  beforeEach(() => {
    vi.useFakeTimers();
    vi.clearAllMocks();
    answer();
  });

  afterEach(() => {
    opened.splice(0).forEach(each => each.dispose());
    vi.useRealTimers();
  });

  it('reads what is deployed, and the version once', async () => {
    const deployment = await open(new FakePanel());
    expect(read.mock.calls).toEqual([['order.ipynb']]);
    expect(deployment.isEdited).toBe(false);
    deployment.request();
    await settle();
    expect(read).toHaveBeenCalledTimes(2);
    expect(source).toHaveBeenCalledTimes(1);
  });

  it('asks nothing about a notebook without steps, until it has one', async () => {
    const panel = new FakePanel();
    panel.text = 'x = 1';
    await open(panel);
    expect(read).not.toHaveBeenCalled();
    panel.edit('%%step ask\npass');
    await settle();
    expect(read).toHaveBeenCalledTimes(1);
  });

  it('finds unsaved changes, and after a save believes the server', async () => {
    const panel = new FakePanel();
    const deployment = await open(panel);
    panel.edit('%%step ask\nreturn 1');
    await settle();
    expect(deployment.isEdited).toBe(true);
    expect([...deployment.edits.cells.keys()]).toEqual(['1']);
    panel.save();
    expect(deployment.isEdited).toBe(true);
    await settle();
    expect(read).toHaveBeenCalledTimes(2);
    expect(deployment.isEdited).toBe(false);
    expect(deployment.edits.cells.size).toBe(0);
  });

  it('is edited if a module was, which only the server knows', async () => {
    answer({ edited: true });
    const deployment = await open(new FakePanel());
    expect(deployment.isEdited).toBe(true);
    expect(deployment.edits.cells.size).toBe(0);
  });

  it('forgets what was deployed of another path', async () => {
    const panel = new FakePanel();
    const deployment = await open(panel);
    answer({ workflow: null });
    panel.path = 'new.ipynb';
    panel.pathChanged.emit('new.ipynb');
    expect(deployment.current).toBeNull();
    await settle();
    expect(read.mock.lastCall).toEqual(['new.ipynb']);
    expect(deployment.current?.workflow).toBeNull();
  });

  it('keeps what is known if the server does not answer', async () => {
    const deployment = await open(new FakePanel());
    read.mockRejectedValue(new Error('no'));
    deployment.request();
    await settle();
    expect(deployment.current?.workflow).toEqual(WORKFLOW);
  });

  it('asks when the window gets the focus, but not each time', async () => {
    const deployment = await open(new FakePanel());
    await vi.advanceTimersByTimeAsync(10_000);
    window.dispatchEvent(new Event('focus'));
    await settle();
    window.dispatchEvent(new Event('focus'));
    await settle();
    expect(read).toHaveBeenCalledTimes(2);
    deployment.dispose();
    await vi.advanceTimersByTimeAsync(10_000);
    window.dispatchEvent(new Event('focus'));
    await settle();
    expect(read).toHaveBeenCalledTimes(2);
  });
});
