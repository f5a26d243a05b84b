import type { DocumentRegistry } from '@jupyterlab/docregistry';
import { PromiseDelegate } from '@lumino/coreutils';

/** A save that someone broke off in a dialog ends without a word: none is waited for longer. */
const LONGEST_MS = 10_000;
const BROKEN_OFF = ['ModalCancelError', 'ModalDuplicateError'];

/**
 * Saves a document, one save at a time: of two at once, the second takes what the first wrote for
 * a change by someone else.
 */
export class Saver {
  private underWay: PromiseDelegate<void> | null = null;

  /** @param context - the document, of which no save is under way */
  constructor(private readonly context: DocumentRegistry.Context) {
    context.saveState.connect((_, state) => this.note(state));
  }

  /**
   * Save it, after a save that is under way.
   *
   * @throws where it was not saved
   */
  async save(): Promise<void> {
    const timer = setTimeout(() => this.end(), LONGEST_MS);
    await this.underWay?.promise;
    clearTimeout(timer);
    try {
      await this.context.save();
    } catch (error) {
      this.end();
      const brokenOff = error instanceof Error && BROKEN_OFF.includes(error.name);
      throw brokenOff ? new Error('the notebook was not saved.') : error;
    }
  }

  private note(state: DocumentRegistry.SaveState): void {
    if (state === 'started') {
      this.underWay ??= new PromiseDelegate();
    } else {
      this.end();
    }
  }

  private end(): void {
    this.underWay?.resolve();
    this.underWay = null;
  }
}
