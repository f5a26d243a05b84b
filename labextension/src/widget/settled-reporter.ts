import type { Run } from '../core/types';
import type { ViewSpec } from './widget-host';
import type { WidgetModel } from './kernel-channel';

/**
 * Tells the kernel, once for each change, that the run rests, so that what a saved notebook says
 * is brought up to date. That draws the widget anew, so it waits while the focus is in it.
 */
class SettledReporter {
  private reported = '';
  private latest = '';
  private readonly elements = new Set<HTMLElement>();

  /** Mind the focus in a place where the widget is drawn; returns what ends that. */
  watchFocus(model: WidgetModel, el: HTMLElement): () => void {
    const sendLater = (): void => void setTimeout(() => this.send(model));
    const page = el.ownerDocument;
    this.elements.add(el);
    el.addEventListener('focusout', sendLater);
    // What is scrolled away may be taken out of the page, and loses the focus without a word.
    page.addEventListener('focusin', sendLater);
    return () => {
      this.elements.delete(el);
      el.removeEventListener('focusout', sendLater);
      page.removeEventListener('focusin', sendLater);
    };
  }

  report(model: WidgetModel, { status, updated_at }: Run): void {
    this.latest = `${status} ${updated_at}`;
    this.send(model);
  }

  private send(model: WidgetModel): void {
    const hasFocus = [...this.elements].some(el => el.contains(el.ownerDocument.activeElement));
    if (this.latest !== this.reported && !hasFocus) {
      this.reported = this.latest;
      model.send({ method: 'settled' });
    }
  }
}

/** JupyterLab does not always take the old view away when it draws anew: all views share one. */
const reporters = new WeakMap<ViewSpec, SettledReporter>();

/** What a view of a widget tells its kernel with. */
export function settledReporter(
  model: WidgetModel,
  el: HTMLElement
): { report: (run: Run) => void; dispose: () => void } {
  const view = model.get('view') as ViewSpec;
  const reporter = reporters.get(view) ?? new SettledReporter();
  reporters.set(view, reporter);
  return { report: run => reporter.report(model, run), dispose: reporter.watchFocus(model, el) };
}
