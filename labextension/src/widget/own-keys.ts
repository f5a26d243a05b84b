/** The elements that use plain keys, the arrow keys of scrolling parts among them. JupyterLab itself leaves the keys of text fields alone. */
const CONTROLS = 'a[href], button, input, select, summary, textarea, [tabindex]';

const ATTRIBUTE = 'data-lm-suppress-shortcuts';

/**
 * Keep plain keys for the controls of a view, such as a letter that chooses an option.
 *
 * In a notebook, JupyterLab would take them for shortcuts: "b" adds a cell. Shortcuts with a
 * modifier key, such as the one that saves, stay.
 *
 * @returns a function that ends this
 */
export function keepOwnKeys(el: HTMLElement): () => void {
  const onKeydown = ({ target, altKey, ctrlKey, metaKey }: KeyboardEvent): void => {
    if (target instanceof Element && el.contains(target) && target.matches(CONTROLS)) {
      // On the control itself: the selectors of shortcuts match focused elements.
      target.toggleAttribute(ATTRIBUTE, !(altKey || ctrlKey || metaKey));
    }
  };
  // On the window and in the capture phase, since JupyterLab listens so on the document.
  window.addEventListener('keydown', onKeydown, true);
  return () => window.removeEventListener('keydown', onKeydown, true);
}
