/**
 * What was entered and not sent yet, for pages that draw a view again: a notebook does so when the
 * saved output of a cell is brought up to date, and the panel when a run is opened again.
 */

/** The value of each input in an element, or whether it is checked. */
export type Draft = (boolean | string)[];

/** Maximum number of drafts; the oldest are dropped first. */
const MAX_DRAFTS = 50;

const drafts = new Map<string, Draft>();

/** Keep what is entered in an element. */
export function keepDraft(key: string, node: Element): void {
  drafts.delete(key);
  drafts.set(
    key,
    inputsOf(node).map(input => (isBox(input) ? input.checked : input.value))
  );
  for (const oldest of [...drafts.keys()].slice(0, -MAX_DRAFTS)) {
    drafts.delete(oldest);
  }
}

/** Forget a draft, and return it. */
export function takeDraft(key: string): Draft | undefined {
  const draft = drafts.get(key);
  drafts.delete(key);
  return draft;
}

/** Enter a draft in an element, if that has the same inputs. */
export function enterDraft(draft: Draft, node: Element): void {
  const inputs = inputsOf(node);
  if (inputs.length !== draft.length) {
    return;
  }
  inputs.forEach((input, number) => {
    const value = draft[number];
    if (isBox(input)) {
      input.checked = value === true;
    } else {
      input.value = String(value);
    }
  });
}

type Input = HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement;

function inputsOf(node: Element): Input[] {
  return [...node.querySelectorAll<Input>('input, select, textarea')];
}

function isBox(input: Input): input is HTMLInputElement {
  return input instanceof HTMLInputElement && input.type === 'checkbox';
}
