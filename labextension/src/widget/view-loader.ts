import type { WidgetModel } from './kernel-channel';
import { findPageServer, serverOfRuns } from './page-server';
import type { ViewSpec } from './view-spec';
import type { Views } from './views-module';
import { loadViews } from './views-module';

const MESSAGE = 'msg:custom';
/** Maximum number of the kernel's messages that are kept while the views load. */
const MAX_MISSED = 100;
/** The room for what appears, in pixels. */
const HEIGHTS: Partial<Record<ViewSpec['kind'], number>> = { form: 60, run: 160, runs: 160 };
const HEIGHT = 72;
const NOTICE = 'jp-PDFlow-loading';
/** The notices come before any style sheet. */
const TEXT_STYLE = 'margin: 4px 0; font: 13px/1.45 var(--jp-ui-font-family, system-ui, sans-serif)';

/** Loads a widget's view, and shows how far that is. */
export class ViewLoader {
  private readonly root: HTMLElement;
  private readonly abort = new AbortController();
  private readonly missed: unknown[] = [];
  private remove: (() => void) | null = null;

  /**
   * @param model - the widget's model
   * @param el - the widget's element
   */
  constructor(
    private readonly model: WidgetModel,
    el: HTMLElement
  ) {
    // An element of its own: anywidget may draw a widget again in the same element.
    this.root = el.appendChild(el.ownerDocument.createElement('div'));
    model.on(MESSAGE, this.keep);
    void this.load();
  }

  /** Remove the view, or stop loading it. */
  dispose(): void {
    this.abort.abort();
    this.model.off(MESSAGE, this.keep);
    this.remove?.();
    this.root.remove();
  }

  private readonly keep = (message: unknown): void => {
    this.missed.push(message);
    this.missed.splice(0, this.missed.length - MAX_MISSED);
  };

  private readonly load = async (): Promise<void> => {
    this.showLoading();
    try {
      await this.loadView();
    } catch (error) {
      if (!this.abort.signal.aborted) {
        this.showFailure(error instanceof Error ? error.message : String(error));
      }
    }
  };

  private async loadView(): Promise<void> {
    const { model, root, abort } = this;
    const { kind, probe = '' } = model.get('view') as ViewSpec;
    const page = root.ownerDocument;
    // A form sends nothing to a server: the views of any can draw it.
    const server = kind === 'form' ? findPageServer(page) : await serverOfRuns(probe, page);
    const views = await loadViews(model, server, abort.signal);
    if (views !== null && !abort.signal.aborted) {
      addStyle(root, views);
      // Each try has an element of its own: one that failed may have left something in its.
      const el = page.createElement('div');
      this.replace([el]);
      this.remove = views.module.render({ model, el, server, missed: this.missed });
      model.off(MESSAGE, this.keep);
      this.keepRoom();
    }
  }

  private showLoading(): void {
    const { kind } = this.model.get('view') as ViewSpec;
    this.root.style.minHeight = `${HEIGHTS[kind] ?? HEIGHT}px`;
    const notice = this.make('p', 'Loading…');
    notice.className = NOTICE;
    notice.role = 'status';
    notice.style.opacity = '0.8';
    this.replace([notice]);
  }

  private showFailure(message: string): void {
    const text = this.make('p', `The view can’t be loaded. ${message}`);
    text.role = 'alert';
    const again = this.make('button', 'Try again');
    again.addEventListener('click', () => void this.load());
    this.replace([text, again]);
  }

  /** Replace what is shown. A focus in it moves to what is shown then. */
  private replace(nodes: HTMLElement[]): void {
    const { root } = this;
    const { activeElement } = root.getRootNode() as Partial<DocumentOrShadowRoot>;
    const hasFocus = activeElement != null && root.contains(activeElement);
    root.replaceChildren(...nodes);
    if (hasFocus) {
      root.tabIndex = -1;
      (root.querySelector('button') ?? root).focus();
    }
  }

  /** Keep the room until the view has read what it shows. */
  private keepRoom(): void {
    const { root } = this;
    const release = (): void => {
      if (root.querySelector(`.${NOTICE}`) === null) {
        root.style.minHeight = '';
        observer.disconnect();
      }
    };
    const observer = new MutationObserver(release);
    observer.observe(root, { childList: true, subtree: true });
    release();
  }

  private make(tag: string, text: string): HTMLElement {
    const made = this.root.ownerDocument.createElement(tag);
    made.style.cssText = TEXT_STYLE;
    made.textContent = text;
    return made;
  }
}

/** Add the style sheet to an element's page, or its shadow root, unless it is there. */
function addStyle(el: HTMLElement, { style, key }: Views): void {
  const root = el.getRootNode();
  const place = root instanceof ShadowRoot ? root : el.ownerDocument.head;
  const sheets = [...place.querySelectorAll<HTMLElement>('style[data-pdflow]')];
  if (!sheets.some(sheet => sheet.dataset.pdflow === key)) {
    const sheet = el.ownerDocument.createElement('style');
    sheet.dataset.pdflow = key;
    sheet.textContent = style;
    place.append(sheet);
  }
}
