/** Parts of a page that have a state of their own, on top of lit's templates. */
import { html, nothing, render } from 'lit';
import { AsyncDirective } from 'lit/async-directive.js';
import type { Part } from 'lit/directive.js';

/**
 * A part of a page with a state of its own.
 *
 * Its subclasses are directives of lit and not custom elements: a page may have many copies of this
 * module, of several versions (the panel has one, and each widget), and a custom element can be
 * defined only once. An instance lives as long as its place in the page; {@link requestUpdate}
 * draws it again.
 *
 * Use `const part = directive(Subclass)`, and `${part(props)}` in a template. A part that shows
 * another object has to begin anew: `${keyed(id, html`${part(props)}`)}`. Without the inner
 * template lit would keep the instance.
 */
export abstract class Component<P> extends AsyncDirective {
  /** What the surrounding template has passed. */
  protected props!: P;
  private isStarted = false;
  private isRequested = false;

  /** Return what the part shows, from its properties and its state. */
  protected abstract template(): unknown;

  /** Subscribe to what the part follows. Called once the properties are known. */
  protected start(): void {
    // Most parts follow nothing.
  }

  /** Undo {@link start}, as the part has left the page. */
  protected stop(): void {
    // Most parts follow nothing.
  }

  /** Called when the surrounding template passes properties again. */
  protected propsChanged(_previous: P): void {
    // Most parts only draw them.
  }

  /** Draw the part again, once for all requests until then. */
  protected readonly requestUpdate = (): void => {
    if (!this.isRequested) {
      this.isRequested = true;
      queueMicrotask(() => {
        this.isRequested = false;
        if (this.isConnected) {
          this.setValue(this.draw());
        }
      });
    }
  };

  /** Called by lit. */
  override update(_part: Part, [props]: [P]): unknown {
    const previous = this.props;
    this.props = props;
    if (this.isStarted) {
      this.propsChanged(previous);
    } else {
      this.isStarted = true;
      this.start();
    }
    return this.draw();
  }

  /** Called by lit for the type of the directive; {@link update} does the work. */
  override render(_props: P): unknown {
    return nothing;
  }

  protected override disconnected(): void {
    this.isStarted = false;
    this.stop();
  }

  protected override reconnected(): void {
    this.isStarted = true;
    this.start();
    this.requestUpdate();
  }

  /** What goes wrong in one part stays there. */
  private draw(): unknown {
    try {
      return this.template();
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      return html`<p class="jp-PDFlow-failure" role="alert">This can’t be shown: ${message}</p>`;
    }
  }
}

/**
 * Show a template in an element of a page.
 *
 * @returns a function that removes it
 */
export function mount(root: HTMLElement, content: unknown): () => void {
  root.classList.add('jp-PDFlow');
  render(content, root);
  return () => void render(nothing, root);
}

/** Differs between the copies of this module in a page. */
const COPY = Math.random().toString(36).slice(2, 10);
let lastId = 0;

/** Return an id that no other element of the page has. */
export function uniqueId(): string {
  lastId += 1;
  return `jp-PDFlow-${COPY}-${lastId}`;
}
