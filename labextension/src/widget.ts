/** The notebook widget, for anywidget. */
import { RunView } from './core/run-view';
import { RunsView } from './core/runs-view';
import type { ViewSpec } from './widget/widget-host';
import { chooseHost, withSettledCallback } from './widget/widget-host';
import type { WidgetModel } from './widget/kernel-channel';
import { settledReporter } from './widget/settled-reporter';

/** What anywidget hands over. */
interface RenderProps {
  model: WidgetModel;
  el: HTMLElement;
}

/** Draw the widget; returns what takes it away. */
async function render({ model, el }: RenderProps): Promise<() => void> {
  const spec = model.get('view') as ViewSpec;
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
