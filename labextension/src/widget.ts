/** The notebook widget: an ES module for anywidget. */
import { RunView } from './core/run-view';
import { RunsView } from './core/runs-view';
import { renderAnswerForm } from './widget/answer-form';
import type { WidgetModel } from './widget/kernel-channel';
import { keepOwnKeys } from './widget/own-keys';
import { settledReporter } from './widget/settled-reporter';
import type { ViewSpec } from './widget/widget-host';
import { chooseHost, withSettledCallback } from './widget/widget-host';

/** The arguments that anywidget passes to `render`. */
interface RenderProps {
  model: WidgetModel;
  el: HTMLElement;
}

/** Render the widget. Returns a function that removes it. */
async function render({ model, el }: RenderProps): Promise<() => void> {
  const spec = model.get('view') as ViewSpec;
  const remove =
    spec.kind === 'form' ? renderAnswerForm(model, el) : await renderRuns({ model, el }, spec);
  const releaseKeys = keepOwnKeys(el);
  return () => {
    releaseKeys();
    remove();
  };
}

async function renderRuns({ model, el }: RenderProps, spec: ViewSpec): Promise<() => void> {
  const connection = await chooseHost(model, spec);
  const { host } = connection;
  const reporter = settledReporter(model, el);
  const view =
    spec.run === undefined
      ? new RunsView(el, host, {
          workflow: spec.workflow ?? undefined,
          status: spec.status ?? undefined
        })
      : new RunView(el, withSettledCallback(host, reporter.report), spec.run, { step: spec.step });
  return () => {
    reporter.dispose();
    view.dispose();
    connection.dispose();
  };
}

export default { render };
