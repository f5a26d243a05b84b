/** The notebook widget, for anywidget. */
import type { Run } from './core';
import { RunsView, RunView } from './core';
import type { View } from './widget/host';
import { chooseHost, tellingSettled, withStatus } from './widget/host';
import type { Model } from './widget/kernel';

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
      ? new RunsView(el, view.status ? withStatus(host, view.status) : host, {
          workflow: view.workflow ?? undefined
        })
      : new RunView(el, tellingSettled(host, settled.tell), view.run, { step: view.step });
  return () => {
    settled.dispose();
    drawn.dispose();
    own.dispose();
  };
}

/**
 * Tell the kernel, once for each change, that the run rests, so that what a saved notebook says
 * is brought up to date. That draws the widget anew, so it waits while the focus is in it.
 */
function settledTeller(model: Model, el: HTMLElement) {
  let told = '';
  let latest = '';
  const send = (): void => {
    if (latest !== told && !el.contains(el.ownerDocument.activeElement)) {
      told = latest;
      model.send({ method: 'settled' });
    }
  };
  const later = (): void => void setTimeout(send);
  el.addEventListener('focusout', later);
  return {
    tell: ({ status, updated_at }: Run): void => {
      latest = `${status} ${updated_at}`;
      send();
    },
    dispose: (): void => el.removeEventListener('focusout', later)
  };
}

export default { render };
