import { AsyncDirective, directive } from 'lit/async-directive.js';
import type { ElementPart } from 'lit/directive.js';
import { everyVisibleSecond, stopCounting } from '../ticker';

class WhileVisible extends AsyncDirective {
  private element: Element | null = null;
  private act: () => void = () => undefined;

  override update({ element }: ElementPart, [act]: [() => void]): void {
    this.element = element;
    this.act = act;
    this.reconnected();
  }

  override render(_act: () => void): void {
    // `update` does the work.
  }

  protected override disconnected(): void {
    if (this.element) {
      stopCounting(this.element);
    }
  }

  protected override reconnected(): void {
    if (this.element) {
      everyVisibleSecond(this.element, this.act);
    }
  }
}

/** A directive of an element, `<div ${whileVisible(act)}>`: acts each second while it is visible. */
export const whileVisible = directive(WhileVisible);
