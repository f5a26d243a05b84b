import type { FormSchema } from '../core/ask-form';
import { AskForm } from '../core/ask-form';
import type { FieldError } from '../core/types';
import type { WidgetModel } from './kernel-channel';

const MESSAGE = 'msg:custom';

/**
 * Draw the form of test mode's notice. Returns a function that removes it.
 *
 * Each change is sent to the kernel as a message, because the notice's buttons are other widgets.
 * Traits would arrive later than a click: their changes wait while the kernel is busy.
 */
export function renderAnswerForm(model: WidgetModel, el: HTMLElement): () => void {
  const send = (): void => model.send({ method: 'answer', args: [form.answer(), form.problems()] });
  const form = new AskForm(model.get('form') as FormSchema, send);
  const showErrors = (content: unknown): void => {
    const { errors } = (content ?? {}) as { errors?: FieldError[] };
    form.showErrors(errors ?? []);
  };
  el.classList.add('jp-PDFlow');
  el.append(form.node);
  model.on(MESSAGE, showErrors);
  send();
  return () => {
    model.off(MESSAGE, showErrors);
    form.node.remove();
  };
}
