import type { Run } from '../core/types';
import type { WidgetModel } from './kernel-channel';
import type { ViewSpec } from './view-spec';

/**
 * Reports to the kernel, once for each change, that the run is settled: paused or ended.
 *
 * The kernel then updates the output that the notebook saves. That draws the widget again, so the
 * report is delayed while the focus is in the widget, and while it has input that is not sent.
 */
class SettledReporter {
  private reported = '';
  private latest = '';
  private readonly elements = new Set<HTMLElement>();

  /** Send a delayed report when the focus leaves an element. Returns a function that stops this. */
  watchFocus(model: WidgetModel, el: HTMLElement): () => void {
    const sendLater = (): void => void setTimeout(() => this.send(model));
    const page = el.ownerDocument;
    this.elements.add(el);
    el.addEventListener('focusout', sendLater);
    // JupyterLab may detach cells that are scrolled away. Then no focusout event is sent.
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
    const isUsed = [...this.elements].some(
      el =>
        el.contains(el.ownerDocument.activeElement) || el.querySelector('[data-edited]') !== null
    );
    if (this.latest !== this.reported && !isUsed) {
      this.reported = this.latest;
      model.send({ method: 'settled' });
    }
  }
}

/** The reporter of each view spec: JupyterLab may keep an old view when it draws a new one. */
const reporters = new WeakMap<ViewSpec, SettledReporter>();

/** Return the reporter of a widget's view. */
export function settledReporter(
  model: WidgetModel,
  el: HTMLElement
): { report: (run: Run) => void; dispose: () => void } {
  const spec = model.get('view') as ViewSpec;
  const reporter = reporters.get(spec) ?? new SettledReporter();
  reporters.set(spec, reporter);
  return { report: run => reporter.report(model, run), dispose: reporter.watchFocus(model, el) };
}
