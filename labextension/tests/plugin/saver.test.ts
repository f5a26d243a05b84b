import type { DocumentRegistry } from '@jupyterlab/docregistry';
import { Signal } from '@lumino/signaling';
import { describe, expect, it, vi } from 'vitest';
import { Saver } from '../../src/plugin/saver';

/** The context of a document whose saves the test controls. */
class FakeContext {
  readonly saveState = new Signal<this, DocumentRegistry.SaveState>(this);
  readonly save = vi.fn(() => Promise.resolve());

  get saver(): Saver {
    return new Saver(this as unknown as DocumentRegistry.Context);
  }
}

describe('Saver', () => {
  it('waits for a save that has started, whether it completes or fails', async () => {
    for (const end of ['completed', 'failed'] as const) {
      const context = new FakeContext();
      const { saver } = context;
      context.saveState.emit('started');
      const saved = saver.save();
      await Promise.resolve();
      expect(context.save).not.toHaveBeenCalled();
      context.saveState.emit(end);
      await saved;
      expect(context.save).toHaveBeenCalledTimes(1);
    }
  });

  it('stops waiting for a save that was canceled', async () => {
    vi.useFakeTimers();
    const context = new FakeContext();
    const { saver } = context;
    context.saveState.emit('started');
    const saved = saver.save();
    await vi.runAllTimersAsync();
    await saved;
    expect(context.save).toHaveBeenCalledTimes(1);
    vi.useRealTimers();
  });

  it('throws if the save was canceled or failed', async () => {
    const context = new FakeContext();
    const canceled = Object.assign(new Error('Cancel'), { name: 'ModalCancelError' });
    context.save.mockRejectedValueOnce(canceled);
    const { saver } = context;
    await expect(saver.save()).rejects.toThrow('the notebook was not saved.');
    context.save.mockRejectedValueOnce(new Error('The disk is full.'));
    await expect(saver.save()).rejects.toThrow('The disk is full.');
  });
});
