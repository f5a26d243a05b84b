import { render } from 'lit';
import { mount } from '../core/component';
import type { FormSchema, FormState } from '../core/run/ask-form';
import { askForm } from '../core/run/ask-form';
import type { FieldError } from '../core/types';
import type { ViewContext } from './views-module';

const MESSAGE = 'msg:custom';
/** The id of the kernel's messages about what is wrong with the answer. */
const ERRORS = 'errors';

/**
 * Draw the form of test mode's notice. Returns a function that removes it.
 *
 * Each change is sent to the kernel as a message, because the notice's buttons are other widgets.
 * Traits would arrive later than a click: their changes wait while the kernel is busy.
 */
export function renderAnswerForm({ model, el, missed }: ViewContext): () => void {
  const schema = model.get('form') as FormSchema;
  const onInput = ({ answer, problems }: FormState): void =>
    model.send({ method: 'answer', args: [answer, problems] });
  const showErrors = (content: unknown): void => {
    const { id, errors } = (content ?? {}) as { id?: unknown; errors?: FieldError[] };
    if (id === ERRORS) {
      render(askForm({ schema, errors: errors ?? [], onInput }), el);
    }
  };
  const unmount = mount(el, askForm({ schema, errors: [], onInput }));
  missed.forEach(showErrors);
  model.on(MESSAGE, showErrors);
  return () => {
    model.off(MESSAGE, showErrors);
    unmount();
  };
}
