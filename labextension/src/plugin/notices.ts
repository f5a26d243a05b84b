/** What a person is told after a click in the toolbar. */
import { Dialog, Notification } from '@jupyterlab/apputils';
import { Widget } from '@lumino/widgets';
import { placeIn, shortText, type Place } from './messages';

const AUTO_CLOSE_MS = 5000;

/** Say that something was done. */
export function showSuccess(text: string): void {
  Notification.success(text, { autoClose: AUTO_CLOSE_MS });
}

/** Show a warning, and the whole text on request if it is long. */
export function showWarning(text: string): void {
  const short = shortText(text);
  const details = {
    label: 'Details',
    caption: 'Show the whole text',
    callback: (): void => void showText('Warning', text, [Dialog.okButton({ label: 'Close' })])
  };
  Notification.warning(short, { autoClose: false, actions: short === text ? [] : [details] });
}

/**
 * Say in a dialog why something was not done, which a notification would cut.
 *
 * @param goTo - shows the place that the message names
 */
export async function showRefusal(
  title: string,
  message: string,
  goTo?: (place: Place) => void
): Promise<void> {
  const place = placeIn(message);
  const close = Dialog.cancelButton({ label: 'Close' });
  const go = Dialog.okButton({ label: 'Go to cell' });
  const isPlace = place !== null && goTo !== undefined;
  const button = await showText(title, message, isPlace ? [close, go] : [close]);
  if (button.accept && isPlace) {
    goTo(place);
  }
}

/** Show a text in a dialog, and return the button that was pressed. */
export async function showText(
  title: string,
  text: string,
  buttons: readonly Dialog.IButton[]
): Promise<Dialog.IButton> {
  const body = new Widget();
  body.addClass('jp-pdflow-text');
  body.node.textContent = text;
  const dialog = new Dialog({ title, body, buttons });
  return (await dialog.launch()).button;
}
