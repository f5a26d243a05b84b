import { Widget } from '@lumino/widgets';
import type { Host } from '../core/host';
import { RunsView } from '../core/runs-view';
import { runsIcon } from './icon';
import type { WaitingRuns } from './waiting-runs';

/** The side panel with the list of runs. */
export class RunsPanel extends Widget {
  /** The panel's id in the shell. */
  static readonly id = 'jupyter-pdflow-panel';
  private view: RunsView | null = null;
  private currentPageSize?: number;

  /**
   * @param host - reads and changes runs
   * @param waiting - the waiting runs, which the title counts
   */
  constructor(
    private readonly host: Host,
    private readonly waiting: WaitingRuns
  ) {
    super();
    this.id = RunsPanel.id;
    this.addClass('jp-pdflow-panel');
    this.node.tabIndex = -1;
    this.node.setAttribute('role', 'region');
    this.node.setAttribute('aria-label', 'Workflow runs');
    this.title.icon = runsIcon;
    waiting.changed.connect(() => this.updateTitle());
    this.updateTitle();
  }

  /** Number of runs to read at once. The list is drawn again when it changes. */
  set pageSize(size: number) {
    if (size !== this.currentPageSize) {
      this.currentPageSize = size;
      if (this.view) {
        this.view.dispose();
        this.view = this.createView();
      }
    }
  }

  /** Open a run. */
  open(runId: string): void {
    this.ensureView().open(runId);
  }

  override dispose(): void {
    this.view?.dispose();
    super.dispose();
  }

  /** Create the view when the panel is first shown, so that a hidden panel reads no runs. */
  protected override onBeforeShow(): void {
    this.ensureView();
  }

  protected override onAfterAttach(): void {
    if (this.isVisible) {
      this.ensureView();
    }
  }

  protected override onActivateRequest(): void {
    this.ensureView();
    if (!this.node.contains(document.activeElement)) {
      this.node.focus({ preventScroll: true });
    }
  }

  private ensureView(): RunsView {
    this.view ??= this.createView();
    return this.view;
  }

  private createView(): RunsView {
    const root = document.createElement('div');
    this.node.replaceChildren(root);
    return new RunsView(root, this.host, { pageSize: this.currentPageSize, workers: true });
  }

  private updateTitle(): void {
    const { hasAny, count } = this.waiting;
    this.title.caption = hasAny ? `Workflow runs (${count} waiting)` : 'Workflow runs';
    this.title.className = hasAny ? 'jp-pdflow-tab jp-pdflow-tab-waiting' : 'jp-pdflow-tab';
  }
}
