import type { DocumentRegistry } from '@jupyterlab/docregistry';
import { PromiseDelegate } from '@lumino/coreutils';

/** Maximum wait for a save. A save that was canceled in a dialog emits no final state. */
const MAX_WAIT_MS = 10_000;
const CANCEL_ERRORS = ['ModalCancelError', 'ModalDuplicateError'];

/**
 * Saves a document, one save at a time.
 *
 * Of two concurrent saves, the second would see the file of the first as an external change.
 */
export class Saver {
  private saving: PromiseDelegate<void> | null = null;

  /** @param context - the context of a document that is not being saved */
  constructor(private readonly context: DocumentRegistry.Context) {
    context.saveState.connect((_, state) => this.onSaveState(state));
  }

  /**
   * Save the document, after a save that has already started.
   *
   * @throws if the document was not saved
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
