import { Signal, type ISignal } from '@lumino/signaling';
import { Widget } from '@lumino/widgets';
import type { WaitingRuns } from './waiting-runs';

/** Maximum number of titles in the tooltip. */
const MAX_TITLES = 5;

/** The status bar item with the number of waiting runs. A click opens the panel. */
export class WaitingStatus extends Widget {
  private readonly button = document.createElement('button');
  private readonly _shownChanged = new Signal<this, void>(this);

  /**
   * @param waiting - the waiting runs
   * @param onClick - called when the item is clicked
   */
  constructor(
    private readonly waiting: WaitingRuns,
    onClick: () => void
  ) {
    super();
    this.addClass('jp-pdflow-status');
    this.button.type = 'button';
    this.button.addEventListener('click', onClick);
    this.node.append(this.button);
    waiting.changed.connect(() => this.onWaitingChange());
    this.draw();
  }

  /** Whether any run waits, so that the item is shown. */
  get isShown(): boolean {
    return this.waiting.hasAny;
  }

  /** Emitted when `isShown` may have changed. */
  get shownChanged(): ISignal<this, void> {
    return this._shownChanged;
  }

  override dispose(): void {
    Signal.clearData(this);
    super.dispose();
  }

  private onWaitingChange(): void {
    this.draw();
    this._shownChanged.emit();
  }

  private draw(): void {
    const { count, titles } = this.waiting;
    this.button.textContent = `${count} waiting`;
    const runs = count === '1' ? 'run waits' : 'runs wait';
    const shown = titles.slice(0, MAX_TITLES);
    const more = titles.length > shown.length ? ['…'] : [];
    this.button.title = [
      `${count} workflow ${runs} for a person. Click to show the panel.`,
      ...shown,
      ...more
    ].join('\n');
  }
}
