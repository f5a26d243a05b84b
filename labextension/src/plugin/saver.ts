import type { DocumentRegistry } from '@jupyterlab/docregistry';
import { PromiseDelegate } from '@lumino/coreutils';

/** A save that someone broke off in a dialog ends without a word: none is waited for longer. */
const MAX_WAIT_MS = 10_000;
const CANCEL_ERRORS = ['ModalCancelError', 'ModalDuplicateError'];

/**
 * Saves a document, one save at a time: of two at once, the second takes what the first wrote for
 * a change by someone else.
 */
export class Saver {
  private saving: PromiseDelegate<void> | null = null;

  /** @param context - the document, of which no save is under way */
  constructor(private readonly context: DocumentRegistry.Context) {
    context.saveState.connect((_, state) => this.onSaveState(state));
  }

  /**
   * Save it, after a save that is under way.
   *
   * @throws where it was not saved
   */
  async save(): Promise<void> {
    const timer = setTimeout(() => this.endSaving(), MAX_WAIT_MS);
    await this.saving?.promise;
    clearTimeout(timer);
    try {
      await this.context.save();
    } catch (error) {
      this.endSaving();
      const isCanceled = error instanceof Error && CANCEL_ERRORS.includes(error.name);
      throw isCanceled ? new Error('the notebook was not saved.') : error;
    }
  }

  private onSaveState(state: DocumentRegistry.SaveState): void {
    if (state === 'started') {
      this.saving ??= new PromiseDelegate();
    } else {
      this.endSaving();
    }
  }

  private endSaving(): void {
    this.saving?.resolve();
    this.saving = null;
  }
}
