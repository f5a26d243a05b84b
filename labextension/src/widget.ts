/** The notebook widget: an ES module for anywidget that loads the views, once per page. */
import type { WidgetModel } from './widget/kernel-channel';
import { ViewLoader } from './widget/view-loader';

/** The arguments that anywidget passes to `render`. */
interface RenderProps {
  model: WidgetModel;
  el: HTMLElement;
}

/** Render the widget. Returns a function that removes it, also while it loads. */
function render({ model, el }: RenderProps): () => void {
  const loader = new ViewLoader(model, el);
  return () => loader.dispose();
}

export default { render };
