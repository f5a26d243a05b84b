/** The notebook widget, for anywidget. */
import { RunView } from './core/run-view';
import { RunsView } from './core/runs-view';
import type { View } from './widget/widget-host';
import { chooseHost, tellingSettled } from './widget/widget-host';
import type { Model } from './widget/kernel-channel';
import { settledTeller } from './widget/settled-reporter';

/** What anywidget hands over. */
interface RenderProps {
  model: Model;
  el: HTMLElement;
}

/** Draw the widget; returns what takes it away. */
async function render({ model, el }: RenderProps): Promise<() => void> {
  const view = model.get('view') as View;
  const own = await chooseHost(model, view);
  const { host } = own;
  const settled = settledTeller(model, el);
  const drawn =
    view.run === undefined
      ? new RunsView(el, host, {
          workflow: view.workflow ?? undefined,
          status: view.status ?? undefined
        })
      : new RunView(el, tellingSettled(host, settled.tell), view.run, { step: view.step });
  return () => {
    settled.dispose();
    drawn.dispose();
    own.dispose();
  };
}

export default { render };
