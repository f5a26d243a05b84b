import type { Run } from '../core/types';
import type { View } from './widget-host';
import type { Model } from './kernel-channel';

/**
 * Tells the kernel, once for each change, that the run rests, so that what a saved notebook says
 * is brought up to date. That draws the widget anew, so it waits while the focus is in it.
 */
class SettledTeller {
  private told = '';
  private latest = '';
  private readonly places = new Set<HTMLElement>();

  /** Mind the focus in a place where the widget is drawn; returns what ends that. */
  mind(model: Model, el: HTMLElement): () => void {
    const later = (): void => void setTimeout(() => this.send(model));
    const page = el.ownerDocument;
    this.places.add(el);
    el.addEventListener('focusout', later);
    // What is scrolled away may be taken out of the page, and loses the focus without a word.
    page.addEventListener('focusin', later);
    return () => {
      this.places.delete(el);
      el.removeEventListener('focusout', later);
      page.removeEventListener('focusin', later);
    };
  }

  tell(model: Model, { status, updated_at }: Run): void {
    this.latest = `${status} ${updated_at}`;
    this.send(model);
  }

  private send(model: Model): void {
    const hasFocus = [...this.places].some(el => el.contains(el.ownerDocument.activeElement));
    if (this.latest !== this.told && !hasFocus) {
      this.told = this.latest;
      model.send({ method: 'settled' });
    }
  }
}

/** JupyterLab does not always take the old view away when it draws anew: all views share one. */
const tellers = new WeakMap<View, SettledTeller>();

/** What a view of a widget tells its kernel with. */
export function settledTeller(
  model: Model,
  el: HTMLElement
): { tell: (run: Run) => void; dispose: () => void } {
  const view = model.get('view') as View;
  const teller = tellers.get(view) ?? new SettledTeller();
  tellers.set(view, teller);
  return { tell: run => teller.tell(model, run), dispose: teller.mind(model, el) };
}
